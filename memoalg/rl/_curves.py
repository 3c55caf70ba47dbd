"""Statistics of few runs (IQM, stratified bootstrap) and the learning curve as a picture."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from ._folder import RunFolder
from ._metrics import Row, stack_rows

_TRIM = 0.25
_SMOOTH = 40


def iqm(scores: Float[np.ndarray, "*shape"], axis: int | tuple[int, ...] | None = None) -> Any:
    """Interquartile mean: the mean of the middle half.

    The lowest and the highest quarter (rounded down) are dropped, as in Agarwal et al. 2021.

    Args:
        scores: any shape.
        axis: the axes to reduce; None reduces all.

    Returns:
        The mean over the middle half along `axis`.

    Source: R. Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical
    Precipice", 2021.

    >>> float(iqm(np.array([0.0, 1.0, 2.0, 100.0])))
    1.5
    """
    scores = np.asarray(scores, np.float64)
    if axis is None:
        axis = tuple(range(scores.ndim))
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    moved = np.moveaxis(scores, axes, range(-len(axes), 0))
    flat = np.sort(moved.reshape(*moved.shape[: scores.ndim - len(axes)], -1), axis=-1)
    cut = int(_TRIM * flat.shape[-1])
    return flat[..., cut : flat.shape[-1] - cut].mean(axis=-1)


def bootstrap_interval(
    scores: Float[np.ndarray, "samples strata"],
    *,
    statistic: Callable[..., Any] = np.mean,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile interval of a statistic, each column (stratum) resampled by itself.

    Args:
        scores: one row per sample (a seed, an episode), one column per stratum (a task, a seed).
        statistic: called as `statistic(scores, axis=(-2, -1))`, such as `np.mean` or `iqm`.
        resamples: bootstrap samples.
        confidence: probability that the interval covers, in (0, 1).
        seed: of the resampling, so that the same run gives the same interval.

    Returns:
        The lower and the upper end.

    Raises:
        ValueError: `scores` is not a matrix, is empty, or `confidence` is out of range.

    >>> bootstrap_interval(np.ones((5, 1)))
    (1.0, 1.0)
    """
    scores = np.asarray(scores, np.float64)
    if scores.ndim != 2 or scores.size == 0:
        raise ValueError(
            f"scores must be a matrix (samples, strata) with entries, got shape {scores.shape}; "
            "for a single stratum write scores[:, None]"
        )
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must lie in (0, 1), got {confidence}; write 0.95 for 95 %")
    generator = np.random.default_rng(seed)
    samples, strata = scores.shape
    rows = generator.integers(samples, size=(resamples, samples, strata))
    values = statistic(scores[rows, np.arange(strata)], axis=(-2, -1))
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def mean_interval(values: Float[np.ndarray, "samples points"]) -> Float[np.ndarray, "3 points"]:
    """Mean, lower and upper end of its 95 % bootstrap interval at each point; NaN is left out.

    Args:
        values: one row per sample; NaN where a sample says nothing.

    Returns:
        Rows: mean, lower end, upper end; NaN at a point without samples.
    """
    result = np.full((3, values.shape[1]), np.nan)
    for i, column in enumerate(values.T):
        known = column[~np.isnan(column)]
        if known.size:
            result[:, i] = known.mean(), *bootstrap_interval(known[:, None], resamples=500)
    return result


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
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'pictures need matplotlib: pip install "memoalg[plot]"', name="matplotlib"
        ) from error
    runs = [RunFolder.open(folder) for folder in folders]
    path = Path(path) if path is not None else runs[0].curve
    # A Figure of its own, not pyplot: no global state, no window.
    figure = Figure(figsize=(7.0, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for i, run in enumerate(runs):
        _draw(axes, run, f"C{i % 10}")
    axes.set_xlabel("environment steps per seed")
    axes.set_ylabel("episode return")
    axes.grid(alpha=0.3)
    axes.legend(loc="best", fontsize="small")
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    figure.savefig(temporary, dpi=130)
    os.replace(temporary, path)
    return path


def _draw(axes: Any, run: RunFolder, color: str) -> None:
    seeds = run.seeds
    rows = run.metric_rows()
    if rows:
        steps, returns = smoothed_returns(rows, seeds)
        mean, low, high = mean_interval(returns)
        axes.plot(steps, mean, color=color, label=f"{run.path.name}: training, {_count(seeds)}")
        if seeds > 1:
            axes.fill_between(steps, low, high, color=color, alpha=0.2, linewidth=0)
    evaluations = run.evaluation_rows()
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
            label=f"{run.path.name}: greedy evaluation, mean and 95 %",
        )


def _count(seeds: int) -> str:
    return "1 seed" if seeds == 1 else f"{seeds} seeds, mean and 95 %"


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


def summary_interval(returns: Sequence[Sequence[float]]) -> tuple[float, float, float]:
    """Mean over everything with its 95 % bootstrap interval; the seeds are the strata.

    Args:
        returns: episode returns of each seed; the seeds may have different numbers of them.

    Returns:
        Mean, lower end, upper end; NaN without any episode.
    """
    known = [r for r in returns if len(r)]
    if not known:
        return (np.nan, np.nan, np.nan)
    fewest = min(map(len, known))
    scores = np.array([r[:fewest] for r in known], np.float64).T
    return (float(scores.mean()), *bootstrap_interval(scores))
