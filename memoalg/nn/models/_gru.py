"""The gated recurrent unit."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ..._product import dense_product
from .._check import check_sizes
from .._layer import AbstractLayer
from .._linear import Linear
from .._recurrent import AbstractRecurrent


class GRU(AbstractRecurrent):
    r"""Gated recurrent unit; its output is its state.

    $$r = \sigma(W_r x + U_r h), \quad z = \sigma(W_z x + U_z h), \quad
      n = \tanh(W_n x + b_n + r \odot (U_n h + c)), \quad h' = (1 - z) \odot n + z \odot h.$$

    The gates' biases are in $W$; $c$ is the bias inside the reset gate's product.

    Arguments:
        in_size: length of an input vector.
        out_size: length of the state, which is the output.
        key: for the initialisation: input weights orthogonal of scale sqrt(2), recurrent orthogonal.

    Raises:
        ValueError: for a size below 1.

    Source: Cho et al. (arXiv 1406.1078), in the form of cuDNN and PyTorch (`torch.nn.GRU`).

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.GRU(3, 4, key=jax.random.key(0))
        >>> layer(layer.init_carry(), jnp.ones((5, 3)), None)[1].shape
        (5, 4)
    """

    inputs: Linear
    recurrent: Float[Array, "gates state"]
    candidate_bias: Float[Array, " state"]
    in_size: int = eqx.field(static=True)
    out_size: int = eqx.field(static=True)

    def __init__(self, in_size: int, out_size: int, *, key: PRNGKeyArray):
        check_sizes("GRU", in_size=in_size, out_size=out_size)
        input_key, recurrent_key = jax.random.split(key)
        orthogonal = jax.nn.initializers.orthogonal()
        keys = jax.random.split(recurrent_key, 3)
        shape, dtype = (out_size, out_size), jnp.result_type(float)
        self.inputs = Linear(in_size, 3 * out_size, scale=2**0.5, key=input_key)
        self.recurrent = jnp.concatenate([orthogonal(k, shape, dtype) for k in keys])
        self.candidate_bias = jnp.zeros(out_size)
        self.in_size, self.out_size = in_size, out_size

    def project(self, x: Float[Array, " in"]) -> tuple[tuple[Array, ...], Array]:
        reset, update, new = jnp.split(self.inputs(x).astype(self.recurrent.dtype), 3)
        return (reset, update), new

    def recur(self, state: Float[Array, "*time state"]) -> Float[Array, "*time gates"]:
        none = jnp.zeros(2 * self.out_size, self.candidate_bias.dtype)
        bias = jnp.concatenate([none, self.candidate_bias])
        return dense_product(state, self.recurrent, bias)

    def activate(
        self,
        state: Float[Array, " state"],
        gates: tuple[Float[Array, " state"], ...],
        rest: tuple[Float[Array, " state"], ...],
        own: Float[Array, " state"],
    ) -> Float[Array, " state"]:
        reset, update = jax.nn.sigmoid(gates[0]), jax.nn.sigmoid(gates[1])
        new = jnp.tanh(own + reset * rest[0])
        return new + update * (state - new)

    def initial_state(self) -> Float[Array, " state"]:
        return jnp.zeros(self.out_size, self.recurrent.dtype)


def gru(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """The GRU alone: its gates are its skip."""
    return GRU(width, width, key=key)
