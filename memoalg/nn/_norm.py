"""Normalisation of vectors, with and without parameters."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def layer_norm(
    x: Float[Array, "*heads size"], epsilon: float = 1e-5
) -> Float[Array, "*heads size"]:
    """x with mean 0 and variance 1 over its last axis; `epsilon` is added to the variance."""
    # Not mean(x²) - mean(x)²: that cancels where the mean is large, and may be negative.
    centred = x - jnp.mean(x, axis=-1, keepdims=True)
    variance = jnp.mean(centred * centred, axis=-1, keepdims=True)
    return centred * jax.lax.rsqrt(variance + epsilon)


def rms_norm(x: Float[Array, "*heads size"], epsilon: float = 1e-6) -> Float[Array, "*heads size"]:
    """x over the root of its mean square on the last axis; `epsilon` is added to the mean square."""
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + epsilon)


def unit_norm(x: Float[Array, "*heads size"], epsilon: float = 1e-6) -> Float[Array, "*heads size"]:
    """x over its Euclidean length on the last axis; `epsilon` is added to the squared length."""
    return x * jax.lax.rsqrt(jnp.sum(x * x, axis=-1, keepdims=True) + epsilon)


class LayerNorm(eqx.Module):
    r"""$\gamma \odot (x - \bar x) / \sqrt{\mathrm{var}(x) + 10^{-5}} + \beta$ on one vector.

    Arguments:
        size: length of x.

    Source: Ba et al., Layer Normalization (arXiv 1607.06450).

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> print(ma.nn.LayerNorm(2)(jnp.array([0.0, 2.0])).round(3))
        [-1.  1.]
    """

    scale: Float[Array, " size"]
    shift: Float[Array, " size"]

    def __init__(self, size: int):
        self.scale, self.shift = jnp.ones(size), jnp.zeros(size)

    def __call__(self, x: Float[Array, " size"]) -> Float[Array, " size"]:
        return layer_norm(x) * self.scale + self.shift


class RMSNorm(eqx.Module):
    r"""$\gamma \odot x / \sqrt{\mathrm{mean}(x^2) + 10^{-6}}$ on one vector.

    Arguments:
        size: length of x.

    Source: Zhang and Sennrich, Root Mean Square Layer Normalization (arXiv 1910.07467).

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> print(ma.nn.RMSNorm(2)(jnp.array([3.0, 3.0])).round(3))
        [1. 1.]
    """

    scale: Float[Array, " size"]

    def __init__(self, size: int):
        self.scale = jnp.ones(size)

    def __call__(self, x: Float[Array, " size"]) -> Float[Array, " size"]:
        return rms_norm(x) * self.scale
