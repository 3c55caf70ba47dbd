"""MetaBandit: payouts, what is seen, exact returns, every reactive policy for two arms."""

import itertools

import numpy as np
import pytest

from benchmarks import anchors_dials as exact
from memoalg.envs.tasks._meta_bandit import MetaBandit

from .dial_play import agrees, play

SETTINGS = [(2, 20, "bernoulli"), (5, 50, "bernoulli"), (4, 30, "gaussian")]


def episodes(setting):
    return play(MetaBandit(*setting), setting[1])


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_last_pull_is_seen_and_paid(setting):
    arms, length, _ = setting
    random, _ = episodes(setting)
    arm, payout = random.observations
    assert np.array_equal(arm, random.actions)
    np.testing.assert_allclose(random.rewards, payout / length, rtol=1e-6)
    assert np.all(random.first[0] == arms)
    assert not random.first[1].any()
    assert set(random.lengths) == {length}
    assert not random.truncated.any()
    # The same arms through an episode, others in the next one.
    assert np.array_equal(random.before.means, random.after.means)
    assert len(np.unique(random.before.means[:, 0, 0])) > 2000


@pytest.mark.parametrize("setting", SETTINGS)
def test_payouts_follow_the_arms_law(setting):
    random, _ = episodes(setting)
    pulled = np.take_along_axis(random.before.means, random.actions[..., None], 2)[..., 0]
    payout = random.observations[1]
    if setting[2] == "bernoulli":
        assert set(np.unique(payout)) == {0.0, 1.0}
        error = (payout - pulled) / np.sqrt(pulled * (1 - pulled))
    else:
        error = payout - pulled
    assert abs(error.mean()) < 4 / error.size**0.5
    assert abs((error**2).mean() - 1) < 0.1
    # Dependence on an arm that was not pulled would show here.
    other = np.take_along_axis(
        random.before.means, (random.actions[..., None] + 1) % setting[0], 2
    )[..., 0]
    spread = (payout - pulled) * (other - other.mean())
    assert abs(spread.mean()) < 4 * spread.std() / spread.size**0.5


@pytest.mark.parametrize("setting", SETTINGS)
def test_returns_are_those_of_the_formulas(setting):
    arms, _, kind = setting
    random, oracle = episodes(setting)
    best = arms / (arms + 1) if kind == "bernoulli" else exact.best_of_normals(arms)
    assert agrees(random.returns, 0.5 if kind == "bernoulli" else 0.0)
    assert agrees(oracle.returns, best)


def test_stay_if_it_paid_is_the_best_reactive_policy_for_two_arms():
    """All 2^5 rules from the last arm and payout, by exact integration over both means."""
    policies = np.array(list(itertools.product(range(2), repeat=5)))
    values = exact.bandit_reactive(policies, 20)
    stay = np.array([[0, 1, 0, 0, 1]])
    np.testing.assert_allclose(values.max(), exact.bandit_reactive(stay, 20)[0], rtol=1e-12)
    # A constant arm pays half of the time; one pull decides nothing.
    np.testing.assert_allclose(values[0], 0.5, rtol=1e-12)
    np.testing.assert_allclose(exact.bandit_reactive(policies, 1), 0.5, rtol=1e-12)
    # What was won with one arm says something about it: 1/2, then P(won) 2/3 + P(lost) 1/2.
    np.testing.assert_allclose(
        exact.bandit_reactive(stay, 2)[0], (1 / 2 + 1 / 2 * 2 / 3 + 1 / 2 * 1 / 2) / 2, rtol=1e-12
    )


def test_means_are_uniform_or_normal():
    uniform, normal = (episodes(SETTINGS[i])[0].before.means[:, 0].ravel() for i in (1, 2))
    counts, _ = np.histogram(uniform, 10, (0, 1))
    expected = uniform.size / 10
    assert np.sum((counts - expected) ** 2 / expected) < 33.7  # 9 degrees, p = 1e-4
    assert abs(normal.mean()) < 4 / normal.size**0.5
    assert abs(normal.var() - 1) < 4 * (2 / normal.size) ** 0.5


BAD = {
    "one arm": (lambda: MetaBandit(1), "arms=.* from 2 to 1000, got 1"),
    "no pulls": (lambda: MetaBandit(2, 0), "length=.* got 0"),
    "kind": (lambda: MetaBandit(2, 10, "beta"), 'kind=.* "bernoulli" or "gaussian", got \'beta\''),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_are_explained(case, without_hook):
    build, message = BAD[case]
    with pytest.raises((TypeError, ValueError), match=message):
        build()
