"""HigherLower: every step equals the original's, and what it promises beside that."""

import functools
from math import comb

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memoalg.envs.tasks._higher_lower import HigherLower, HigherLowerParams

from .replay import ScriptedDealer, differences, record
from .task_kit import (
    Faulty,
    RandomActions,
    chi_squared,
    found,
    limit,
    one_step_longer,
    oracle_episodes,
    pair_law,
    pictures,
    play_like,
    with_replacement,
)

reference = pytest.importorskip("popgym.envs.higher_lower", exc_type=ImportError)

LEVELS = {"Easy": 1, "Medium": 2, "Hard": 3}
KEYS = jax.random.split(jax.random.key(13), 4000)


def original(level: str):
    return vars(reference)[f"HigherLower{level}"]()


def rank_order(env) -> np.ndarray:
    return env.deck.ranks_idx[env.deck.idx[::-1]].astype(np.int32)


def count_cards(env, observation) -> int:
    """The likelier side, from what is left in the deck."""
    left = env.deck.ranks_idx[env.deck.idx[: len(env.deck)]]
    return int(np.sum(left > observation) < np.sum(left < observation))


def look_ahead(env, observation) -> int:
    """Sees the next card."""
    return int(env.deck.ranks_idx[env.deck.idx[len(env.deck) - 1]] <= observation)


POLICIES = {
    "oracle": lambda seed: count_cards,
    "clairvoyant": lambda seed: look_ahead,
    "memoryless": lambda seed: lambda env, observation: int(observation > 6),
    "random": RandomActions,
}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("level", LEVELS)
def test_every_step_equals_the_original(level, policy):
    for seed in range(3):
        episode, actions, hidden = record(original(level), seed, POLICIES[policy](seed), rank_order)
        env = HigherLower(LEVELS[level], ScriptedDealer(jnp.asarray(hidden[0])))
        wrong = differences(episode, play_like(env, env.default_params(), actions))
        assert not wrong, (seed, wrong)
        assert len(actions) == 52 * LEVELS[level] - 1
        assert env.action_space(env.default_params()).n == 2
        assert HigherLower(LEVELS[level]).name == f"popgym/HigherLower{level}"


def test_other_arguments_equal_the_original():
    reference_env = reference.HigherLower(num_decks=5)
    episode, actions, hidden = record(reference_env, 5, count_cards, rank_order)
    env = HigherLower(5, ScriptedDealer(jnp.asarray(hidden[0])))
    assert env.name == "popgym/HigherLower(5)"
    assert not differences(episode, play_like(env, env.default_params(), actions))
    one, params = HigherLower(1, env.dealer), HigherLowerParams(jnp.asarray(5, jnp.int32))
    assert not differences(episode, play_like(one, params, actions))


@functools.cache
def oracle_run(decks: int) -> tuple:
    """One program for every level: the deck count is a parameter."""
    params = HigherLowerParams(jnp.asarray(decks, jnp.int32))
    return jax.tree.map(np.asarray, oracle_episodes(HigherLower(), params, 155, KEYS))


def test_the_oracle_counts_cards():
    """It names the likelier side of what is left at every step, and does not see the order."""
    env = HigherLower(1)
    state = jax.tree.map(
        lambda leaf: leaf[:64, :50].reshape(64 * 50, -1).squeeze(), oracle_run(1)[1][1]
    )
    guesses = jax.vmap(env.oracle, in_axes=(0, None))(
        jax.tree.map(jnp.asarray, state), env.default_params()
    )
    card = state.card[:, None]
    higher = np.where(np.arange(13) > card, state.remaining, 0).sum(1)
    lower = np.where(np.arange(13) < card, state.remaining, 0).sum(1)
    assert np.array_equal(guesses, higher < lower)


def best_return(decks: int) -> float:
    """The exact mean return of counting cards: the mean of |higher - lower| / left, over all steps.

    Given the card on the table, the `left` cards are a random subset of the other ones.
    """
    cards, each = 52 * decks, 4 * decks
    total = 0.0
    for rank in range(13):
        higher, lower = (12 - rank) * each, rank * each
        for left in range(1, cards):
            for equal in range(min(each - 1, left) + 1):
                rest = left - equal
                ways = sum(
                    comb(higher, up) * comb(lower, rest - up) * abs(2 * up - rest)
                    for up in range(rest + 1)
                )
                total += comb(each - 1, equal) * ways / comb(cards - 1, left) / left
    return total / 13 / cards


# (84/169 = 0.4970 is what the rank on the table alone gives.)
BEST = {"Easy": 0.527600, "Medium": 0.516103, "Hard": 0.511459}


def test_the_best_return_is_known():
    assert abs(best_return(1) - BEST["Easy"]) < 1e-6


@pytest.mark.parametrize("level", LEVELS)
def test_the_oracle_returns_the_best(level):
    length = 52 * LEVELS[level] - 1
    _, (_, _, reward, terminated, truncated) = oracle_run(LEVELS[level])
    returns = reward[:, :length].sum(1)
    error = returns.std() / np.sqrt(returns.size)
    assert error < 0.002
    assert abs(returns.mean() - BEST[level]) < 4 * error
    assert np.all(np.argmax(terminated, 1) == length - 1)
    assert not truncated.any()


def test_decks_are_shuffled():
    first, (observation, *_) = oracle_run(1)
    cards = np.concatenate([first[:, None], observation[:, :51]], axis=1)
    assert all(np.all((cards == rank).sum(1) == 4) for rank in range(13))
    assert chi_squared(cards[:, 0], np.full(13, 1 / 13)) < limit(12)
    for a, b in ((0, 1), (25, 26), (0, 51)):
        assert chi_squared(13 * cards[:, a] + cards[:, b], pair_law(13, 1)) < limit(168)
    wrong = with_replacement(13)
    assert chi_squared(13 * wrong[:, :-1] + wrong[:, 1:], pair_law(13, 1)) > limit(168)


# Faults that public ports have, and others of their kind.


def other_way_round(env, key, state, action, params):
    """1 guesses higher."""
    return env.transition(key, state, 1 - action, params)


def equal_is_wrong(env, key, state, action, params):
    """Punishes where the rank is the same."""
    observation, state, reward, *ends = env.transition(key, state, action, params)
    return observation, state, jnp.where(reward == 0, -1 / 52, reward), *ends


def shows_the_card_before(env, key, state, action, params):
    _, *rest = env.transition(key, state, action, params)
    return state.card, *rest


def other_scale(env, key, state, action, params):
    """Divides by the number of steps."""
    observation, state, reward, *ends = env.transition(key, state, action, params)
    return observation, state, reward * 52 / 51, *ends


FAULTS = {
    "one step longer": (one_step_longer, "terminated"),
    "other way round": (other_way_round, "rewards"),
    "equal is wrong": (equal_is_wrong, "rewards"),
    "the card before": (shows_the_card_before, "observations"),
    "other scale": (other_scale, "rewards"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_seen(fault):
    transition, part = FAULTS[fault]
    episode, actions, hidden = record(original("Easy"), 0, count_cards, rank_order)
    env = Faulty(HigherLower(1, ScriptedDealer(jnp.asarray(hidden[0]))), transition)
    assert found(episode, play_like(env, env.default_params(), actions), part)


@pytest.mark.parametrize("decks", [0, 1001, 2.5, True])
def test_bad_arguments_are_explained(decks, without_hook):
    with pytest.raises((TypeError, ValueError), match=rf"HigherLower\(num_decks=.* got {decks}"):
        HigherLower(decks)


def test_pictures_have_one_size():
    pytest.importorskip("PIL")
    images = pictures(HigherLower(2), oracle_run(2)[1][1], [0, 50, 102])
    assert {image.shape for image in images} == {(172, 221, 3)}
    assert len({image.tobytes() for image in images}) == 3
