"""An affine map on the last axis, with orthogonal weights."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray


class Dense(eqx.Module):
    """`x @ weight + bias` on the last axis, any leading axes: one matrix product for a whole batch.

    Args:
        in_size: Size of the last axis of the input.
        out_size: Size of the last axis of the output.
        scale: Gain of the orthogonal initial weights.
        key: Random key.
    """

    weight: Float[Array, "in out"]
    bias: Float[Array, " out"]

    def __init__(self, in_size: int, out_size: int, *, scale: float, key: PRNGKeyArray):
        self.weight = jax.nn.initializers.orthogonal(scale)(key, (in_size, out_size))
        self.bias = jnp.zeros(out_size)

    def __call__(self, x: Float[Array, "... in"]) -> Float[Array, "... out"]:
        # Flattened, so that the weight gradient is a plain product of rank 2.
        y = (x.reshape(-1, x.shape[-1]) @ self.weight).reshape(*x.shape[:-1], self.weight.shape[1])
        return y + jnp.broadcast_to(self.bias, y.shape)
