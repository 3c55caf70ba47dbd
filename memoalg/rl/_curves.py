"""The learning curve as a picture."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from ._folder import RunFolder
from ._metrics import Row, stack_rows
from ._picture import new_figure, write_figure
from ._scores import sweep_text
from ._statistics import mean_interval, summary_interval

_SMOOTH = 40
_INSIDE = 3  # a legend of more curves than this would cover them


def plot_runs(
    folders: Sequence[str | os.PathLike[str]], path: str | os.PathLike[str] | None = None
) -> Path:
    """Draws the learning curves of run folders into one picture.

    Lines are the mean training return over the seeds, bands its 95 % bootstrap interval over the
    seeds; points are greedy evaluations with the 95 % bootstrap interval over their episodes.

    Args:
        folders: run folders as `fit` writes them.
        path: of the picture; the ending says the format. None writes `curve.png` into the first
            folder.

    Returns:
        Where the picture is.

    Raises:
        FileNotFoundError: a folder is no run folder.
        ModuleNotFoundError: matplotlib is not installed.
    """
    runs = [RunFolder.open(folder) for folder in folders]
    figure = new_figure()
    axes = figure.add_subplot()
    color = 0
    for run in runs:
        for name, rows, evaluations in _points(run):
            _draw(axes, name, rows, evaluations, run.seeds, f"C{color % 10}")
            color += 1
    axes.set_xlabel("environment steps per seed")
    axes.set_ylabel("episode return")
    axes.grid(alpha=0.3)
    axes.set_title("line: training; points: greedy evaluations; 95 % intervals", fontsize="small")
    if color <= _INSIDE:
        axes.legend(loc="best", fontsize="small")
    else:
        figure.legend(loc="outside lower center", ncols=2, fontsize="small")
    return write_figure(figure, Path(path) if path is not None else runs[0].curve)


def _points(run: RunFolder) -> Iterator[tuple[str, list[Row], list[Row]]]:
    """Name, metrics and evaluations at every point of the run's sweep; one without a sweep."""
    seeds, rows, evaluations = run.seeds, run.metric_rows(), run.evaluation_rows()
    for first in range(0, run.members, seeds):
        # The members of a point are side by side, its seeds in order.
        own, judged = (
            [row for i, row in enumerate(part) if first <= i % run.members < first + seeds]
            for part in (rows, evaluations)
        )
        point = sweep_text(own[0]) if own else ""
        yield f"{run.path.name}{point}", own, judged


def _draw(
    axes: Any, name: str, rows: list[Row], evaluations: list[Row], seeds: int, color: str
) -> None:
    if rows:
        steps, returns = smoothed_returns(rows, seeds)
        mean, low, high = mean_interval(returns)
        axes.plot(steps, mean, color=color, label=f"{name}, {_count(seeds)}")
        if seeds > 1:
            axes.fill_between(steps, low, high, color=color, alpha=0.2, linewidth=0)
    if evaluations:
        steps, (mean, low, high) = evaluation_points(evaluations, seeds)
        axes.errorbar(
            steps,
            mean,
            yerr=[np.maximum(mean - low, 0), np.maximum(high - mean, 0)],
            color=color,
            fmt="o",
            markersize=4,
            capsize=3,
            label=None if rows else f"{name}, {_count(seeds)}",
        )


def _count(seeds: int) -> str:
    return "1 seed" if seeds == 1 else f"{seeds} seeds"


def smoothed_returns(
    rows: Sequence[Row], seeds: int
) -> tuple[Float[np.ndarray, " points"], Float[np.ndarray, "seeds points"]]:
    """Training returns, long runs averaged to a few hundred points.

    Args:
        rows: of the metrics file.
        seeds: seeds per update.

    Returns:
        Environment steps, and for every seed the mean return of the episodes in each bin.
    """
    sums = stack_rows(rows, "return_sum", seeds)
    counts = stack_rows(rows, "episodes", seeds)
    steps = stack_rows(rows, "steps", seeds)[0]
    width = max(1, len(steps) // (5 * _SMOOTH))
    starts = np.arange(0, len(steps), width)
    totals = np.add.reduceat(counts, starts, axis=1)
    with np.errstate(invalid="ignore"):
        means = np.add.reduceat(sums, starts, axis=1) / totals
    # A bin's curve point stands where the bin ends: that is when its last episode was known.
    return steps[np.minimum(starts + width, len(steps)) - 1], means


def evaluation_points(
    rows: Sequence[Row], seeds: int
) -> tuple[Float[np.ndarray, " points"], Float[np.ndarray, "3 points"]]:
    """Evaluations: steps, and mean with its 95 % interval, episodes resampled within each seed.

    Args:
        rows: of the evaluation file, seeds side by side.
        seeds: rows per evaluation.
    """
    groups = [rows[i : i + seeds] for i in range(0, len(rows), seeds)]
    points = [summary_interval([row["returns"] for row in group]) for group in groups]
    return np.array([group[0]["steps"] for group in groups], float), np.array(points).T
