"""Lazy dealing is dealing from a shuffled deck."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg.envs as envs

SUIT_COUNT = 13


@jax.jit
def deal_decks(dealer, keys):
    """Deal whole decks of 52 cards: int32 (decks, 52)."""

    def one(key):
        def body(remaining, key):
            card = dealer.deal(key, remaining)
            return remaining.at[card].add(-1), card

        return jax.lax.scan(body, jnp.full(4, SUIT_COUNT, jnp.int32), jax.random.split(key, 52))[1]

    return jax.vmap(one)(keys)


class WithReplacement(envs.AbstractDealer):
    """Wrong: forgets what was dealt."""

    def deal(self, key, remaining):
        return jax.random.randint(key, (), 0, 4, jnp.int32)


@pytest.fixture(scope="module")
def decks():
    return np.asarray(deal_decks(envs.LazyDealer(), jax.random.split(jax.random.key(1), 60_000)))


def chi_squared(cards: np.ndarray, first: int, second: int) -> float:
    """Distance of the pairs of cards at two places from dealing without replacement; 15 degrees."""
    pairs = np.bincount(4 * cards[:, first] + cards[:, second], minlength=16)
    same = SUIT_COUNT * (SUIT_COUNT - 1) / (52 * 51)
    other = SUIT_COUNT * SUIT_COUNT / (52 * 51)
    expected = len(cards) * np.where(np.eye(4), same, other).reshape(-1)
    return float(np.sum((pairs - expected) ** 2 / expected))


LIMIT = 44.3  # exceeded once in 10,000


def test_every_suit_comes_thirteen_times(decks):
    counts = np.stack([(decks == suit).sum(1) for suit in range(4)])
    assert (counts == SUIT_COUNT).all()


@pytest.mark.parametrize(("first", "second"), [(0, 1), (25, 26), (50, 51), (0, 51), (3, 6)])
def test_pairs_have_the_probabilities_of_a_shuffled_deck(decks, first, second):
    # 12/51 for the same suit, whatever the two places are: a shuffled deck is exchangeable.
    assert chi_squared(decks, first, second) < LIMIT


def test_dealing_with_replacement_is_seen():
    cards = np.asarray(deal_decks(WithReplacement(), jax.random.split(jax.random.key(1), 60_000)))
    assert chi_squared(cards, 0, 1) > LIMIT


@pytest.mark.parametrize("total", [52, 832, 52_000])
def test_the_largest_uniform_number_still_names_a_card(total):
    largest = np.float32(1 - 2**-23)
    assert np.int32(largest * np.float32(total)) == total - 1


def test_only_what_is_left_is_dealt():
    remaining = jnp.array([0, 2, 0, 1], jnp.int32)
    deal = jax.vmap(envs.LazyDealer().deal, in_axes=(0, None))
    cards = np.asarray(deal(jax.random.split(jax.random.key(2), 3000), remaining))
    assert set(cards) == {1, 3}
    assert abs((cards == 1).mean() - 2 / 3) < 4 * np.sqrt(2 / 9 / 3000)


def test_the_pole_starts_uniformly():
    env = envs.PositionOnlyCartPole()
    reset = jax.jit(jax.vmap(env.reset, in_axes=(0, None)))
    _, state = reset(jax.random.split(jax.random.key(0), 20_000), env.default_params())
    for numbers in (state.position, state.velocity, state.angle, state.angular_velocity):
        counts, _ = np.histogram(np.asarray(numbers), bins=10, range=(-0.05, 0.05))
        assert counts.sum() == 20_000
        assert np.sum((counts - 2000) ** 2 / 2000) < 33.7  # 9 degrees, once in 10,000
    assert not np.any(state.time)
