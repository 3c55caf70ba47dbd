"""A run that was saved: its state, and episodes played with it."""

import os
from typing import Any

import jax
from jaxtyping import Array, Key, UInt32

from ._checkpoint import Checkpoint, CheckpointError, load_checkpoint
from ._describe import describe, differences
from ._errors import check_sizes
from ._folder import RunFolder
from ._seeds import Algorithm, evaluate_seeds, seed_keys, split, state_shape
from ._state import Evaluation


def load_run(folder: str | os.PathLike[str], algo: Algorithm) -> Checkpoint:
    """The newest whole checkpoint of a run folder.

    Args:
        folder: as `fit` wrote it.
        algo: the algorithm that was trained.

    Returns:
        The state, and the update that it is from. With several seeds `agent`, `rollout` and `key`
        are stacked.

    Raises:
        FileNotFoundError: the folder holds no run, or no checkpoint yet.
        CheckpointError: the run is of another algorithm; the message names what differs.
    """
    run = RunFolder.open(folder)
    lines = differences(run.read_config()["algorithm"], describe(algo))
    if lines:
        raise CheckpointError(f"{folder} holds a run of another algorithm: {'; '.join(lines[:8])}")
    keys = seed_keys(jax.random.key(0), run.seeds)
    return load_checkpoint(run.checkpoints, state_shape(algo, keys))


def evaluate_run(
    algo: Algorithm,
    state: Any,
    key: Key[Array, ""] | UInt32[Array, " 2"],
    episodes: int,
    *,
    seeds: int = 1,
    greedy: bool = True,
) -> Evaluation:
    """Plays complete episodes with every seed of a state, compiled.

    Args:
        algo: the algorithm.
        state: from `fit` or `load_run`.
        key: random key of the evaluation.
        episodes: per seed.
        seeds: in the state.
        greedy: take the likeliest action; otherwise sample.

    Returns:
        Returns, lengths and completeness, each `(seeds, episodes)`.

    Raises:
        FitArgumentError: a size is out of range.
    """
    check_sizes({"episodes": episodes, "seeds": seeds})
    arrays, static = split(algo)
    return evaluate_seeds(static, seeds, episodes, greedy, arrays, state, seed_keys(key, seeds))
