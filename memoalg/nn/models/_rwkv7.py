"""RWKV-7: the generalised delta rule."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ..._product import dense_product
from ...algebra import AbstractMonoid, GeneralisedDelta, Power
from .._compose import Serial
from .._delay import Delay
from .._feed_forward import Pointwise
from .._heads import check_heads, heads_for, split_heads
from .._layer import AbstractLayer
from .._linear import Linear
from .._memoroid import AbstractMemoroid, StaticFunction
from .._norm import layer_norm, unit_norm
from .._parallel import Fork
from .._pre_norm import PreNorm
from .._precision import wide

LARGEST_STEP = math.exp(-0.5)
"""No decay is stronger than `exp` of minus this."""


def RWKV7(
    in_size: int,
    out_size: int,
    key_size: int,
    *,
    value_size: int | None = None,
    heads: int = 1,
    rank: int | None = None,
    key: PRNGKeyArray,
) -> Serial:
    r"""The time mixing of RWKV-7: a decay for each key, and a delta rule whose parts are apart.

    $$S_t = S_{t-1} (\mathrm{diag}(w_t) - \hat\kappa_t (a_t \odot \hat\kappa_t)^\top)
      + v_t \tilde k_t^\top, \qquad
      y_t = W_o\, (g_t \odot (\mathrm{norm}(S_t r_t) + (r_t \cdot (\rho \odot \tilde k_t))\, v_t)),$$

    for each of several heads. Every quantity $\square$ has its own mixture with the input before (the
    token shift), $x^\square = x_t + \mu_\square \odot (x_{t-1} - x_t)$, and

    $$r = W_r x^r, \quad k = W_k x^k, \quad v = W_v x^v, \quad
      w = \exp(-e^{-1/2} \sigma(d_0 + D_2 \tanh(D_1 x^d))),$$
    $$a = \sigma(a_0 + A_2 A_1 x^a), \quad g = G_2\, \sigma(G_1 x^g), \quad
      \hat\kappa = \frac{\xi \odot k}{\|\xi \odot k\|}, \quad
      \tilde k = k \odot (1 + \alpha \odot (a - 1)).$$

    What is erased, $\hat\kappa$, how much of it, a for each key, and what is written, $\tilde k$, differ.
    The norm is a layer norm of each head with a learned scale and shift; its epsilon is 1e-5 times the
    length of a head's values. The monoid is [`memoalg.GeneralisedDelta`][] for each head, in float32
    or wider; it has no chunked form here, so that a gradient stores a matrix for each step.

    The value residual, by which later layers of the paper see the values of the first, is left out:
    one layer has none. All eigenvalues of the transition are real, above -0.46 and at most 1, so one
    layer follows no group exactly: not even parity. The output map is orthogonal at first, where the
    public code has zeros.

    Arguments:
        in_size: length of an input vector.
        out_size: length of an output vector.
        key_size: length of keys and of r, of all heads together.
        value_size: length of values, of all heads together; None is `key_size`.
        heads: number of heads, which must divide both.
        rank: rows of D_1, A_1 and G_1; None is an eighth of `in_size`, at least 1.
        key: for the initialisation.

    Raises:
        ValueError: where heads do not divide the sizes, or `rank` is not positive.

    Source: Peng et al., RWKV-7 "Goose" (arXiv 2503.14456), section 4.1; initial values and the epsilon
        as in the public code of its authors, for the first layer.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.RWKV7(3, 2, 8, heads=2, key=jax.random.key(0))
        >>> layer(layer.init_carry(), jnp.ones((5, 3)), None)[1].shape
        (5, 2)
    """
    value_size = key_size if value_size is None else value_size
    check_heads("RWKV7", heads, key_size=key_size, value_size=value_size)
    rank = max(1, in_size // 8) if rank is None else rank
    if rank < 1:
        raise ValueError(f"RWKV7: rank must be at least 1, got {rank}")
    mix_key, memory_key = jax.random.split(key)
    mixing = TokenMixing(in_size, key_size, value_size, heads, rank, mix_key)
    memory = RWKV7Memory(key_size, value_size, heads, out_size, memory_key)
    return Serial(_shifted(in_size), Pointwise(mixing, None, memory.in_size), memory)


class LowRank(eqx.Module):
    """`up(f(down x)) + bias`, with zeros for `down` at first."""

    down: Float[Array, "rank in"]
    up: Float[Array, "out rank"]
    bias: Float[Array, " out"] | None
    activation: StaticFunction | None

    def __call__(self, x: Float[Array, " in"]) -> Float[Array, " out"]:
        middle = dense_product(x, self.down)
        if self.activation is not None:
            middle = self.activation(middle)
        y = dense_product(middle, self.up)
        return y if self.bias is None else y + self.bias


class TokenMixing(eqx.Module):
    """What the memory needs of an input and the one before it: (r, k, v, d, a, g), d and a as logits."""

    mixtures: Float[Array, "6 in"]
    receptance: Linear
    keys: Linear
    values: Linear
    decay: LowRank
    rate: LowRank
    gate: LowRank

    def __init__(
        self, in_size: int, key_size: int, value_size: int, heads: int, rank: int, key: PRNGKeyArray
    ):
        keys = jax.random.split(key, 6)
        place = jnp.arange(in_size) / in_size
        powers = jnp.array([0.2, 0.7, 0.7, 0.9, 0.9, 0.2])
        self.mixtures = 1 - place[None, :] ** powers[:, None]
        self.receptance = Linear(in_size, key_size, use_bias=False, key=keys[0])
        self.keys = Linear(in_size, key_size, scale=0.1, use_bias=False, key=keys[1])
        self.values = Linear(in_size, value_size, use_bias=False, key=keys[2])
        ramp = _ramp(key_size)
        in_head = 2 * jnp.tile(_ramp(key_size // heads), heads)
        curve = in_head * jnp.abs(in_head)
        down = jnp.zeros((rank, in_size))
        up = [
            Linear(rank, n, scale=0.1, key=k).weight
            for n, k in zip((key_size, key_size, value_size), keys[3:], strict=True)
        ]
        decay_bias = 6 * ramp - 3 + 0.5 + 2.5 * curve
        self.decay = LowRank(down, up[0], decay_bias, StaticFunction(jnp.tanh))
        self.rate = LowRank(down, up[1], -0.19 + 0.3 * curve + 0.4 * ramp, None)
        self.gate = LowRank(down, up[2], None, StaticFunction(jax.nn.sigmoid))

    def __call__(self, pair: tuple[Array, Array]) -> Float[Array, " rows"]:
        x, before = pair
        mixed = x[None, :] + self.mixtures * (before - x)[None, :]
        maps = (self.receptance, self.keys, self.values, self.decay, self.rate, self.gate)
        return jnp.concatenate([one(row) for one, row in zip(maps, mixed, strict=True)])


class RWKV7Memory(AbstractMemoroid):
    """The memory on a vector (r, k, v, d, a, g) that `TokenMixing` makes."""

    removal: Float[Array, " key"]
    replacement: Float[Array, " key"]
    bonus: Float[Array, " key"]
    scale: Float[Array, " value"]
    shift: Float[Array, " value"]
    output: Linear
    in_size: int = eqx.field(static=True)
    out_size: int = eqx.field(static=True)
    heads: int = eqx.field(static=True)

    def __init__(
        self, key_size: int, value_size: int, heads: int, out_size: int, key: PRNGKeyArray
    ):
        self.removal = 0.71 - 0.1 * _ramp(key_size)
        self.replacement = jnp.full(key_size, 1.02)
        self.bonus = jnp.full(key_size, -0.04)
        self.scale, self.shift = jnp.ones(value_size), jnp.zeros(value_size)
        self.output = Linear(value_size, out_size, use_bias=False, key=key)
        self.in_size, self.out_size = 4 * key_size + 2 * value_size, out_size
        self.heads = heads

    @property
    def monoid(self) -> AbstractMonoid:
        sizes = (self.removal.size // self.heads, self.scale.size // self.heads)
        return Power(GeneralisedDelta(*sizes, wide(self.scale).dtype), self.heads)

    def encode(self, x: Float[Array, " in"]) -> tuple[Array, ...]:
        _, k, v, d, a, _ = self._parts(x)
        erased = unit_norm(split_heads(wide(self.removal) * k, self.heads))
        decay = jnp.exp(-LARGEST_STEP * jax.nn.sigmoid(d))
        written, value, decay, rate = (
            split_heads(part, self.heads) for part in (self._written(k, a), v, decay, a)
        )
        return written, value, decay, -erased, rate * erased

    def query(self, x: Float[Array, " in"]) -> Float[Array, "heads part"]:
        return split_heads(wide(x[: self.removal.size]), self.heads)

    def readout(
        self, read: Float[Array, "heads part"], x: Float[Array, " in"]
    ) -> Float[Array, " out"]:
        r, k, v, _, a, gate = self._parts(x)
        normalised = layer_norm(read, 1e-5 * read.shape[1]).reshape(-1)
        normalised = normalised * wide(self.scale) + wide(self.shift)
        present = split_heads(r * wide(self.bonus) * self._written(k, a), self.heads)
        bonus = jnp.sum(present, axis=1)[:, None] * split_heads(v, self.heads)
        y = gate * (normalised + bonus.reshape(-1))
        return self.output(y.astype(self.scale.dtype))

    def _parts(self, x: Float[Array, " in"]) -> list[Array]:
        """r, k, v, the logits of the decay, the rate, the gate."""
        keys, values = self.removal.size, self.scale.size
        ends = (keys, 2 * keys, 2 * keys + values, 3 * keys + values, 4 * keys + values)
        r, k, v, d, a, gate = jnp.split(wide(x), ends)
        return [r, k, v, d, jax.nn.sigmoid(a), gate]

    def _written(self, k: Float[Array, " key"], a: Float[Array, " key"]) -> Float[Array, " key"]:
        """The key under which the value is stored."""
        return k * (1 + wide(self.replacement) * (a - 1))


def _ramp(size: int) -> Float[Array, " size"]:
    """From -1/2 to 1/2."""
    return jnp.linspace(-0.5, 0.5, size) if size > 1 else jnp.zeros(size)


def _same(x: Array) -> Array:
    return x


class ChannelMixing(eqx.Module):
    r"""$W_2\,\mathrm{relu}(W_1 (x_t + \mu \odot (x_{t-1} - x_t)))^2$, four times as wide as x."""

    mixture: Float[Array, " size"]
    up: Linear
    down: Linear

    def __init__(self, size: int, key: PRNGKeyArray):
        up_key, down_key = jax.random.split(key)
        # To the fourth power, as the public code begins its first layer.
        self.mixture = 1 - (jnp.arange(size) / size) ** 4
        self.up = Linear(size, 4 * size, use_bias=False, key=up_key)
        self.down = Linear(4 * size, size, use_bias=False, key=down_key)

    def __call__(self, pair: tuple[Array, Array]) -> Float[Array, " size"]:
        x, before = pair
        hidden = jax.nn.relu(self.up(x + self.mixture * (before - x)))
        return self.down(hidden * hidden)


def _shifted(size: int) -> Fork:
    """x beside the x of the step before."""
    return Fork(Pointwise(_same, size, size), Delay(size))


def rwkv7(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """`x + RWKV7(norm(x))`, then `x + ChannelMixing(norm(x))`, four times as wide; heads of at least 32."""
    memory_key, mixer_key = jax.random.split(key)
    memory = RWKV7(width, width, width, heads=heads_for(width, 32), key=memory_key)
    mixer = Pointwise(ChannelMixing(width, mixer_key), None, width)
    return PreNorm(width, memory, Serial(_shifted(width), mixer))
