"""The minimal gated unit."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ..._product import dense_product
from .._cell import AbstractCell
from .._check import check_sizes
from .._layer import AbstractLayer
from .._linear import Linear


class MGU(AbstractCell):
    r"""Minimal gated unit: one gate, that of what to keep and of what to replace.

    $$f = \sigma(W_f x + U_f h), \quad n = \tanh(W_n x + U_n (f \odot h)), \quad
      h' = (1 - f) \odot h + f \odot n.$$

    Biases are in $W$. The gate comes before the second product, so a step has two products in a row.

    Arguments:
        in_size: length of an input vector.
        out_size: length of the state, which is the output.
        key: for the initialisation: recurrent weights orthogonal.

    Raises:
        ValueError: for a size below 1.

    Source: Zhou et al. (arXiv 1603.09420).

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.MGU(3, 4, key=jax.random.key(0))
        >>> layer(layer.init_carry(), jnp.ones((5, 3)), None)[1].shape
        (5, 4)
    """

    inputs: Linear
    gate: Float[Array, "state state"]
    candidate: Float[Array, "state state"]
    in_size: int = eqx.field(static=True)
    out_size: int = eqx.field(static=True)

    def __init__(self, in_size: int, out_size: int, *, key: PRNGKeyArray):
        check_sizes("MGU", in_size=in_size, out_size=out_size)
        input_key, gate_key, candidate_key = jax.random.split(key, 3)
        orthogonal = jax.nn.initializers.orthogonal()
        shape, dtype = (out_size, out_size), jnp.result_type(float)
        self.inputs = Linear(in_size, 2 * out_size, key=input_key)
        self.gate = orthogonal(gate_key, shape, dtype)
        self.candidate = orthogonal(candidate_key, shape, dtype)
        self.in_size, self.out_size = in_size, out_size

    def project(self, x: Float[Array, " in"]) -> tuple[Array, Array]:
        gate, candidate = jnp.split(self.inputs(x).astype(self.gate.dtype), 2)
        return gate, candidate

    def advance(
        self, state: Float[Array, " state"], projected: tuple[Array, Array]
    ) -> Float[Array, " state"]:
        gate = jax.nn.sigmoid(projected[0] + dense_product(state, self.gate))
        candidate = jnp.tanh(projected[1] + dense_product(gate * state, self.candidate))
        return state + gate * (candidate - state)

    def output(self, state: Float[Array, " state"]) -> Float[Array, " state"]:
        return state

    def initial_state(self) -> Float[Array, " state"]:
        return jnp.zeros(self.out_size, self.gate.dtype)


def mgu(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """The minimal gated unit alone: its gate is its skip."""
    return MGU(width, width, key=key)
