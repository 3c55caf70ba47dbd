"""A run that was saved: its state, and episodes played with it."""

import dataclasses
import os
from typing import Literal

from jaxtyping import Array, Key, PyTree, UInt32

from ._checkpoint import Checkpoint, CheckpointError, best_checkpoint, load_checkpoint
from ._describe import describe, differences
from ._errors import check_sizes
from ._folder import RunFolder
from ._layout import Layout, choose_layout
from ._members import evaluate_members, split, state_shape, take_member
from ._population import Population
from ._seeds import Algorithm
from ._state import Evaluation


def load_run(
    folder: str | os.PathLike[str],
    algo: Algorithm,
    *,
    member: int | Literal["best"] | None = None,
    which: Literal["newest", "best"] = "newest",
) -> Checkpoint:
    """A checkpoint of a run folder: the newest whole one, or the best.

    Args:
        folder: as `fit` wrote it.
        algo: the algorithm that was trained; without a sweep's values, which are in the folder.
        member: one of several agents, from 0, as a state of its own; "best" is the one with the
            best final evaluation, as it was then. None takes all, with `agent`, `rollout` and
            `key` stacked.
        which: "newest", or "best" for the one with the best mean evaluation return.

    Returns:
        The state, and the update that it is from.

    Raises:
        FileNotFoundError: the folder holds no run, or no such checkpoint yet.
        CheckpointError: the run is of another algorithm; the message names what differs.
        IndexError: the run has no such member.
    """
    run = RunFolder.open(folder)
    lines = differences(run.read_config()["algorithm"], describe(algo))
    if lines:
        raise CheckpointError(f"{folder} holds a run of another algorithm: {'; '.join(lines[:8])}")
    population = Population(algo, run.seeds, run.sweep)
    if member == "best" and population.size > 1:
        alone = state_shape(Population(algo), Layout(1, True))
        return load_checkpoint(run.best, alone)
    like = state_shape(population, Layout(population.size, True))
    found = load_checkpoint(_path(run, which), like)
    if member is None or member == "best":
        return found
    if not 0 <= member < population.size:
        raise IndexError(f"{folder} has members 0 to {population.size - 1}, not {member}")
    own = take_member(found.state, population.size, member)
    return dataclasses.replace(found, state=own, score=None)


def _path(run: RunFolder, which: str) -> os.PathLike[str]:
    if which == "newest":
        return run.checkpoints
    if which != "best":
        raise ValueError(f'which must be "newest" or "best", got {which!r}')
    best = best_checkpoint(run.checkpoints)
    if best is None:
        raise FileNotFoundError(f"{run.path} has no checkpoint that was evaluated")
    return best[0]


def evaluate_run(
    algo: Algorithm | Population,
    state: PyTree[Array],
    key: Key[Array, ""] | UInt32[Array, " 2"],
    episodes: int,
    *,
    seeds: int = 1,
    greedy: bool = True,
) -> Evaluation:
    """Plays complete episodes with every member of a state, compiled.

    Args:
        algo: the algorithm, or the population that was trained.
        state: from `fit` or `load_run`.
        key: random key of the evaluation.
        episodes: per member.
        seeds: in the state of an algorithm; a population knows its own.
        greedy: take the likeliest action; otherwise sample.

    Returns:
        Returns, lengths and completeness, each `(members, episodes)`.

    Raises:
        FitArgumentError: a size is out of range.
    """
    check_sizes({"episodes": episodes, "seeds": seeds})
    population = algo if isinstance(algo, Population) else Population(algo, seeds)
    layout = choose_layout(population.size)
    arrays, static = split(population.algo)
    values, keys = layout.divide((population.stacked_values(), population.keys(key)))
    own = (layout.copy(arrays), values, layout.place(state), keys)
    return evaluate_members(static, layout, episodes, greedy, *own)
