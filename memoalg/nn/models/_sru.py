"""The simple recurrent unit."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ..._product import dense_product
from ...algebra import AbstractMonoid, Affine
from .._check import check_sizes
from .._layer import AbstractLayer
from .._memoroid import AbstractMemoroid
from .._precision import wide


class SRU(AbstractMemoroid):
    r"""Simple recurrent unit: a light recurrence under a highway connection.

    $$f_t = \sigma(W_f x_t + b_f), \quad c_t = f_t \odot c_{t-1} + (1 - f_t) \odot W x_t,$$
    $$r_t = \sigma(W_r x_t + b_r), \quad h_t = r_t \odot c_t + (1 - r_t) \odot \alpha u_t.$$

    u is x, or $W_u x$ where `in_size` and `out_size` differ, and h is the output. The constant
    $\alpha = \sqrt{1 + 2 e^{b}}$, with b where $b_r$ begins, keeps the variance from layer to layer.

    The paper's final version adds *peepholes*, $v_f \odot c_{t-1}$ and $v_r \odot c_{t-1}$ inside the
    gates; they are left out here, because with them the recurrence is linear no more. This is the unit
    of the paper's first version, with the identity for its activation.

    Arguments:
        in_size: length of an input vector.
        out_size: length of c and of the output.
        highway_bias: b; negative lets more of the input pass at first.
        key: for the initialisation: weights uniform with variance one over `in_size`.

    Raises:
        ValueError: for a size below 1.

    Source: Lei et al., Simple Recurrent Units for Highly Parallelizable Recurrence
        (arXiv 1709.02755), section 3, with $v_f = v_r = 0$.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.SRU(3, 4, key=jax.random.key(0))
        >>> layer(layer.init_carry(), jnp.ones((5, 3)), None)[1].shape
        (5, 4)
    """

    inputs: Float[Array, "2*out in"]
    forget_bias: Float[Array, " out"]
    highway: Float[Array, "rows in"]
    reset_bias: Float[Array, " out"]
    in_size: int = eqx.field(static=True)
    out_size: int = eqx.field(static=True)
    scale: float = eqx.field(static=True)

    def __init__(
        self, in_size: int, out_size: int, *, highway_bias: float = 0.0, key: PRNGKeyArray
    ):
        check_sizes("SRU", in_size=in_size, out_size=out_size)
        in_key, highway_key = jax.random.split(key)
        bound = (3 / in_size) ** 0.5
        rows = out_size if in_size == out_size else 2 * out_size
        draw = jax.random.uniform
        self.inputs = draw(in_key, (2 * out_size, in_size), minval=-bound, maxval=bound)
        self.highway = draw(highway_key, (rows, in_size), minval=-bound, maxval=bound)
        self.forget_bias = jnp.zeros(out_size)
        self.reset_bias = jnp.full(out_size, float(highway_bias))
        self.in_size, self.out_size = in_size, out_size
        self.scale = math.sqrt(1 + 2 * math.exp(highway_bias))

    @property
    def monoid(self) -> AbstractMonoid:
        return Affine(self.out_size, wide(self.inputs).dtype)

    def encode(self, x: Float[Array, " in"]) -> tuple[Array, Array]:
        candidate, gate = jnp.split(wide(dense_product(x, self.inputs)), 2)
        gate = gate + wide(self.forget_bias)
        return jax.nn.sigmoid(gate), jax.nn.sigmoid(-gate) * candidate

    def readout(self, read: Float[Array, " out"], x: Float[Array, " in"]) -> Float[Array, " out"]:
        rows = dense_product(x, self.highway)
        reset = jax.nn.sigmoid(rows[: self.out_size] + self.reset_bias)
        through = x if self.in_size == self.out_size else rows[self.out_size :]
        return reset * read.astype(reset.dtype) + (1 - reset) * (self.scale * through)


def sru(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """The SRU alone: its highway connection is its skip."""
    return SRU(width, width, key=key)
