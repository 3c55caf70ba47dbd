"""Statistics against known values, and the picture."""

import numpy as np
import pytest

from memoalg.rl import bootstrap_interval, iqm, plot_runs, summary_interval
from memoalg.rl._curves import mean_interval, smoothed_returns
from memoalg.rl._metrics import metric_rows

from .test_metrics import chunk


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


def test_long_runs_are_averaged_by_episodes_and_not_by_updates():
    rows = metric_rows(chunk(1000, 1), 0, 1000, 10)
    steps, returns = smoothed_returns(rows, 1)
    assert len(steps) == 200
    assert steps[-1] == 10_000
    np.testing.assert_allclose(returns, 0.1, rtol=1e-6)


def test_no_run_no_picture(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no run folder: it has no config\.json"):
        plot_runs([tmp_path])
