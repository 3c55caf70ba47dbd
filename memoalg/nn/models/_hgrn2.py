"""HGRN2: a gated linear RNN whose state is expanded by outer products."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ...algebra import AbstractMonoid, GatedOuter, Power
from .._feed_forward import FeedForward
from .._heads import check_heads, heads_for, split_heads
from .._layer import AbstractLayer
from .._linear import Linear
from .._memoroid import AbstractMemoroid
from .._norm import LayerNorm
from .._pre_norm import PreNorm
from .._precision import wide


class HGRN2(AbstractMemoroid):
    r"""A gated linear RNN with outer products for a state: what is forgotten makes room for its key.

    $$S_t = \mathrm{diag}(f_t)\, S_{t-1} + (1 - f_t)\, i_t^\top, \qquad
      y_t = W_y\, \mathrm{LN}(S_t^\top o_t) + b_y,$$
    $$f_t = \gamma + (1 - \gamma) \odot \sigma(W_f x_t + b_f), \quad
      i_t = \mathrm{silu}(W_i x_t + b_i), \quad o_t = \sigma(W_o x_t + b_o),$$

    in each head; LN is of all heads together. The lower bound $\gamma$ of the forget gate, one number
    per key, is learned, as the logistic function of `bound`. In the paper the bounds of all layers are
    one cumulative softmax, from zero in the first layer up; here each layer has its own, which starts
    at `lower_bound`. The monoid is a [`memoalg.Power`][] of [`memoalg.GatedOuter`][] with decays per key,
    in float32 or wider. Activations are those of the published code.

    Since keys are $1 - f$, a memory that keeps everything writes nothing.

    Arguments:
        in_size: length of an input vector.
        out_size: length of an output vector.
        key_size: length of f and o of all heads together; of a head it is the paper's expansion ratio.
        value_size: length of i of all heads together.
        heads: independent memories.
        lower_bound: gamma at initialisation, between 0 and 1.
        key: for the initialisation.

    Raises:
        ValueError: where a size does not divide into the heads, or not `0 < lower_bound < 1`.

    Source: Qin et al., HGRN2 (arXiv 2404.07904), section 3.2; the lower bound: HGRN (arXiv 2311.04823),
        section 3.2.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.HGRN2(3, 2, 4, 6, heads=2, key=jax.random.key(0))
        >>> carry, ys = layer(layer.init_carry(), jnp.ones((5, 3)), None)
        >>> carry.shape, ys.shape
        ((2, 2, 3), (5, 2))
    """

    inputs: Linear
    queries: Linear
    bound: Float[Array, " key"]
    norm: LayerNorm
    output: Linear
    in_size: int = eqx.field(static=True)
    out_size: int = eqx.field(static=True)
    heads: int = eqx.field(static=True)

    def __init__(
        self,
        in_size: int,
        out_size: int,
        key_size: int,
        value_size: int,
        *,
        heads: int = 1,
        lower_bound: float = 0.9,
        key: PRNGKeyArray,
    ):
        check_heads("HGRN2", heads, key_size=key_size, value_size=value_size)
        if not 0.0 < lower_bound < 1.0:
            raise ValueError(f"HGRN2 needs 0 < lower_bound < 1, got {lower_bound}")
        in_key, query_key, output_key = jax.random.split(key, 3)
        self.inputs = Linear(in_size, key_size + value_size, key=in_key)
        self.queries = Linear(in_size, key_size, key=query_key)
        self.bound = jax.scipy.special.logit(jnp.full(key_size, lower_bound))
        self.norm = LayerNorm(value_size)
        self.output = Linear(value_size, out_size, key=output_key)
        self.in_size, self.out_size, self.heads = in_size, out_size, heads

    @property
    def monoid(self) -> AbstractMonoid:
        key, value = self.bound.size // self.heads, self.norm.scale.size // self.heads
        return Power(GatedOuter(key, value, wide(self.bound).dtype), self.heads)

    def encode(
        self, x: Float[Array, " in"]
    ) -> tuple[Float[Array, "heads key"], Float[Array, "heads value"], Float[Array, "heads key"]]:
        logits, values = jnp.split(wide(self.inputs(x)), [self.bound.size])
        # 1 - f, without the cancellation: 1 - gamma is the logistic function of -bound.
        keys = jax.nn.sigmoid(-wide(self.bound)) * jax.nn.sigmoid(-logits)
        return (
            split_heads(keys, self.heads),
            split_heads(jax.nn.silu(values), self.heads),
            split_heads(1 - keys, self.heads),
        )

    def query(self, x: Float[Array, " in"]) -> Float[Array, "heads key"]:
        return split_heads(jax.nn.sigmoid(wide(self.queries(x))), self.heads)

    def readout(
        self, read: Float[Array, "heads value"], x: Float[Array, " in"]
    ) -> Float[Array, " out"]:
        return self.output(self.norm(read.ravel().astype(self.bound.dtype)))


def hgrn2(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """`x + HGRN2(norm(x))`, then `x + GLU(norm(x))`: keys and values of the width, heads of 16."""
    memory_key, mixer_key = jax.random.split(key)
    memory = HGRN2(width, width, width, width, heads=heads_for(width), key=memory_key)
    return PreNorm(width, memory, FeedForward(width, 2 * width, width, key=mixer_key))
