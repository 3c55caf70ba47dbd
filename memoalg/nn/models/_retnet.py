"""Retention, the memory of RetNet."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ...algebra import AbstractMonoid, Fixed, GatedOuter, Power
from .._compose import Serial
from .._feed_forward import FeedForward
from .._heads import check_heads, heads_for, split_heads
from .._layer import AbstractLayer
from .._linear import Linear
from .._memoroid import AbstractMemoroid
from .._norm import layer_norm
from .._pre_norm import PreNorm
from .._precision import wide
from .._rotary import Positioned, rotated

Input = tuple[Int[Array, ""], Float[Array, " in"]]


class Retention(AbstractMemoroid):
    """What [`memoalg.nn.RetNet`][] is made of, behind a counter: its input is (position, x)."""

    queries: Linear
    keys_values: Linear
    gate: Linear
    output: Linear
    in_size: None = eqx.field(static=True)
    out_size: int = eqx.field(static=True)
    key_size: int = eqx.field(static=True)
    value_size: int = eqx.field(static=True)
    heads: int = eqx.field(static=True)

    def __init__(
        self,
        in_size: int,
        out_size: int,
        key_size: int,
        value_size: int,
        *,
        heads: int,
        key: PRNGKeyArray,
    ):
        check_heads("RetNet", heads, key_size=key_size, value_size=value_size)
        if key_size // heads % 2:
            raise ValueError(
                f"RetNet turns pairs of numbers: a head's keys must have an even length, got "
                f"key_size={key_size} for heads={heads}"
            )
        keys = jax.random.split(key, 4)
        self.queries = Linear(in_size, key_size, use_bias=False, key=keys[0])
        self.keys_values = Linear(in_size, key_size + value_size, use_bias=False, key=keys[1])
        self.gate = Linear(in_size, value_size, use_bias=False, key=keys[2])
        self.output = Linear(value_size, out_size, use_bias=False, key=keys[3])
        self.in_size, self.out_size, self.heads = None, out_size, heads
        self.key_size, self.value_size = key_size, value_size

    @property
    def monoid(self) -> AbstractMonoid:
        dtype, key = wide(self.output.weight).dtype, self.key_size // self.heads
        memory = GatedOuter(key, self.value_size // self.heads, dtype, per_key=False)
        return Power(memory, self.heads)

    @property
    def decay(self) -> Float[Array, " heads"]:
        """gamma, from 31/32 up."""
        dtype = wide(self.output.weight).dtype
        return 1 - jnp.exp2(-5 - jnp.arange(self.heads, dtype=dtype))

    def encode(
        self, x: Input
    ) -> tuple[Float[Array, "heads key"], Float[Array, "heads value"], Fixed]:
        position, now = x
        keys, values = jnp.split(wide(self.keys_values(now)), [self.key_size])
        keys = split_heads(keys, self.heads) / math.sqrt(self.key_size // self.heads)
        return rotated(keys, position), split_heads(values, self.heads), Fixed(self.decay)

    def query(self, x: Input) -> Float[Array, "heads key"]:
        position, now = x
        return rotated(split_heads(wide(self.queries(now)), self.heads), position)

    def readout(self, read: Float[Array, "heads value"], x: Input) -> Float[Array, " out"]:
        memory = layer_norm(read).ravel().astype(self.output.weight.dtype)
        return self.output(jax.nn.silu(self.gate(x[1])) * memory)


def RetNet(
    in_size: int,
    out_size: int,
    key_size: int,
    value_size: int,
    *,
    heads: int = 1,
    key: PRNGKeyArray,
) -> Serial:
    r"""Multi-scale retention: sums of outer products with one fixed decay for each head.

    $$S_n = \gamma_h S_{n-1} + \frac{R_n k_n}{\sqrt{d}}\, v_n^\top, \quad
      y_n = W_o\, \big(\mathrm{swish}(W_g x_n) \odot \mathrm{GN}(S_n^\top R_n q_n)\big), \quad
      \gamma_h = 1 - 2^{-5-h},$$

    with $h = 0, 1, \dots$ the heads, $q, k, v$ linear in x, and GN a normalisation of each head without
    parameters. $R_n$ turns pairs of the d numbers of a head by $n\,10000^{-2i/d}$: xPos, whose decay is
    $\gamma$. n counts the steps of the episode; it is the state of a counter in front of the memory.
    The paper's other normalisations of scores only scale what GN normalises, and are left out. The
    monoid is a [`memoalg.Power`][] of [`memoalg.GatedOuter`][] with a [`memoalg.Fixed`][] decay, in float32
    or wider.

    The decays are not learned and do not see the input: head h forgets in about $2^{5+h}$ steps.

    Arguments:
        in_size: length of an input vector.
        out_size: length of an output vector.
        key_size: length of keys and queries of all heads together; even in each head.
        value_size: length of the values of all heads together; of 1 in a head GN leaves nothing.
        heads: independent memories.
        key: for the initialisation.

    Raises:
        ValueError: where a size does not divide into the heads, or keys of a head have an odd length.

    Source: Sun et al., Retentive Network (arXiv 2307.08621), eqs. 5, 6 and 8.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.RetNet(3, 2, 4, 6, heads=2, key=jax.random.key(0))
        >>> carry, ys = layer(layer.init_carry(), jnp.ones((5, 3)), None)
        >>> carry[1].shape, ys.shape
        ((2, 2, 3), (5, 2))
    """
    retention = Retention(in_size, out_size, key_size, value_size, heads=heads, key=key)
    return Serial(Positioned(in_size), retention)


def retnet(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """`x + RetNet(norm(x))`, then `x + FeedForward(norm(x))`: values and feed-forward twice the width."""
    memory_key, mixer_key = jax.random.split(key)
    heads = heads_for(width)
    even = 2 * math.ceil(width // heads / 2)
    memory = RetNet(width, width, heads * even, 2 * width, heads=heads, key=memory_key)
    mixer = FeedForward(width, 2 * width, width, activation=jax.nn.gelu, gated=False, key=mixer_key)
    return PreNorm(width, memory, mixer)
