"""Gated linear units: a linear map under a gate of the same input."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ._linear import Linear


class GLU(eqx.Module):
    r"""$(W x + b) \odot \sigma(V x + c)$ on one vector.

    Arguments:
        in_size: length of x.
        out_size: length of the output.
        key: for the initialisation.

    Source: Dauphin et al., Language Modeling with Gated Convolutional Networks (arXiv 1612.08083), eq. 1.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> ma.nn.GLU(3, 2, key=jax.random.key(0))(jnp.ones(3)).shape
        (2,)
    """

    linear: Linear

    def __init__(self, in_size: int, out_size: int, *, key: PRNGKeyArray):
        self.linear = Linear(in_size, 2 * out_size, key=key)

    def __call__(self, x: Float[Array, " in"]) -> Float[Array, " out"]:
        value, gate = jnp.split(self.linear(x), 2)
        return value * jax.nn.sigmoid(gate)
