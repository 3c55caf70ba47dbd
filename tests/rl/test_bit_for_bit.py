"""`train`, `fit` in chunks, and `fit` stopped and continued in another process: the same bits."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from memoalg import rl
from memoalg.rl import NoProgress
from memoalg.rl._population import Population, member_algorithm

from .test_checkpoint import same
from .test_fit import KEY, fit
from .worlds import Ticker

UPDATES = 5


def algorithm() -> rl.PPO:
    config = rl.PPOConfig(num_envs=4, num_steps=8, minibatches=2, epochs=2, anneal_frames=512)
    return rl.PPO(Ticker(), None, rl.ActorCritic("gru", width=8), config)


POPULATIONS: dict[str, dict[str, Any]] = {
    "one": {},
    "seeds": {"seeds": 2},
    "sweep": {"seeds": 2, "sweep": {"learning_rate": [3e-3, 1e-3], "entropy": [0.0]}},
}


def half(folder: str, name: str) -> None:
    """What the other process does: it begins, and ends before half of the updates are done."""
    algo = algorithm()
    population = Population(algo, **POPULATIONS[name])
    options: dict[str, Any] = {"evaluation_episodes": 4, "progress": NoProgress(), "chunk": 2}
    rl.fit(population, KEY, 2 * algo.frames_per_update, checkpoint_dir=folder, **options)


def begun_elsewhere(folder, name):
    root = Path(__file__).parents[2]
    program = f"from tests.rl.test_bit_for_bit import half; half({str(folder)!r}, {name!r})"
    path = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def trainer(algo):
    """A member by `train`; swept values are traced, as they are in the population."""
    steps = UPDATES * algo.frames_per_update
    return jax.jit(lambda values, key: member_algorithm(algo, values).train(key, steps)[0])


# Each takes minutes; `test_fit` has a quick one of one process, `test_resume` of many without PPO.
@pytest.mark.slow
@pytest.mark.parametrize("name", POPULATIONS)
def test_in_one_piece_in_chunks_and_in_two_processes(name, tmp_path, without_hook):
    algo = algorithm()
    population = Population(algo, **POPULATIONS[name])
    begun_elsewhere(tmp_path, name)
    steps = UPDATES * algo.frames_per_update
    resumed = fit(population, steps=steps, chunk=3, checkpoint_dir=tmp_path, resume=True)
    assert len(resumed.metrics["policy_loss"][0]) == UPDATES
    train, keys = trainer(algo), population.keys(KEY)
    for i in range(population.size):
        values = {k: jnp.asarray(v, float) for k, v in population.values(i).items()}
        same(resumed.member(i).state, train(values, keys[i]))
