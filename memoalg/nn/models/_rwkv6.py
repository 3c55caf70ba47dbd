"""Finch, the sixth RWKV."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from ..._product import dense_product
from ...algebra import AbstractMonoid, GatedOuter, Power
from .._compose import Serial
from .._delay import Delay
from .._feed_forward import Pointwise
from .._heads import check_heads, heads_for, split_heads
from .._layer import AbstractLayer
from .._linear import Linear
from .._memoroid import AbstractMemoroid
from .._norm import layer_norm
from .._parallel import Fork
from .._pre_norm import PreNorm
from .._precision import wide

Written = Float[Array, " written"]


class TimeMix(eqx.Module):
    """(x, x of the step before) -> (r, [k, v, w], g)."""

    mu: Float[Array, " in"]
    mixes: Float[Array, "5 in"]
    mix_down: Float[Array, "ranks in"]
    mix_up: Float[Array, "5 in rank"]
    maps: tuple[Linear, Linear, Linear, Linear]
    decay: Float[Array, " key"]
    decay_down: Linear
    decay_up: Float[Array, "key rank"]

    def __init__(
        self, in_size: int, key_size: int, value_size: int, rank: int, *, key: PRNGKeyArray
    ):
        keys = jax.random.split(key, 7)
        # The numbers of the published code for its first layer.
        share = jnp.linspace(0.0, 1.0, in_size, endpoint=False)
        self.mu = 1 - share
        self.mixes = 1 - share[None, :] ** jnp.array([[0.5], [1.0], [1.0], [1.0], [0.5]])
        self.mix_down = jnp.zeros((5 * rank, in_size))
        self.mix_up = _small(keys[0], (5, in_size, rank))
        sizes = (key_size, key_size, value_size, value_size)
        r, k, v, g = (
            Linear(in_size, size, use_bias=False, key=one)
            for size, one in zip(sizes, keys[1:5], strict=True)
        )
        self.maps = (r, k, v, g)
        self.decay = -6 + 5 * jnp.linspace(0.0, 1.0, key_size) ** 0.7
        self.decay_down = Linear(in_size, 2 * rank, scale=0.0, use_bias=False, key=keys[5])
        self.decay_up = _small(keys[6], (key_size, 2 * rank))

    def __call__(
        self, pair: tuple[Float[Array, " in"], Float[Array, " in"]]
    ) -> tuple[Float[Array, " key"], Written, Float[Array, " value"]]:
        now, before = pair
        change = before - now
        low = jnp.tanh(dense_product(now + change * self.mu, self.mix_down))
        low = split_heads(low, 5)
        shares = self.mixes + jnp.einsum("fdr,fr->fd", self.mix_up, low)
        for_r, for_k, for_v, for_w, for_g = now[None, :] + change[None, :] * shares
        to_r, to_k, to_v, to_g = self.maps
        speed = self.decay + dense_product(jnp.tanh(self.decay_down(for_w)), self.decay_up)
        w = jnp.exp(-jnp.exp(wide(speed)))
        return to_r(for_r), jnp.concatenate([wide(to_k(for_k)), wide(to_v(for_v)), w]), to_g(for_g)


class ChannelMix(eqx.Module):
    """(x, x of the step before) -> what the paper has in place of a feed-forward layer."""

    mixes: Float[Array, "2 size"]
    receptance: Linear
    up: Linear
    down: Linear

    def __init__(self, size: int, hidden_size: int, *, key: PRNGKeyArray):
        keys = jax.random.split(key, 3)
        self.mixes = jnp.tile(1 - jnp.linspace(0.0, 1.0, size, endpoint=False), (2, 1))
        self.receptance = Linear(size, size, use_bias=False, key=keys[0])
        self.up = Linear(size, hidden_size, use_bias=False, key=keys[1])
        self.down = Linear(hidden_size, size, use_bias=False, key=keys[2])

    def __call__(
        self, pair: tuple[Float[Array, " size"], Float[Array, " size"]]
    ) -> Float[Array, " size"]:
        now, before = pair
        for_r, for_k = now[None, :] + (before - now)[None, :] * self.mixes
        hidden = jax.nn.relu(self.up(for_k))
        return jax.nn.sigmoid(self.receptance(for_r)) * self.down(hidden * hidden)


class WKV(AbstractMemoroid):
    """The memory of [`memoalg.nn.RWKV6`][]: its input is ([k, v, w] one step ago, (r, [k, v, w], g))."""

    bonus: Float[Array, "heads key"]
    scale: Float[Array, " value"]
    shift: Float[Array, " value"]
    output: Linear
    in_size: None = eqx.field(static=True)
    out_size: int = eqx.field(static=True)

    def __init__(
        self, key_size: int, value_size: int, out_size: int, *, heads: int, key: PRNGKeyArray
    ):
        # The numbers of the published code for its first layer.
        self.bonus = split_heads(0.1 * (jnp.arange(1.0, key_size + 1) % 3 - 1), heads)
        self.scale, self.shift = jnp.ones(value_size), jnp.zeros(value_size)
        self.output = Linear(value_size, out_size, use_bias=False, key=key)
        self.in_size, self.out_size = None, out_size

    @property
    def monoid(self) -> AbstractMonoid:
        heads, key = self.bonus.shape
        return Power(GatedOuter(key, self.scale.size // heads, wide(self.bonus).dtype), heads)

    def encode(
        self, x: tuple[Written, tuple]
    ) -> tuple[Float[Array, "heads key"], Float[Array, "heads value"], Float[Array, "heads key"]]:
        # Of the step before, so that the state read at a step is the one before it.
        return self._parts(x[0])

    def query(self, x: tuple[Written, tuple]) -> Float[Array, "heads key"]:
        return split_heads(wide(x[1][0]), self.bonus.shape[0])

    def readout(
        self, read: Float[Array, "heads value"], x: tuple[Written, tuple]
    ) -> Float[Array, " out"]:
        _, written, g = x[1]
        keys, values, _ = self._parts(written)
        weight = jnp.sum(self.query(x) * wide(self.bonus) * keys, axis=-1, keepdims=True)
        y = layer_norm(read + weight * values).ravel().astype(g.dtype)
        return self.output((y * self.scale + self.shift) * jax.nn.silu(g))

    def _parts(self, written: Written) -> tuple[Array, Array, Array]:
        size = self.bonus.size
        k, v, w = jnp.split(written, [size, written.size - size])
        heads = self.bonus.shape[0]
        return split_heads(k, heads), split_heads(v, heads), split_heads(w, heads)


def RWKV6(
    in_size: int,
    out_size: int,
    key_size: int,
    value_size: int,
    *,
    heads: int = 1,
    rank: int = 32,
    key: PRNGKeyArray,
) -> Serial:
    r"""Finch's time mixing: outer products that decay per key, mixed with the step before, and a bonus.

    $$\mathrm{lerp}_\square = x_t + (x_{t-1} - x_t) \odot (\mu_\square + B_\square \tanh(A_\square (x_t +
      (x_{t-1} - x_t) \odot \mu))), \quad \square \in \{r, k, v, w, g\},$$
    $$r, k, v, g = W_\square\, \mathrm{lerp}_\square, \qquad
      w_t = \exp(-\exp(\lambda + B' \tanh(A' \mathrm{lerp}_w))),$$
    $$S_t = \mathrm{diag}(w_t) S_{t-1} + k_t v_t^\top, \quad
      y_t = W_o \big(\mathrm{silu}(g_t) \odot
        \mathrm{GN}((S_{t-1} + \mathrm{diag}(u) k_t v_t^\top)^\top r_t)\big),$$

    in each head; GN normalises each head, then scales and shifts. Before an episode $x_0 = 0$. The read
    is of the state *before* the step, so that the memory gets k, v and w of the step before, through a
    [`memoalg.nn.Delay`][], and the bonus u is added to what it reads. The monoid is a [`memoalg.Power`][]
    of [`memoalg.GatedOuter`][] with decays per key, in float32 or wider. Decays are at first between
    $e^{-e^{-6}}$, about 0.998, and $e^{-e^{-1}}$, about 0.69.

    Arguments:
        in_size: length of an input vector.
        out_size: length of an output vector.
        key_size: length of r, k and w of all heads together.
        value_size: length of v and g of all heads together; of 1 in a head GN leaves nothing.
        heads: independent memories.
        rank: rows of each A; of A' twice as many.
        key: for the initialisation.

    Raises:
        ValueError: where a size does not divide into the heads, or rank is below 1.

    Source: Peng et al., Eagle and Finch (arXiv 2404.05892), section 4.2, from eq. 14 on; initial values and
        GN in place of the paper's LayerNorm of each head as in its code.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.RWKV6(3, 2, 4, 6, heads=2, key=jax.random.key(0))
        >>> carry, ys = layer(layer.init_carry(), jnp.ones((5, 3)), None)
        >>> carry[-1].shape, ys.shape
        ((2, 2, 3), (5, 2))
    """
    check_heads("RWKV6", heads, key_size=key_size, value_size=value_size)
    if rank < 1:
        raise ValueError(f"RWKV6: rank must be at least 1, got {rank}")
    mix_key, memory_key = jax.random.split(key)
    delayed = Serial(Pointwise(_written), Delay(2 * key_size + value_size))
    return Serial(
        _shifted(in_size),
        Pointwise(TimeMix(in_size, key_size, value_size, rank, key=mix_key)),
        Fork(delayed, Pointwise(_same)),
        WKV(key_size, value_size, out_size, heads=heads, key=memory_key),
    )


def _shifted(size: int) -> Fork:
    """x beside the x of the step before."""
    return Fork(Pointwise(_same, size, size), Delay(size))


def _written(mixed: tuple[Array, Array, Array]) -> Array:
    return mixed[1]


def _same(x: PyTree) -> PyTree:
    return x


def _small(key: PRNGKeyArray, shape: tuple[int, ...]) -> Array:
    return jax.random.uniform(key, shape, minval=-0.01, maxval=0.01)


def rwkv6(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """`x + RWKV6(norm(x))`, then `x + ChannelMix(norm(x))`, as wide as 3.5 times the width: heads of 16."""
    memory_key, mixer_key = jax.random.split(key)
    rank = min(32, max(1, width // 4))
    memory = RWKV6(width, width, width, width, heads=heads_for(width), rank=rank, key=memory_key)
    mixer = Pointwise(ChannelMix(width, 7 * width // 2, key=mixer_key), None, width)
    return PreNorm(width, memory, Serial(_shifted(width), mixer))
