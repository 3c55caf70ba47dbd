"""Linear attention with its normaliser."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ...algebra import AbstractMonoid, Power
from .._compose import Residual, Serial
from .._heads import check_heads, split_heads
from .._layer import AbstractLayer
from .._linear import Linear
from .._memoroid import AbstractMemoroid
from .._position import PositionalEncoding
from .._precision import wide
from ._normalised_outer_sum import NormalisedOuterSum as NormalisedOuterSum


class LinearAttention(AbstractMemoroid):
    r"""Causal attention with a positive feature map instead of a softmax, as a recurrence.

    $$S_t = S_{t-1} + \phi(k_t) v_t^\top, \quad z_t = z_{t-1} + \phi(k_t), \quad
      y_t = W_o \frac{S_t^\top \phi(q_t)}{z_t \cdot \phi(q_t)}, \qquad \phi(x) = 1 + \mathrm{elu}(x),$$

    in each head, with $q, k, v$ linear in x; $W_o$ sees all heads. The weights of all values sum to
    one, because the normaliser is the sum of *all* keys. The read happens inside the scan. The monoid
    is a [`memoalg.Power`][] of [`memoalg.nn.NormalisedOuterSum`][], in float32 or wider.

    Nothing is forgotten: what is read is an average over the whole episode, which long episodes blur.

    Arguments:
        in_size: length of an input vector.
        out_size: length of an output vector.
        state_size: length of the keys of all heads together, and of the values where `value_size` is
            None.
        value_size: length of the values of all heads together.
        heads: independent memories, each with its part of keys and values.
        key: for the initialisation.

    Raises:
        ValueError: where a size does not divide into the heads.

    Source: Katharopoulos et al., Transformers are RNNs (arXiv 2006.16236), eqs. 16 to 20.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.LinearAttention(3, 2, 4, heads=2, key=jax.random.key(0))
        >>> carry, ys = layer(layer.init_carry(), jnp.ones((5, 3)), None)
        >>> carry[0].shape, ys.shape
        ((2, 2, 2), (5, 2))
    """

    queries: Linear
    keys_values: Linear
    output: Linear
    in_size: int = eqx.field(static=True)
    out_size: int = eqx.field(static=True)
    key_size: int = eqx.field(static=True)
    value_size: int = eqx.field(static=True)
    heads: int = eqx.field(static=True)

    def __init__(
        self,
        in_size: int,
        out_size: int,
        state_size: int,
        *,
        value_size: int | None = None,
        heads: int = 1,
        key: PRNGKeyArray,
    ):
        value_size = state_size if value_size is None else value_size
        check_heads("LinearAttention", heads, state_size=state_size, value_size=value_size)
        query_key, pair_key, output_key = jax.random.split(key, 3)
        self.queries = Linear(in_size, state_size, key=query_key)
        self.keys_values = Linear(in_size, state_size + value_size, key=pair_key)
        self.output = Linear(value_size, out_size, key=output_key)
        self.in_size, self.out_size, self.heads = in_size, out_size, heads
        self.key_size, self.value_size = state_size, value_size

    @property
    def monoid(self) -> AbstractMonoid:
        key, value = self.key_size // self.heads, self.value_size // self.heads
        return Power(NormalisedOuterSum(key, value, wide(self.output.weight).dtype), self.heads)

    def encode(
        self, x: Float[Array, " in"]
    ) -> tuple[Float[Array, "heads key"], Float[Array, "heads value"]]:
        keys, values = jnp.split(wide(self.keys_values(x)), [self.key_size])
        return split_heads(_positive(keys), self.heads), split_heads(values, self.heads)

    def query(self, x: Float[Array, " in"]) -> Float[Array, "heads key"]:
        return split_heads(_positive(wide(self.queries(x))), self.heads)

    def readout(
        self, read: Float[Array, "heads value"], x: Float[Array, " in"]
    ) -> Float[Array, " out"]:
        return self.output(read.ravel().astype(self.output.weight.dtype))


def _positive(x: Array) -> Array:
    return 1 + jax.nn.elu(x)


def linear_attention(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """`x + LinearAttention(x + position)`, with keys and values of a quarter of the width."""
    attention = LinearAttention(width, width, max(width // 4, 1), key=key)
    return Residual(Serial(PositionalEncoding(width), attention))
