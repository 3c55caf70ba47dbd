"""Final evaluations of many runs as matrices: one per method, runs by tasks, normalised."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from memoalg import envs

from ._describe import describe
from ._folder import RunFolder
from ._metrics import Row


@dataclass(frozen=True)
class Scores:
    """Final greedy evaluations of several methods on the same tasks.

    Attributes:
        methods: for every method a matrix: a row per seed, a column per task.
        tasks: the tasks, in the columns' order: environment ids, or class names where there is none.
        normalised: whether a score is 0 for a random policy and 1 for the best possible one;
            otherwise it is the mean return.
    """

    methods: dict[str, Float[np.ndarray, "runs tasks"]]
    tasks: tuple[str, ...]
    normalised: bool


def read_scores(folders: Sequence[str | os.PathLike[str]]) -> Scores:
    """Gathers the last greedy evaluation of every seed of every run folder.

    A method is an algorithm with a memory, and with the hyper-parameters in which runs of these two
    differ. Runs of one method on one task are pooled; where one task has more runs than another, the
    first ones are taken of each.

    Args:
        folders: run folders as `fit` writes them.

    Returns:
        The scores, normalised where all tasks have anchors (`envs.anchors`).

    Raises:
        FileNotFoundError: a folder is no run folder.
        ValueError: a run has no evaluation yet, a method lacks a task that another has, or several
            tasks are to be averaged of which one has no anchors.
    """
    runs = [RunFolder.open(folder) for folder in folders]
    configs = [run.read_config()["algorithm"] for run in runs]
    labels = method_labels(configs)
    tasks = [task_name(config) for config in configs]
    normalised = all(map(_has_anchors, tasks))
    found: dict[str, dict[str, list[float]]] = {}
    for run, label, task in zip(runs, labels, tasks, strict=True):
        for point, means in final_means(run).items():
            if normalised:
                means = [float(envs.normalised_score(task, mean)) for mean in means]
            found.setdefault(f"{label}{point}", {}).setdefault(task, []).extend(means)
    names = tuple(dict.fromkeys(tasks))
    _refuse_gaps(found, names, normalised)
    return Scores({k: _matrix(v, names) for k, v in found.items()}, names, normalised)


def final_means(run: RunFolder) -> dict[str, list[float]]:
    """Mean returns of the last greedy evaluation, of every seed that completed an episode.

    Args:
        run: a run, with or without a sweep.

    Returns:
        A list for each point of the sweep, by its values as text; one under "" without a sweep.

    Raises:
        ValueError: there is no evaluation, or at some point no seed completed an episode.
    """
    rows = run.evaluation_rows()[-run.members :]
    means: dict[str, list[float]] = {}
    for row in rows:
        own = means.setdefault(sweep_text(row), [])
        own += [] if row["mean"] is None else [row["mean"]]
    if not means or not all(means.values()):
        raise ValueError(
            f"{run.path} has no complete episode in its last evaluation; let it run to its end"
        )
    return means


def sweep_text(row: Row) -> str:
    """The swept hyper-parameters of a row, as ` name=value` each; empty without a sweep.

    >>> sweep_text({"seed": 0, "config.discount": 0.9, "mean": 1.0})
    ' discount=0.9'
    """
    swept = {
        name.removeprefix("config."): v for name, v in row.items() if name.startswith("config.")
    }
    return "".join(f" {name}={value:g}" for name, value in swept.items())


def _refuse_gaps(
    found: dict[str, dict[str, list[float]]], tasks: Sequence[str], normalised: bool
) -> None:
    for label, own in found.items():
        missing = [task for task in tasks if task not in own]
        if missing:
            raise ValueError(
                f"{label} has no run on {', '.join(missing)}: methods are compared on the same "
                "tasks; add these runs or leave the task out"
            )
    if len(tasks) > 1 and not normalised:
        without = [task for task in tasks if not _has_anchors(task)]
        raise ValueError(
            f"{', '.join(without)} has no anchors, so its returns cannot be averaged with other "
            "tasks'; draw each task by itself"
        )


def _matrix(own: dict[str, list[float]], tasks: Sequence[str]) -> Float[np.ndarray, "runs tasks"]:
    fewest = min(map(len, own.values()))
    return np.array([own[task][:fewest] for task in tasks], np.float64).T


def _has_anchors(task: str) -> bool:
    try:
        envs.anchors(task)
    except ValueError:
        return False
    return True


# Names


def task_name(config: Mapping[str, Any]) -> str:
    """The id of the environment in a description of an algorithm; its class where there is none."""
    env = config.get("env")
    while isinstance(env, Mapping) and isinstance(env.get("env"), Mapping):
        env = env["env"]
    if not isinstance(env, Mapping):
        return str(env)
    kind = str(env.get("class"))
    for name in envs.names():
        # Only ids that may be it are made: some need an extra to be installed.
        if name.partition("/")[0] in ("popgym", "memory") and kind in name:
            if describe(envs.make(name)[0]) == env:
                return name
    return str(env.get("name", kind))


def method_labels(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Algorithm, memory, and what distinguishes the runs of these two: one label per description.

    >>> def run(rate, memory="lru"):
    ...     return {"class": "PPO", "agent": {"memory": memory}, "config": {"rate": rate}}
    >>> method_labels([run(0.1), run(0.2), run(0.1, "gru")])
    ['PPO lru rate=0.1', 'PPO lru rate=0.2', 'PPO gru']
    """
    heads = [_head(config) for config in configs]
    flat = [_flat({k: v for k, v in config.items() if k != "params"}) for config in configs]
    labels = []
    for head, own in zip(heads, flat, strict=True):
        group = [other for other, h in zip(flat, heads, strict=True) if h == head]
        varying = [n for n in own if any(other.get(n) != own[n] for other in group)]
        parts = [f"{n.rsplit('.', 1)[-1]}={own[n]}" for n in varying]
        labels.append(" ".join([head, *parts]))
    return labels


def _head(config: Mapping[str, Any]) -> str:
    agent = config.get("agent")
    memory = agent.get("memory") if isinstance(agent, Mapping) else None
    return " ".join(str(part) for part in (config.get("class"), memory) if part)


def _flat(value: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Leaves of a description by their path; the innermost environment, which is the task, is not
    among them, its wrappers are."""
    leaves: dict[str, Any] = {}
    for name, part in value.items():
        where = f"{path}{name}"
        if isinstance(part, Mapping) and name == "env":
            wrapped = isinstance(part.get("env"), Mapping)
            leaves.update(_flat(part, f"{where}.") if wrapped else {})
        elif isinstance(part, Mapping):
            leaves.update(_flat(part, f"{where}."))
        else:
            leaves[where] = part
    return leaves
