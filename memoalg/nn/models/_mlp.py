"""The control without memory."""

import equinox as eqx
import jax
from jaxtyping import Array, PRNGKeyArray

from .._feed_forward import Pointwise
from .._linear import Linear


class Dense(eqx.Module):
    """A linear map and a relu: one step of [`memoalg.nn.MLP`][]."""

    linear: Linear

    def __call__(self, x: Array) -> Array:
        return jax.nn.relu(self.linear(x))


def MLP(in_size: int, out_size: int, *, key: PRNGKeyArray) -> Pointwise:
    """The control without memory: `relu(W x + b)` of each step alone.

    Arguments:
        in_size: length of an input vector.
        out_size: length of an output vector.
        key: for the initialisation.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> ma.nn.MLP(3, 2, key=jax.random.key(0)).init_carry()
        ()
    """
    return Pointwise(Dense(Linear(in_size, out_size, scale=2**0.5, key=key)), in_size, out_size)


def mlp(width: int, key: PRNGKeyArray) -> Pointwise:
    """`relu(W x + b)`: the control without memory."""
    return MLP(width, width, key=key)
