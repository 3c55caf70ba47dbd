"""Positions in an episode, as a memory: a counter whose reading is added to the input."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ..algebra import AbstractMonoid, Add
from ._memoroid import AbstractMemoroid


class PositionalEncoding(AbstractMemoroid):
    r"""Adds to each input the sine and cosine of its position in its episode.

    $$y_t = x_t + P(n_t), \qquad P(n)_{2i} = \sin(n / c^{2i/d}), \quad P(n)_{2i+1} = \cos(n / c^{2i/d}),$$

    where $n_t$ counts the steps since the last start, from 1. The counter is the memory: its monoid is
    `Add` on int32, so it resets, carries over and scans as every other memory does. What follows may
    then tell when something happened, which a sum of keys and values alone cannot.

    Arguments:
        size: length of an input vector, d.
        base: c; the slowest wave has a length of about 2 pi c steps.

    Raises:
        ValueError: where size is below 1.

    Source: Vaswani et al., Attention Is All You Need (arXiv 1706.03762), section 3.5.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.PositionalEncoding(2)
        >>> start = jnp.array([False, False, True])
        >>> ys = layer(layer.init_carry(), jnp.zeros((3, 2)), start)[1]
        >>> bool(jnp.all(ys[0] == ys[2])), bool(jnp.any(ys[0] == ys[1]))
        (True, False)
    """

    in_size: int = eqx.field(static=True)
    out_size: int = eqx.field(static=True)
    base: float = eqx.field(static=True)

    def __init__(self, size: int, *, base: float = 1000.0):
        if size < 1:
            raise ValueError(f"PositionalEncoding: size must be at least 1, got {size}")
        self.in_size = self.out_size = size
        self.base = base

    @property
    def monoid(self) -> AbstractMonoid:
        return Add((), jnp.int32)

    def encode(self, x: Float[Array, " size"]) -> Int[Array, ""]:
        return jnp.ones((), jnp.int32)

    def readout(self, read: Int[Array, ""], x: Float[Array, " size"]) -> Float[Array, " size"]:
        channel = jnp.arange(self.in_size)
        exponent = (channel - channel % 2).astype(jnp.float32) / self.in_size
        angle = read.astype(jnp.float32) * jnp.float32(self.base) ** -exponent
        wave = jnp.where(channel % 2 == 0, jnp.sin(angle), jnp.cos(angle))
        return x + wave.astype(x.dtype)
