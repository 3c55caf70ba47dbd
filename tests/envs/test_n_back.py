"""NBack: the rule, balanced matches, no help from fewer symbols."""

import numpy as np
import pytest

from benchmarks import anchors_dials as exact
from memoalg.envs.tasks._n_back import NBack

from .dial_play import agrees, play
from .task_kit import chi_squared, limit

CASES = [(1, 4, 50), (3, 2, 20), (4, 4, 100)]


def symbols_of(env) -> np.ndarray:
    """The symbols that were shown, `(episodes, length)`."""
    random, _ = play(env, env.length)
    return np.concatenate([random.first[:, None], random.observations[:, :-1]], 1)


@pytest.mark.parametrize(("n", "symbols", "length"), CASES)
def test_the_rule(n, symbols, length):
    """Against numpy on the symbols that were seen: reward, its place and scale, the end."""
    env = NBack(n, symbols, length)
    random, _ = play(env, length)
    shown, expected = symbols_of(env), np.zeros(random.rewards.shape)
    right = (shown[:, n:] == shown[:, :-n]) == (random.actions[:, n:] == 1)
    expected[:, n:] = np.where(right, 1, -1) / (length - n)
    np.testing.assert_allclose(random.rewards, expected, rtol=1e-6)
    assert set(random.lengths) == {length}
    assert not random.truncated.any()


@pytest.mark.parametrize(("n", "symbols", "length"), CASES)
def test_returns_are_those_of_the_formulas(n, symbols, length):
    expected = exact.n_back()
    random, oracle = play(NBack(n, symbols, length), length)
    np.testing.assert_allclose(oracle.returns, expected.optimal, atol=1e-5)
    assert agrees(random.returns, expected.random)


@pytest.mark.parametrize(("n", "symbols", "length"), CASES)
def test_a_match_is_independent_of_the_symbol_and_of_the_newer_ones(n, symbols, length):
    """chi-squared of (match, one symbol of the last n): what any shorter memory could use."""
    shown = symbols_of(NBack(n, symbols, length))
    # Windows that share no symbol.
    places = range(n, length, 2 * n + 1)
    law = np.full(2 * symbols, 1 / (2 * symbols))
    for age in {0, n - 1}:
        pairs = [(shown[:, t] == shown[:, t - n]) * symbols + shown[:, t - age] for t in places]
        assert chi_squared(np.concatenate(pairs), law) < limit(2 * symbols - 1)
    if n > 1:
        # The same test sees what an answer for the wrong lag would be used with.
        wrong = [(shown[:, t] == shown[:, t - 1]) * symbols + shown[:, t] for t in places]
        assert (chi_squared(np.concatenate(wrong), law) > limit(2 * symbols - 1)) == (symbols > 2)


def test_the_answer_for_another_lag_is_worth_nothing():
    env = NBack(4, 4, 100)
    shown = symbols_of(env)
    said = shown[:, 4:] == shown[:, 1:-3]
    right = said == (shown[:, 4:] == shown[:, :-4])
    assert agrees(np.where(right, 1.0, -1.0).mean(1), exact.n_back().memoryless)


BAD = {
    "n 0": (lambda: NBack(0), "n=.* from 1 to 1000, got 0"),
    "one symbol": (lambda: NBack(1, 1), "symbols=.* from 2 to 100, got 1"),
    "too short": (lambda: NBack(5, 4, 5), "length=.* from 6 to 1000000, got 5"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_are_explained(case, without_hook):
    build, message = BAD[case]
    with pytest.raises((TypeError, ValueError), match=message):
        build()
