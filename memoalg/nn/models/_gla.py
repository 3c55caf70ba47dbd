"""Gated linear attention."""

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
from .._norm import layer_norm
from .._pre_norm import PreNorm
from .._precision import wide


class GLA(AbstractMemoroid):
    r"""Gated linear attention: sums of outer products with a decay for each key, set by the input.

    $$S_t = \mathrm{diag}(\alpha_t)\, S_{t-1} + k_t v_t^\top, \qquad
      \alpha_t = \sigma(W_2 W_1 x_t + b)^{1/\tau},$$
    $$y_t = W_o\, \big(\mathrm{swish}(W_r x_t + b_r) \odot \mathrm{LN}(S_t^\top q_t)\big),$$

    in each head, with $q, k, v$ linear in x; LN is of each head, without parameters (a scale would be
    one more of $W_o$). The root, $\tau = 16$, makes memories slow: at first $\alpha$ is about 0.96. The
    monoid is a [`memoalg.Power`][] of [`memoalg.GatedOuter`][] with decays per key, in float32 or wider.

    Arguments:
        in_size: length of an input vector.
        out_size: length of an output vector.
        key_size: length of keys and queries of all heads together.
        value_size: length of the values of all heads together; of 1 in a head LN leaves nothing.
        heads: independent memories.
        rank: rows of $W_1$.
        temperature: tau.
        key: for the initialisation.

    Raises:
        ValueError: where a size does not divide into the heads, rank is below 1, or tau not positive.

    Source: Yang et al., Gated Linear Attention Transformers (arXiv 2312.06635), section 4.4.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.GLA(3, 2, 4, 6, heads=2, key=jax.random.key(0))
        >>> carry, ys = layer(layer.init_carry(), jnp.ones((5, 3)), None)
        >>> carry.shape, ys.shape
        ((2, 2, 3), (5, 2))
    """

    queries: Linear
    keys_values: Linear
    decay_down: Linear
    decay_up: Linear
    gate: Linear
    output: Linear
    in_size: int = eqx.field(static=True)
    out_size: int = eqx.field(static=True)
    key_size: int = eqx.field(static=True)
    value_size: int = eqx.field(static=True)
    heads: int = eqx.field(static=True)
    temperature: float = eqx.field(static=True)

    def __init__(
        self,
        in_size: int,
        out_size: int,
        key_size: int,
        value_size: int,
        *,
        heads: int = 1,
        rank: int = 16,
        temperature: float = 16.0,
        key: PRNGKeyArray,
    ):
        check_heads("GLA", heads, key_size=key_size, value_size=value_size)
        if rank < 1 or not temperature > 0:
            raise ValueError(
                f"GLA: rank must be at least 1 and temperature positive, got {rank} and {temperature}"
            )
        keys = jax.random.split(key, 6)
        self.queries = Linear(in_size, key_size, use_bias=False, key=keys[0])
        self.keys_values = Linear(in_size, key_size + value_size, use_bias=False, key=keys[1])
        self.decay_down = Linear(in_size, rank, use_bias=False, key=keys[2])
        self.decay_up = Linear(rank, key_size, key=keys[3])
        self.gate = Linear(in_size, value_size, key=keys[4])
        self.output = Linear(value_size, out_size, use_bias=False, key=keys[5])
        self.in_size, self.out_size, self.heads = in_size, out_size, heads
        self.key_size, self.value_size, self.temperature = key_size, value_size, temperature

    @property
    def monoid(self) -> AbstractMonoid:
        dtype, key = wide(self.output.weight).dtype, self.key_size // self.heads
        return Power(GatedOuter(key, self.value_size // self.heads, dtype), self.heads)

    def encode(
        self, x: Float[Array, " in"]
    ) -> tuple[Float[Array, "heads key"], Float[Array, "heads value"], Float[Array, "heads key"]]:
        keys, values = jnp.split(wide(self.keys_values(x)), [self.key_size])
        logits = wide(self.decay_up(self.decay_down(x)))
        decays = jnp.exp(jax.nn.log_sigmoid(logits) / self.temperature)
        return (
            split_heads(keys, self.heads),
            split_heads(values, self.heads),
            split_heads(decays, self.heads),
        )

    def query(self, x: Float[Array, " in"]) -> Float[Array, "heads key"]:
        return split_heads(wide(self.queries(x)), self.heads)

    def readout(
        self, read: Float[Array, "heads value"], x: Float[Array, " in"]
    ) -> Float[Array, " out"]:
        memory = layer_norm(read).ravel().astype(self.output.weight.dtype)
        return self.output(jax.nn.silu(self.gate(x)) * memory)


def gla(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """`x + GLA(norm(x))`, then `x + SwiGLU(norm(x))`: values of the width, keys of half of it."""
    memory_key, mixer_key = jax.random.split(key)
    heads = heads_for(width, 32)
    key_size = heads * max(1, width // heads // 2)
    memory = GLA(width, width, key_size, width, heads=heads, key=memory_key)
    return PreNorm(width, memory, FeedForward(width, -(-8 * width // 3), width, key=mixer_key))
