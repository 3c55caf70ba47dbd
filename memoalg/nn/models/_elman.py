"""The simple recurrent network."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ..._product import dense_product
from .._check import check_sizes
from .._compose import Residual
from .._layer import AbstractLayer
from .._linear import Linear
from .._recurrent import AbstractRecurrent


class Elman(AbstractRecurrent):
    r"""Elman's network: $h' = \tanh(W x + b + U h)$; its output is its state.

    Arguments:
        in_size: length of an input vector.
        out_size: length of the state, which is the output.
        key: for the initialisation: recurrent weights orthogonal.

    Raises:
        ValueError: for a size below 1.

    Source: Elman, Finding structure in time (Cognitive Science 14, 1990), without its output layer.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.Elman(3, 4, key=jax.random.key(0))
        >>> layer(layer.init_carry(), jnp.ones((5, 3)), None)[1].shape
        (5, 4)
    """

    inputs: Linear
    recurrent: Float[Array, "gates state"]
    in_size: int = eqx.field(static=True)
    out_size: int = eqx.field(static=True)

    def __init__(self, in_size: int, out_size: int, *, key: PRNGKeyArray):
        check_sizes("Elman", in_size=in_size, out_size=out_size)
        input_key, recurrent_key = jax.random.split(key)
        orthogonal = jax.nn.initializers.orthogonal()
        self.inputs = Linear(in_size, out_size, key=input_key)
        self.recurrent = orthogonal(recurrent_key, (out_size, out_size), jnp.result_type(float))
        self.in_size, self.out_size = in_size, out_size

    def project(self, x: Float[Array, " in"]) -> tuple[tuple[Array, ...], tuple[()]]:
        return (self.inputs(x).astype(self.recurrent.dtype),), ()

    def recur(self, state: Float[Array, "*time state"]) -> Float[Array, "*time gates"]:
        return dense_product(state, self.recurrent)

    def activate(
        self,
        state: Float[Array, " state"],
        gates: tuple[Float[Array, " state"], ...],
        rest: tuple[Float[Array, " state"], ...],
        own: tuple[()],
    ) -> Float[Array, " state"]:
        return jnp.tanh(gates[0])

    def initial_state(self) -> Float[Array, " state"]:
        return jnp.zeros(self.out_size, self.recurrent.dtype)


def elman(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """`x + Elman(x)`."""
    return Residual(Elman(width, width, key=key))
