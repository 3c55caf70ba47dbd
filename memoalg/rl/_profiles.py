"""Pictures that compare methods over tasks: performance profiles, aggregates."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ._comparison import performance_profile
from ._picture import new_figure, write_figure
from ._scores import Scores, read_scores
from ._statistics import aggregate

_POINTS = 201


def plot_profiles(folders: Sequence[str | os.PathLike[str]], path: str | os.PathLike[str]) -> Path:
    """Draws the performance profile of every method: the share of runs above each score.

    Bands are pointwise 95 % stratified bootstrap intervals; see `performance_profile`.

    Args:
        folders: run folders as `fit` writes them; a method is an algorithm with a memory, and with
            the hyper-parameters in which its runs differ.
        path: of the picture; the ending says the format.

    Returns:
        Where the picture is.

    Raises:
        FileNotFoundError: a folder is no run folder.
        ValueError: a run has no evaluation, or the methods were not run on the same tasks.
        ModuleNotFoundError: matplotlib is not installed.
    """
    scores = read_scores(folders)
    figure = new_figure()
    axes = figure.add_subplot()
    thresholds = _thresholds(scores)
    for i, (label, matrix) in enumerate(scores.methods.items()):
        share, low, high = performance_profile(matrix, thresholds)
        axes.plot(thresholds, share, color=f"C{i % 10}", label=_counted(label, matrix))
        axes.fill_between(thresholds, low, high, color=f"C{i % 10}", alpha=0.2, linewidth=0)
    axes.set_xlabel(f"{_unit(scores)} $\\tau$")
    axes.set_ylabel("share of runs with a score above $\\tau$")
    axes.set_ylim(-0.02, 1.02)
    axes.grid(alpha=0.3)
    axes.legend(loc="best", fontsize="small")
    return write_figure(figure, Path(path))


def plot_aggregates(
    folders: Sequence[str | os.PathLike[str]], path: str | os.PathLike[str]
) -> Path:
    """Draws interquartile mean, mean and median of every method with 95 % intervals.

    Args:
        folders: run folders as `fit` writes them.
        path: of the picture; the ending says the format.

    Returns:
        Where the picture is.

    Raises:
        FileNotFoundError: a folder is no run folder.
        ValueError: a run has no evaluation, or the methods were not run on the same tasks.
        ModuleNotFoundError: matplotlib is not installed.
    """
    scores = read_scores(folders)
    results = {label: aggregate(matrix) for label, matrix in scores.methods.items()}
    figure = new_figure(9.0, 1.4 + 0.35 * len(results))
    titles = {"iqm": "IQM", "mean": "mean", "median": "median of tasks"}
    panels = figure.subplots(1, len(titles), sharey=True)
    for axes, (name, title) in zip(panels, titles.items(), strict=True):
        for i, result in enumerate(results.values()):
            _bar(axes, i, getattr(result, name))
        axes.use_sticky_edges = False
        axes.set_title(title, fontsize="medium")
        axes.grid(axis="x", alpha=0.3)
    labels = [_counted(label, matrix) for label, matrix in scores.methods.items()]
    panels[0].set_yticks(range(len(labels)), labels)
    panels[0].invert_yaxis()
    figure.supxlabel(f"{_unit(scores)}, 95 % stratified bootstrap", fontsize="medium")
    return write_figure(figure, Path(path))


def _bar(axes: Any, row: int, estimate: Any) -> None:
    axes.barh(row, estimate.high - estimate.low, left=estimate.low, height=0.6, alpha=0.5)
    axes.plot([estimate.value] * 2, [row - 0.3, row + 0.3], color="black", linewidth=1.5)


def _thresholds(scores: Scores) -> np.ndarray:
    values = np.concatenate([matrix.ravel() for matrix in scores.methods.values()])
    low, high = float(values.min()), float(values.max())
    if scores.normalised:
        low, high = min(low, 0.0), max(high, 1.0)
    margin = 0.02 * (high - low) or 0.5
    return np.linspace(low - margin, high + margin, _POINTS)


def _unit(scores: Scores) -> str:
    return "normalised score" if scores.normalised else f"return on {scores.tasks[0]}"


def _counted(label: str, matrix: np.ndarray) -> str:
    runs, tasks = matrix.shape
    return f"{label}, {_number(tasks, 'task')} × {_number(runs, 'run')}"


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
