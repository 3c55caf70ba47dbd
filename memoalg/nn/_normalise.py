"""Layer normalisation without parameters."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def layer_norm(x: Float[Array, " size"]) -> Float[Array, " size"]:
    """x with mean 0 and variance 1; 1e-5 is added to the variance, so that a constant x gives 0."""
    # Not mean(x²) - mean(x)²: that cancels where the mean is large, and may be negative.
    centred = x - jnp.mean(x)
    return centred * jax.lax.rsqrt(jnp.mean(centred * centred) + 1e-5)
