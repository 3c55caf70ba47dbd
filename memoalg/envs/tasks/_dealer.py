"""How cards are drawn: the deck is never stored, only how many of each type remain."""

from abc import abstractmethod

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

SUITS = 4
DECK_SIZE = 52


class AbstractDealer(eqx.Module):
    """Chooses the next card's type, given how many cards of each type remain.

    A task takes its dealer as an argument, so that a test can force the order of the cards.
    """

    @abstractmethod
    def deal(self, key: PRNGKeyArray, remaining: Int[Array, " types"]) -> Int[Array, ""]:
        """Choose a card.

        Args:
            key: a random key.
            remaining: int32, how many cards of each type are left. Where none is left the result
                is some type; the tasks never ask then.

        Returns:
            The card's type, int32 in `0..types-1`.
        """


class LazyDealer(AbstractDealer):
    """Draws the next type with probability proportional to the remaining counts.

    That is sampling without replacement, as dealing from a shuffled deck is:
    P(type i | cards so far) = remaining_i / sum(remaining). It costs one uniform number per card,
    and a new episode costs one card instead of a shuffled deck.
    """

    def deal(self, key: PRNGKeyArray, remaining: Int[Array, " types"]) -> Int[Array, ""]:
        """Invert the cumulative counts at one uniform number."""
        # float32 whatever x64 says: the same key deals the same cards. A uniform number is a
        # multiple of 2^-23 below 1, so its product with a total below 2^23 rounds below the total.
        uniform = jax.random.uniform(key, (), jnp.float32)
        # Unrolled additions: XLA's cumulative sum on a CPU is slower for so few numbers.
        cumulative = jax.lax.associative_scan(jnp.add, remaining)
        position = (uniform * cumulative[-1].astype(jnp.float32)).astype(jnp.int32)
        return jnp.sum(position >= cumulative, dtype=jnp.int32)


def remove_card(remaining: Int[Array, " types"], card: Int[Array, ""]) -> Int[Array, " types"]:
    """The counts after one card of this type was dealt."""
    # Compare and subtract, not `.at[card].add`: under vmap that is a scatter, slow on a CPU.
    types = jnp.arange(remaining.shape[0], dtype=jnp.int32)
    return jnp.where(types == card, remaining - 1, remaining)
