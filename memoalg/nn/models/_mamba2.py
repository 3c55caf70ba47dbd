"""The state space duality of Mamba-2."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ...algebra import AbstractMonoid, GatedOuter, Power
from .._compose import Serial
from .._feed_forward import Pointwise
from .._heads import check_heads, heads_for, split_heads
from .._layer import AbstractLayer
from .._linear import Linear
from .._memoroid import AbstractMemoroid
from .._norm import RMSNorm
from .._parallel import Fork
from .._pre_norm import PreNorm
from .._precision import wide
from ._convolution import Convolution

Input = tuple[Float[Array, " mixed"], Float[Array, " direct"]]


class SSD(AbstractMemoroid):
    """What [`memoalg.nn.Mamba2`][] is made of: its input is ([u, B, C] convolved, [z, step])."""

    A_log: Float[Array, " heads"]
    step_bias: Float[Array, " heads"]
    D: Float[Array, " heads"]
    norm: RMSNorm
    output: Linear
    in_size: None = eqx.field(static=True)
    out_size: int = eqx.field(static=True)
    state_size: int = eqx.field(static=True)

    def __init__(
        self,
        channels: int,
        out_size: int,
        state_size: int,
        *,
        heads: int,
        step_range: tuple[float, float],
        key: PRNGKeyArray,
    ):
        low, high = step_range
        if state_size < 1 or not 0.0 < low <= high:
            raise ValueError(
                "Mamba2 needs state_size >= 1 and 0 < step_range[0] <= step_range[1], got "
                f"{state_size} and {step_range}"
            )
        a_key, step_key, output_key = jax.random.split(key, 3)
        self.A_log = jnp.log(jax.random.uniform(a_key, (heads,), minval=1.0, maxval=16.0))
        step = jax.random.uniform(step_key, (heads,), minval=math.log(low), maxval=math.log(high))
        # The inverse of softplus, so that the first step widths are exp(step).
        self.step_bias = jnp.log(jnp.expm1(jnp.exp(step)))
        self.D = jnp.ones(heads)
        self.norm = RMSNorm(channels)
        self.output = Linear(channels, out_size, use_bias=False, key=output_key)
        self.in_size, self.out_size, self.state_size = None, out_size, state_size

    @property
    def heads(self) -> int:
        return self.D.size

    @property
    def channels(self) -> int:
        return self.norm.scale.size

    @property
    def monoid(self) -> AbstractMonoid:
        size, dtype = self.channels // self.heads, wide(self.D).dtype
        return Power(GatedOuter(self.state_size, size, dtype, per_key=False), self.heads)

    def encode(
        self, x: Input
    ) -> tuple[Float[Array, "heads state"], Float[Array, "heads part"], Float[Array, " heads"]]:
        mixed, direct = wide(x[0]), wide(x[1])
        u, b = mixed[: self.channels], mixed[self.channels : -self.state_size]
        step = jax.nn.softplus(direct[self.channels :] + wide(self.step_bias))
        decay = jnp.exp(-step * jnp.exp(wide(self.A_log)))
        return self._shared(b), step[:, None] * split_heads(u, self.heads), decay

    def query(self, x: Input) -> Float[Array, "heads state"]:
        return self._shared(wide(x[0][-self.state_size :]))

    def readout(self, read: Float[Array, "heads part"], x: Input) -> Float[Array, " out"]:
        u = split_heads(x[0][: self.channels], self.heads)
        y = (read.astype(u.dtype) + self.D[:, None] * u).ravel()
        return self.output(self.norm(y * jax.nn.silu(x[1][: self.channels])))

    def _shared(self, x: Float[Array, " state"]) -> Float[Array, "heads state"]:
        return jnp.broadcast_to(x, (self.heads, self.state_size))


def Mamba2(
    in_size: int,
    out_size: int,
    state_size: int = 64,
    *,
    channels: int | None = None,
    heads: int = 1,
    k: int = 4,
    step_range: tuple[float, float] = (0.001, 0.1),
    key: PRNGKeyArray,
) -> Serial:
    r"""Selective state spaces with one decay for each head: Mamba-2, behind its short convolution.

    $$[u, B, C]_t = \mathrm{silu}(\mathrm{conv}(W_1 x))_t, \quad [z_t, \delta_t] = W_2 x_t, \quad
      \Delta_t = \mathrm{softplus}(\delta_t + \Delta_0),$$
    $$S_t = e^{-\Delta_t e^{A_{\log}}} S_{t-1} + B_t\, (\Delta_t u_t)^\top, \qquad
      y_t = W_o\, \mathrm{RMSNorm}\big((S_t^\top C_t + D u_t) \odot \mathrm{silu}(z_t)\big),$$

    in each head, which has its part of u and z and one number each in $\Delta$, $A_{\log}$ and D; B and C,
    of length N, are shared by the heads, and the norm is of all heads together. conv is depthwise and
    causal, of width k. $e^{A_{\log}}$ is at first uniform in [1, 16], $\mathrm{softplus}(\Delta_0)$
    log-uniform in `step_range`, and D one. The monoid is a [`memoalg.Power`][] of [`memoalg.GatedOuter`][]
    with one decay a head, in float32 or wider; the convolution is a memory of its own in front of it.

    Arguments:
        in_size: length of an input vector.
        out_size: length of an output vector.
        state_size: N, the length of B and C: keys and queries of the memory.
        channels: length of u of all heads together; None is twice `in_size`.
        heads: independent memories.
        k: inputs that the convolution sees.
        step_range: smallest and largest step width at initialisation.
        key: for the initialisation.

    Raises:
        ValueError: where the channels do not divide into the heads, for a size below 1, or where not
            `0 < step_range[0] <= step_range[1]`.

    Source: Dao and Gu, Transformers are SSMs (arXiv 2405.21060), section 7 (the block) and Listing 1;
        initial values as in its code.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.Mamba2(3, 2, 5, channels=8, heads=2, key=jax.random.key(0))
        >>> carry, ys = layer(layer.init_carry(), jnp.ones((5, 3)), None)
        >>> carry[1].shape, ys.shape
        ((2, 5, 4), (5, 2))
    """
    channels = 2 * in_size if channels is None else channels
    check_heads("Mamba2", heads, channels=channels)
    mixed_key, direct_key, conv_key, memory_key = jax.random.split(key, 4)
    memory = SSD(channels, out_size, state_size, heads=heads, step_range=step_range, key=memory_key)
    size, others = channels + 2 * state_size, channels + heads
    mixed = Serial(
        Pointwise(Linear(in_size, size, use_bias=False, key=mixed_key), in_size, size),
        Convolution(size, size, k, depthwise=True, key=conv_key),
        Pointwise(jax.nn.silu, size, size),
    )
    direct = Linear(in_size, others, use_bias=False, key=direct_key)
    return Serial(Fork(mixed, Pointwise(direct, in_size, others)), memory)


def mamba2(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """`x + Mamba2(norm(x))`, with twice as many channels in heads of 32, and 32 numbers to a key."""
    memory = Mamba2(width, width, 32, heads=heads_for(2 * width, 32), key=key)
    return PreNorm(width, memory, norm=RMSNorm)
