"""The example that writes an algorithm from the pieces: short, exact in replay, driven by `fit`."""

import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg as ma
from tests.rl.worlds import Ticker

PROGRAM = Path(__file__).parents[2] / "examples" / "own_algorithm.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("own_algorithm", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def algo(example):
    config = example.A2CConfig(num_envs=4, num_steps=8)
    return example.A2C(Ticker(), None, ma.rl.ActorCritic("gru", width=8), config)


def test_it_is_short():
    text = PROGRAM.read_text()
    code = [line for line in text[text.index("import dataclasses") :].splitlines() if line.strip()]
    assert len(code) <= 60


def test_the_driver_takes_it_and_equals_its_train(algo):
    key = jax.random.key(0)
    result = ma.rl.fit(
        algo, key, 4 * 32, chunk=3, evaluation_episodes=4, progress=ma.rl.NoProgress()
    )
    state, metrics = jax.jit(algo.train, static_argnums=1)(key, 4 * 32)
    for a, b in zip(*map(jax.tree.leaves, (result.state.agent, state.agent)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(result.metrics["entropy"][0], metrics["entropy"], rtol=1e-5)
    assert result.evaluation.complete.all()


def test_the_loss_replays_what_acted(algo):
    state = jax.jit(algo.init)(jax.random.key(0))
    state, _ = jax.jit(algo.update)(state)

    def replayed(state):
        network = algo.network(state.agent)
        _, record, _ = ma.rl.collect(network, algo.env, None, state.rollout, state.key, 8)
        _, policy, _ = network(record.carry, record.observations[:-1], record.start[:-1])
        return jnp.max(jnp.abs(policy.log_prob(record.actions) - record.log_probs))

    assert float(jax.jit(replayed)(state)) <= 1e-6
