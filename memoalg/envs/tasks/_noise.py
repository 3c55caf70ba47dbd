"""Noise on what is seen."""

from abc import abstractmethod

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray


class AbstractNoise(eqx.Module):
    """Draws numbers with mean 0 and variance 1.

    A task takes its noise as an argument, so that a test can force the numbers.
    """

    @abstractmethod
    def draw(self, key: PRNGKeyArray, size: int) -> Float[Array, " size"]:
        """Draw `size` numbers.

        Args:
            key: a random key, used for nothing else.
            size: how many.

        Returns:
            Default floats.
        """


class GaussianNoise(AbstractNoise):
    """Independent standard normal numbers."""

    def draw(self, key: PRNGKeyArray, size: int) -> Float[Array, " size"]:
        """Draw from N(0, 1)."""
        return jax.random.normal(key, (size,), float)


def perturb(
    clean: Float[Array, " size"],
    numbers: Float[Array, " size"],
    sigma: Float[Array, ""],
    high: np.ndarray,
) -> Float[Array, " size"]:
    """Add `sigma * numbers` and clip to `-high..high`."""
    bound = jnp.asarray(high, clean.dtype)
    return jnp.clip(clean + sigma * numbers, -bound, bound)
