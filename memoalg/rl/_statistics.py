"""Statistics of few runs: interquartile mean, stratified bootstrap, aggregates with intervals."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

_TRIM = 0.25
_BOTH = (-2, -1)


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


def optimality_gap(
    scores: Float[np.ndarray, "*shape"],
    axis: int | tuple[int, ...] | None = None,
    *,
    target: float = 1.0,
) -> Any:
    """How far scores fall short of a target on average; what lies above it does not make up for it.

    $\\gamma - \\mathrm{mean}(\\min(x, \\gamma))$. Lower is better, 0 is best.

    Args:
        scores: normalised scores, any shape.
        axis: the axes to reduce; None reduces all.
        target: $\\gamma$, in units of score.

    Returns:
        The gap along `axis`.

    Source: R. Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical
    Precipice", 2021, section 4.3.

    >>> float(optimality_gap(np.array([0.5, 3.0])))
    0.25
    """
    return target - np.minimum(np.asarray(scores, np.float64), target).mean(axis=axis)


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
    scores = score_matrix("scores", scores)
    rows = resampled_rows(scores.shape, resamples, seed)
    values = statistic(scores[rows, np.arange(scores.shape[1])], axis=_BOTH)
    low, high = quantile_ends(values, confidence)
    return float(low), float(high)


def score_matrix(name: str, scores: Any) -> Float[np.ndarray, "samples strata"]:
    """Scores as float64, where they are a matrix with entries.

    Raises:
        ValueError: they are not.
    """
    scores = np.asarray(scores, np.float64)
    if scores.ndim != 2 or scores.size == 0:
        raise ValueError(
            f"{name} must be a matrix (samples, strata) with entries, got shape {scores.shape}; "
            f"for a single stratum write {name}[:, None]"
        )
    return scores


def resampled_rows(shape: tuple[int, ...], resamples: int, seed: int) -> np.ndarray:
    """Row numbers of bootstrap samples, `(resamples, samples, strata)`."""
    return np.random.default_rng(seed).integers(shape[0], size=(resamples, *shape))


def quantile_ends(values: np.ndarray, confidence: float) -> np.ndarray:
    """Both ends of the percentile interval along the first axis.

    Raises:
        ValueError: `confidence` is out of range.
    """
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must lie in (0, 1), got {confidence}; write 0.95 for 95 %")
    return np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)


@dataclass(frozen=True)
class Estimate:
    """A statistic with its bootstrap interval; prints as `0.93 (0.90 to 0.95)`.

    Attributes:
        value: of the data.
        low: lower end of the interval.
        high: upper end.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class Aggregate:
    """One method over several tasks in four numbers, each with its interval.

    Attributes:
        mean: over all runs of all tasks.
        median: over the tasks, of each task's mean over its runs.
        iqm: interquartile mean over all runs of all tasks.
        optimality_gap: below a score of 1.
    """

    mean: Estimate
    median: Estimate
    iqm: Estimate
    optimality_gap: Estimate


def aggregate(
    scores: Float[np.ndarray, "runs tasks"],
    *,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Aggregate:
    """Mean, median, interquartile mean and optimality gap, with stratified bootstrap intervals.

    Runs are resampled within each task. Of one run per task an interval has no width and says
    nothing.

    Args:
        scores: normalised scores, one row per run, one column per task.
        resamples: bootstrap samples.
        confidence: probability that an interval covers, in (0, 1).
        seed: of the resampling.

    Returns:
        The four, each with its interval.

    Raises:
        ValueError: `scores` is not a matrix, is empty, or `confidence` is out of range.

    Source: R. Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical
    Precipice", 2021.

    >>> print(aggregate(np.array([[0.0, 1.0], [0.0, 1.0]])).iqm)
    0.500 (0.500 to 0.500)
    """
    scores = score_matrix("scores", scores)

    def estimate(statistic: Callable[..., Any]) -> Estimate:
        ends = bootstrap_interval(
            scores, statistic=statistic, resamples=resamples, confidence=confidence, seed=seed
        )
        return Estimate(float(statistic(scores, axis=_BOTH)), *ends)

    return Aggregate(*map(estimate, (np.mean, _median_of_means, iqm, optimality_gap)))


def _median_of_means(scores: np.ndarray, axis: tuple[int, int]) -> Any:
    runs, tasks = axis
    # The runs' axis goes first, so the tasks' number from the end stays what it is.
    return np.median(scores.mean(axis=runs), axis=tasks)


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
