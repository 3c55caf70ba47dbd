"""How a payout is drawn."""

from abc import abstractmethod

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray


class AbstractCoin(eqx.Module):
    """Decides an event of a given probability.

    A task takes its coin as an argument, so that a test can force the events.
    """

    @abstractmethod
    def toss(
        self, key: PRNGKeyArray, chance: Float[Array, ""], time: Int[Array, ""]
    ) -> Bool[Array, ""]:
        """Decide.

        Args:
            key: a random key.
            chance: the probability of True, in 0..1.
            time: int32, steps of the episode so far; what a scripted coin reads from.

        Returns:
            Whether the event happens.
        """


class RandomCoin(AbstractCoin):
    """One uniform number below the chance, independent of the time."""

    def toss(
        self, key: PRNGKeyArray, chance: Float[Array, ""], time: Int[Array, ""]
    ) -> Bool[Array, ""]:
        """Compare a uniform number in [0, 1) with the chance: 0 never pays, 1 always does."""
        # float32 whatever x64 says: the same key tosses the same coin.
        return jax.random.uniform(key, (), jnp.float32).astype(chance.dtype) < chance
