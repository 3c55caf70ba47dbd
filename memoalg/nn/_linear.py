"""A dense map with the initialisation that recurrent learners use."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from .._product import dense_product


class Linear(eqx.Module):
    r"""$y = W x + b$ on one vector, $W$ orthogonal at first, $b = 0$.

    Arguments:
        in_size: length of x.
        out_size: length of y.
        scale: of the orthogonal initialisation.
        use_bias: False leaves b out.
        key: for the initialisation.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> ma.nn.Linear(3, 2, key=jax.random.key(0))(jnp.ones(3)).shape
        (2,)
    """

    weight: Float[Array, "out in"]
    bias: Float[Array, " out"] | None

    def __init__(
        self,
        in_size: int,
        out_size: int,
        *,
        scale: float = 1.0,
        use_bias: bool = True,
        key: PRNGKeyArray,
    ):
        init = jax.nn.initializers.orthogonal(scale)
        self.weight = init(key, (out_size, in_size), jnp.result_type(float))
        self.bias = jnp.zeros(out_size) if use_bias else None

    def __call__(self, x: Float[Array, " in"]) -> Float[Array, " out"]:
        return dense_product(x, self.weight, self.bias)
