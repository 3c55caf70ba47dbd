"""The long short-term memory."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ..._product import dense_product
from .._check import check_sizes
from .._layer import AbstractLayer
from .._linear import Linear
from .._recurrent import AbstractRecurrent

Pair = tuple[Float[Array, " state"], Float[Array, " state"]]


class LSTM(AbstractRecurrent):
    r"""Long short-term memory with forget gate; the state is (h, c), the output h.

    $$i = \sigma(W_i x + U_i h), \quad f = \sigma(W_f x + U_f h), \quad
      g = \tanh(W_g x + U_g h), \quad o = \sigma(W_o x + U_o h),$$
    $$c' = f \odot c + i \odot g, \qquad h' = o \odot \tanh(c').$$

    Biases are in $W$; that of the forget gate begins at 1.

    Arguments:
        in_size: length of an input vector.
        out_size: length of h, which is the output, and of c.
        key: for the initialisation: recurrent weights orthogonal.

    Raises:
        ValueError: for a size below 1.

    Source: Gers et al., Learning to forget (Neural Computation 12, 2000), without peepholes, in the
        form of cuDNN and PyTorch (`torch.nn.LSTM`); the bias of 1: Jozefowicz et al. (ICML 2015).

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.LSTM(3, 4, key=jax.random.key(0))
        >>> layer(layer.init_carry(), jnp.ones((5, 3)), None)[1].shape
        (5, 4)
    """

    inputs: Linear
    recurrent: Float[Array, "gates state"]
    in_size: int = eqx.field(static=True)
    out_size: int = eqx.field(static=True)

    def __init__(self, in_size: int, out_size: int, *, key: PRNGKeyArray):
        check_sizes("LSTM", in_size=in_size, out_size=out_size)
        input_key, recurrent_key = jax.random.split(key)
        orthogonal = jax.nn.initializers.orthogonal()
        keys = jax.random.split(recurrent_key, 4)
        shape, dtype = (out_size, out_size), jnp.result_type(float)
        inputs = Linear(in_size, 4 * out_size, key=input_key)
        forget = jnp.zeros(4 * out_size).at[out_size : 2 * out_size].set(1)
        self.inputs = eqx.tree_at(lambda linear: linear.bias, inputs, forget)
        self.recurrent = jnp.concatenate([orthogonal(k, shape, dtype) for k in keys])
        self.in_size, self.out_size = in_size, out_size

    def project(self, x: Float[Array, " in"]) -> tuple[tuple[Array, ...], tuple[()]]:
        return tuple(jnp.split(self.inputs(x).astype(self.recurrent.dtype), 4)), ()

    def recur(self, state: Float[Array, "*time state"]) -> Float[Array, "*time gates"]:
        return dense_product(state, self.recurrent)

    def activate(
        self,
        state: Pair,
        gates: tuple[Float[Array, " state"], ...],
        rest: tuple[Float[Array, " state"], ...],
        own: tuple[()],
    ) -> Pair:
        write, forget, output = (jax.nn.sigmoid(gates[i]) for i in (0, 1, 3))
        cell = forget * state[1] + write * jnp.tanh(gates[2])
        return output * jnp.tanh(cell), cell

    def initial_state(self) -> Pair:
        zeros = jnp.zeros(self.out_size, self.recurrent.dtype)
        return zeros, zeros


def lstm(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """The LSTM alone: its gates are its skip."""
    return LSTM(width, width, key=key)
