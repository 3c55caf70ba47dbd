"""Statistics against values worked out by hand, textbooks, and scipy."""

import numpy as np
import pytest
import scipy.stats

from memoalg.rl._comparison import performance_profile, probability_of_improvement
from memoalg.rl._statistics import (
    aggregate,
    bootstrap_interval,
    iqm,
    mean_interval,
    optimality_gap,
    summary_interval,
)

# The mouse data of Efron and Tibshirani (An Introduction to the Bootstrap, table 2.1): days of
# survival. The bootstrap's standard error of the treatment's mean is 23.36.
TREATMENT = np.array([94.0, 197.0, 16.0, 38.0, 99.0, 141.0, 23.0])
CONTROL = np.array([52.0, 104.0, 146.0, 10.0, 51.0, 30.0, 40.0, 27.0, 46.0])


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([1.0, 2.0, 3.0, 4.0], 2.5),
        ([4.0, 1.0, 100.0, 2.0, 3.0], 3.0),  # a quarter of five, rounded down, is one
        ([5.0], 5.0),
        ([1.0, 2.0, 6.0], 3.0),  # nothing to drop
        (list(range(100)) + [1e9] * 4, 51.5),
    ],
)
def test_iqm_by_hand(scores, expected):
    assert iqm(np.array(scores)) == pytest.approx(expected)


def test_iqm_along_axes():
    scores = np.random.default_rng(0).normal(size=(3, 8, 4))
    expected = [iqm(s) for s in scores]
    np.testing.assert_allclose(iqm(scores, axis=(-2, -1)), expected)
    np.testing.assert_allclose(iqm(scores, axis=(1, 2)), expected)
    np.testing.assert_allclose(iqm(scores.T, axis=(0, 1)), expected)


def test_the_interval_of_a_mean_is_the_textbook_one():
    scores = np.random.default_rng(1).normal(size=(400, 1))
    low, high = bootstrap_interval(scores, resamples=4000)
    half = 1.96 * scores.std() / 20
    assert low == pytest.approx(scores.mean() - half, abs=0.01)
    assert high == pytest.approx(scores.mean() + half, abs=0.01)


def test_strata_are_resampled_by_themselves():
    """Two strata far apart: between them there is no variance to see."""
    scores = np.array([[0.0, 100.0]] * 10)
    assert bootstrap_interval(scores) == (50.0, 50.0)
    # Opposite noise in both: drawing whole rows would always give 0.
    noise = np.random.default_rng(5).normal(size=(50, 1))
    low, high = bootstrap_interval(np.concatenate([noise, -noise], axis=1))
    assert high - low > 0.1


def test_the_interval_covers_as_often_as_it_says():
    generator = np.random.default_rng(2)
    hits = 0
    for i in range(300):
        low, high = bootstrap_interval(
            generator.normal(size=(40, 1)), resamples=300, confidence=0.8, seed=i
        )
        hits += low <= 0 <= high
    assert 0.72 < hits / 300 < 0.86


def test_the_interval_is_repeatable_and_takes_a_statistic():
    scores = np.random.default_rng(3).normal(size=(10, 3)) ** 3
    assert bootstrap_interval(scores) == bootstrap_interval(scores)
    low, high = bootstrap_interval(scores, statistic=iqm)
    assert low < iqm(scores) < high
    wide = bootstrap_interval(scores)
    assert high - low < wide[1] - wide[0]  # heavy tails do not move the middle half


@pytest.mark.parametrize(
    ("scores", "confidence", "message"),
    [
        (np.ones(3), 0.95, r"must be a matrix.*write scores\[:, None\]"),
        (np.ones((0, 2)), 0.95, "must be a matrix"),
        (np.ones((3, 1)), 95.0, "write 0.95 for 95 %"),
    ],
)
def test_bad_input(scores, confidence, message, without_hook):
    with pytest.raises(ValueError, match=message):
        bootstrap_interval(scores, confidence=confidence)


def test_means_leave_out_what_is_not_known():
    values = np.array([[1.0, np.nan, np.nan], [3.0, 5.0, np.nan]])
    mean, low, high = mean_interval(values)
    np.testing.assert_array_equal(mean, [2.0, 5.0, np.nan])
    np.testing.assert_array_equal([low[0], high[0]], [1.0, 3.0])
    np.testing.assert_array_equal([low[1], high[1]], [5.0, 5.0])


def test_summary_of_seeds_with_different_numbers_of_episodes():
    assert summary_interval([[1.0, 1.0, 1.0], [3.0, 3.0], []]) == (2.0, 2.0, 2.0)
    assert np.isnan(summary_interval([[], []])).all()


@pytest.mark.parametrize("size", [1, 3, 4, 7, 8, 50])
def test_iqm_is_scipys_trimmed_mean(size):
    scores = np.random.default_rng(size).standard_cauchy((size, 3))
    assert iqm(scores) == pytest.approx(scipy.stats.trim_mean(scores.ravel(), 0.25))


def test_the_standard_error_of_efron_and_tibshirani():
    """An interval of one standard deviation, 68.27 %, is twice the standard error wide."""
    low, high = bootstrap_interval(TREATMENT[:, None], confidence=0.6827, resamples=20_000)
    assert (high - low) / 2 == pytest.approx(23.36, abs=0.4)


def test_the_interval_is_scipys():
    theirs = scipy.stats.bootstrap(
        (TREATMENT,), np.mean, method="percentile", n_resamples=20_000, rng=0
    ).confidence_interval
    ours = bootstrap_interval(TREATMENT[:, None], resamples=20_000)
    assert ours == pytest.approx((theirs.low, theirs.high), abs=2.0)


def test_optimality_gap_by_hand():
    scores = np.array([[0.5, 2.0], [0.9, 0.2]])
    assert optimality_gap(scores) == pytest.approx(1 - (0.5 + 1 + 0.9 + 0.2) / 4)
    np.testing.assert_allclose(optimality_gap(scores, axis=0), [0.3, 0.4])
    assert optimality_gap(scores, target=2.0) == pytest.approx(2 - 3.6 / 4)


def test_aggregates_by_hand():
    # Means of the tasks: 1, 2, 9. The middle of the six runs: 1, 1, 3, 8.
    scores = np.array([[1.0, 1.0, 10.0], [1.0, 3.0, 8.0]])
    result = aggregate(scores)
    assert result.mean.value == 4.0
    assert result.median.value == 2.0
    assert result.iqm.value == pytest.approx((1 + 1 + 3 + 8) / 4)
    assert result.optimality_gap.value == 0.0
    # The median over the tasks moves with the second task only, whose mean is 1 to 3.
    assert (result.median.low, result.median.high) == (1.0, 3.0)
    assert (result.mean.low, result.mean.high) == pytest.approx((10 / 3, 14 / 3))


def test_a_profile_by_hand():
    scores = np.array([[0.0, 0.5], [0.2, 0.5], [0.4, 1.0]])
    share, low, high = performance_profile(scores, np.array([-1.0, 0.1, 0.5, 1.0]))
    np.testing.assert_allclose(share, [1, 5 / 6, 1 / 6, 0])  # at 0.5 only 1.0 is above
    # Where no resampling can change anything the band has no width.
    np.testing.assert_array_equal([low[0], high[0], low[3], high[3]], [1, 1, 0, 0])
    # Of the runs above 0.1 two of three in the first task vary, in the second none.
    assert low[1] == pytest.approx((0 + 3) / 6, abs=0.17)
    assert high[1] == 1.0


def test_a_profiles_band_is_the_intervals_of_the_shares():
    """Pointwise the band is the bootstrap interval of a mean of zeros and ones."""
    scores = np.random.default_rng(4).normal(size=(12, 3))
    thresholds = np.array([-0.5, 0.0, 0.7])
    _, low, high = performance_profile(scores, thresholds, seed=3)
    for i, threshold in enumerate(thresholds):
        above = (scores > threshold).astype(float)
        np.testing.assert_allclose((low[i], high[i]), bootstrap_interval(above, seed=3))


def test_the_profile_of_one_task_is_its_survival_function():
    scores = np.random.default_rng(0).normal(size=(40, 1))
    thresholds = np.linspace(-2, 2, 9)
    theirs = scipy.stats.ecdf(scores[:, 0]).sf.evaluate(thresholds)
    np.testing.assert_allclose(performance_profile(scores, thresholds)[0], theirs)


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        ([[1.0]], [[0.0]], 1.0),
        ([[0.0]], [[0.0]], 0.5),
        ([[0.0]], [[1.0]], 0.0),
        ([[3.0], [1.0]], [[2.0], [1.0]], (1 + 1 + 0 + 0.5) / 4),
        ([[1.0, 0.0]], [[0.0, 1.0], [0.0, 0.0]], (1 + 0.25) / 2),  # the mean over two tasks
    ],
)
def test_probability_of_improvement_by_hand(x, y, expected):
    assert probability_of_improvement(np.array(x), np.array(y)).value == expected


def test_probability_of_improvement_is_mann_whitneys_statistic():
    result = probability_of_improvement(TREATMENT[:, None], CONTROL[:, None])
    statistic = scipy.stats.mannwhitneyu(TREATMENT, CONTROL).statistic
    assert result.value == pytest.approx(statistic / (7 * 9))
    assert result.low < 0.5 < result.high  # the published conclusion: not significant


def test_probability_of_improvement_resamples_both_sides():
    fixed = np.full((30, 1), 0.5)
    spread = np.arange(30.0)[:, None] / 29
    for x, y in ((fixed, spread), (spread, fixed)):
        result = probability_of_improvement(x, y)
        # Half of thirty uniform runs are above: a binomial share.
        assert result.high - result.low == pytest.approx(2 * 1.96 * 0.5 / 30**0.5, rel=0.15)
    both = probability_of_improvement(spread, spread[::-1])
    assert both.value == 0.5  # runs are not paired: their order does not matter
    assert 0.2 < both.high - both.low < 0.4


def test_runs_are_never_resampled_across_tasks():
    x = np.array([[1.0, 10.0]] * 5)
    y = np.array([[0.0, 11.0]] * 5)
    result = probability_of_improvement(x, y)
    assert (result.low, result.value, result.high) == (0.5, 0.5, 0.5)
    _, low, high = performance_profile(x, np.array([5.0]))
    assert low == high == 0.5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: probability_of_improvement(np.ones((2, 2)), np.ones((2, 3))), "2 tasks and y 3"),
        (lambda: probability_of_improvement(np.ones(2), np.ones((2, 3))), r"write x\[:, None\]"),
        (lambda: aggregate(np.ones((0, 3))), "matrix"),
        (lambda: performance_profile(np.ones((2, 1)), np.ones(1), confidence=2.0), "0.95"),
    ],
    ids=["tasks", "vector", "empty", "confidence"],
)
def test_bad_comparisons(call, message, without_hook):
    with pytest.raises(ValueError, match=message):
        call()
