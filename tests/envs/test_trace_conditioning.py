"""TraceConditioning: the course of a trial, the price of a blink, exact returns."""

import itertools

import numpy as np
import pytest

from benchmarks import anchors_dials as exact
from memoalg.envs.tasks._trace_conditioning import TraceConditioning

from .dial_play import agrees, play
from .task_kit import chi_squared, limit

SETTINGS = [(10, 0, 3, 2), (20, 5, 3, 3), (9, 1, 0, 1)]


def longest(interval: int, jitter: int, trials: int) -> int:
    return trials * (120 + interval + jitter + 2)


def episodes(setting):
    interval, _, jitter, trials = setting
    return play(TraceConditioning(*setting), longest(interval, jitter, trials))


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_trial_is_gap_tone_trace_puff(setting):
    """Run lengths, read from what is seen only."""
    interval, _, jitter, trials = setting
    random, _ = episodes(setting)
    for first, later, length in list(
        zip(random.first, random.observations, random.lengths, strict=True)
    )[:20]:
        seen = np.concatenate([first[None], later[: length - 1]])[:, :2]
        runs = [(tuple(map(int, k)), len(list(g))) for k, g in itertools.groupby(seen, key=tuple)]
        assert len(runs) == 4 * trials
        for gap, tone, trace, puff in zip(*[iter(runs)] * 4, strict=True):
            assert gap[0] == trace[0] == (0, 0)
            assert 80 <= gap[1] <= 120
            assert tone == ((1, 0), 4)
            assert interval - jitter <= 4 + trace[1] <= interval + jitter
            assert puff == ((0, 1), 2)


@pytest.mark.parametrize("setting", SETTINGS)
def test_rewards_are_as_documented(setting):
    """A blink pays where the puff begins at the next observation, and costs elsewhere."""
    random, _ = episodes(setting)
    seen = np.concatenate([random.first[:, None], random.observations], 1)[:, :, 1]
    begins = (seen[:, 1:] == 1) & (seen[:, :-1] == 0)
    worth = np.where(begins, 1.0, -0.02) / setting[3]
    expected = np.where(random.actions == 1, worth, 0.0)
    np.testing.assert_allclose(
        np.where(random.inside, random.rewards, 0), np.where(random.inside, expected, 0), atol=1e-7
    )
    assert not random.truncated.any()


@pytest.mark.parametrize("setting", SETTINGS)
def test_returns_are_those_of_the_formulas(setting):
    interval, _, jitter, _ = setting
    random, oracle = episodes(setting)
    expected = exact.trace_conditioning(interval, jitter)
    assert agrees(random.returns, expected.random)
    assert agrees(oracle.returns, expected.optimal)
    # Every episode on its own: a cost for each step from the earliest possible puff to the puff.
    state, inside = oracle.before, oracle.inside
    puffs = inside & (state.clock == state.interval)
    waits = np.where(puffs, state.interval - (interval - jitter), 0).sum(1)
    np.testing.assert_allclose(oracle.returns, 1 - 0.02 * waits / setting[3], atol=1e-5)


@pytest.mark.parametrize("setting", SETTINGS[:1])
def test_no_reactive_policy_is_better_than_none(setting):
    """All 8 rules from what is seen to a blink, valued on the same episodes (actions change nothing)."""
    random, _ = episodes(setting)
    seen = np.concatenate([random.first[:, None], random.observations], 1)
    code, puff = seen[:, :-1, 0] + 2 * seen[:, :-1, 1], seen[:, 1:, 1] > seen[:, :-1, 1]
    worth = np.where(random.inside, np.where(puff, 1.0, -0.02) / setting[3], 0.0)
    values = {
        rule: np.sum(worth * np.isin(code, rule), 1)
        for size in range(4)
        for rule in itertools.combinations(range(3), size)
    }
    best = max(values, key=lambda rule: values[rule].mean())
    assert best == ()
    # Gap, trace and tone by formula.
    interval = setting[0]
    assert agrees(values[(0,)], 1 - 0.02 * (100 + interval - 4 - 1))
    assert agrees(values[(1,)], -0.02 * 4)
    assert agrees(values[(2,)], -0.02 * 2)


def test_distractors_come_at_their_rates():
    random, _ = episodes(SETTINGS[1])
    seen = np.concatenate([random.first[:, None], random.observations], 1)[:, :, 2:]
    assert not seen[:, 0].any()
    for j in range(5):
        row = seen[:, :, j]
        off, on = row[:, :-1] == 0, row[:, 1:] == 1
        chances, begun = off.sum(), (off & on).sum()
        rate = 1 / (10 * (j + 1))
        assert abs(begun / chances - rate) < 4 * np.sqrt(rate * (1 - rate) / chances)
        # On for 4 steps: of the onsets with 5 steps to come, each.
        starts = np.argwhere(off & on)
        starts = starts[starts[:, 1] + 5 < row.shape[1]][:200]
        assert all(row[i, t + 1 : t + 6].tolist() == [1, 1, 1, 1, 0] for i, t in starts)


def test_gaps_and_intervals_are_uniform():
    random, _ = episodes(SETTINGS[0])
    gaps, intervals = -random.before.clock[:, 0] - 80, random.before.interval[:, 0] - 7
    assert chi_squared(gaps, np.full(41, 1 / 41)) < limit(40)
    assert chi_squared(intervals, np.full(7, 1 / 7)) < limit(6)
    # The same test refuses a range that is one too long.
    assert chi_squared(gaps % 40, np.full(41, 1 / 41)) > limit(40)


BAD = {
    "no trace": (lambda: TraceConditioning(7), "interval=.* from 8 to 10000, got 7"),
    "jitter": (lambda: TraceConditioning(40, 0, 26), "jitter=.* from 0 to 25, got 26"),
    "distractors": (lambda: TraceConditioning(10, -1), "distractors=.* from 0 to 1000, got -1"),
    "trials": (lambda: TraceConditioning(10, 0, 3, 0), "trials=.* got 0"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_are_explained(case, without_hook):
    build, message = BAD[case]
    with pytest.raises((TypeError, ValueError), match=message):
        build()
