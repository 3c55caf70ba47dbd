"""Two ways to compare methods over tasks: performance profiles, probability of improvement."""

import numpy as np
from jaxtyping import Float

from ._statistics import Estimate, quantile_ends, resampled_rows, score_matrix


def performance_profile(
    scores: Float[np.ndarray, "runs tasks"],
    thresholds: Float[np.ndarray, " thresholds"],
    *,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Float[np.ndarray, "3 thresholds"]:
    """Share of runs whose score is above each threshold, averaged over the tasks.

    $\\hat F(\\tau) = \\frac1M \\sum_m \\frac1N \\sum_n [x_{mn} > \\tau]$, the score distribution. The band
    is pointwise: it covers at each threshold with this confidence, not at all of them at once.

    Args:
        scores: normalised scores, one row per run, one column per task.
        thresholds: scores, in any order.
        resamples: bootstrap samples; runs are resampled within each task.
        confidence: of the band at each threshold, in (0, 1).
        seed: of the resampling.

    Returns:
        Rows: share, lower end, upper end.

    Raises:
        ValueError: `scores` is not a matrix, is empty, or `confidence` is out of range.

    Source: R. Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical
    Precipice", 2021, section 4.2.

    >>> performance_profile(np.array([[0.2], [0.8]]), np.array([0.0, 0.5, 0.8]))[0]
    array([1. , 0.5, 0. ])
    """
    scores = score_matrix("scores", scores)
    thresholds = np.asarray(thresholds, np.float64)
    above = (scores[..., None] > thresholds).astype(np.float64)
    shares = np.einsum("brk,rkt->bt", _counts(scores, resamples, seed), above) / scores.size
    return np.stack([above.mean(axis=(0, 1)), *quantile_ends(shares, confidence)])


def probability_of_improvement(
    x: Float[np.ndarray, "runs_x tasks"],
    y: Float[np.ndarray, "runs_y tasks"],
    *,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """How likely a run of one method beats a run of another on the same task; ties count half.

    The mean over tasks of $P(X > Y) + \\frac12 P(X = Y)$, each over all pairs of runs: the
    Mann-Whitney statistic divided by the number of pairs. Tasks are paired (column by column), runs
    are not: any run of `x` meets any of `y`, their order and number do not matter, and both are
    resampled independently.

    Args:
        x: scores of the one, a row per run, a column per task. No need to normalise them.
        y: scores of the other on the same tasks in the same order.
        resamples: bootstrap samples.
        confidence: probability that the interval covers, in (0, 1).
        seed: of the resampling.

    Returns:
        The probability with its interval; 0.5 is no difference. Significant, roughly, where the
        interval is above 0.5.

    Raises:
        ValueError: one is not a matrix, is empty, or the numbers of tasks differ.

    Source: R. Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical
    Precipice", 2021, section 4.3.

    >>> x, y = np.array([[3.0], [1.0]]), np.array([[2.0], [1.0]])
    >>> probability_of_improvement(x, y).value
    0.625
    """
    x, y = score_matrix("x", x), score_matrix("y", y)
    if x.shape[1] != y.shape[1]:
        raise ValueError(
            f"x has {x.shape[1]} tasks and y {y.shape[1]}; give both the same tasks as columns, in "
            "the same order"
        )
    difference = x[:, None] - y[None]
    wins = np.where(difference > 0, 1.0, np.where(difference == 0, 0.5, 0.0))
    pairs = wins.size
    first, second = _counts(x, resamples, seed), _counts(y, resamples, seed + 1)
    values = np.einsum("bxk,xyk,byk->b", first, wins, second, optimize=True) / pairs
    low, high = quantile_ends(values, confidence)
    return Estimate(float(wins.mean()), float(low), float(high))


def _counts(
    scores: Float[np.ndarray, "runs tasks"], resamples: int, seed: int
) -> Float[np.ndarray, "resamples runs tasks"]:
    """How often each entry is drawn in each bootstrap sample."""
    runs, tasks = scores.shape
    rows = resampled_rows(scores.shape, resamples, seed)
    counts = np.zeros((resamples, runs, tasks))
    np.add.at(counts, (np.arange(resamples)[:, None, None], rows, np.arange(tasks)), 1.0)
    return counts
