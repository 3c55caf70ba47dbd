"""The selective state space model of Mamba."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ..._product import dense_product
from ...algebra import AbstractMonoid, Affine
from .._branches import Branches
from .._feed_forward import Pointwise
from .._layer import AbstractLayer
from .._linear import Linear
from .._memoroid import AbstractMemoroid
from .._norm import RMSNorm
from .._pre_norm import PreNorm
from .._precision import wide
from ._convolution import Convolution

Element = tuple[Float[Array, "channels state"], Float[Array, "channels state"]]


class S6(AbstractMemoroid):
    r"""Selective state space: N real states per channel, whose decays and inputs depend on the input.

    $$h_t = e^{\Delta_t A} \odot h_{t-1} + (\Delta_t \odot u_t)\, B_t^\top, \qquad
      y_t = W_o (h_t C_t + D \odot u_t) + b_o,$$

    with h and A of shape (channels, N), $\Delta_t = \mathrm{softplus}(\Delta_0 + W_2 W_1 u_t)$ one step
    width per channel, and $B_t = W_B u_t$, $C_t = W_C u_t$ of length N, shared by the channels. u is x,
    or $W_u x + b_u$ where `channels` is given; $W_o$ and $b_o$ are left out where `out_size` is the
    length of u, as in Mamba. $A = -e^{A_{\log}} < 0$, at first $-1, \dots, -N$ in every channel
    (S4D-real); $\mathrm{softplus}(\Delta_0)$ is at first log-uniform in `step_range`, and D is one. The
    decay is the zero-order hold, the input its first order, as Mamba computes it. The monoid is
    [`memoalg.Affine`][] of shape (channels, N), in float32 or wider.

    This is the recurrence alone: Mamba's convolution, its gate and its norm are other layers, of the
    block `"s6"` of [`memoalg.nn.make`][].

    Arguments:
        in_size: length of an input vector.
        out_size: length of an output vector.
        state_size: N, the number of states per channel.
        channels: length of u; None is `in_size` without the map $W_u$.
        rank: rows of $W_1$; None is a sixteenth of the channels, rounded up.
        step_range: smallest and largest step width at initialisation.
        key: for the initialisation.

    Raises:
        ValueError: for a size below 1, or where not `0 < step_range[0] <= step_range[1]`.

    Source: Gu and Dao, Mamba (arXiv 2312.00752), eqs. 1a to 2b and Algorithm 2.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.S6(3, 2, 4, key=jax.random.key(0))
        >>> carry, ys = layer(layer.init_carry(), jnp.ones((5, 3)), None)
        >>> carry.shape, ys.shape
        ((3, 4), (5, 2))
    """

    inputs: Linear | None
    A_log: Float[Array, "channels state"]
    select: Float[Array, "rank+2*state channels"]
    step_up: Float[Array, "channels rank"]
    step_bias: Float[Array, " channels"]
    D: Float[Array, " channels"]
    output: Linear | None
    in_size: int = eqx.field(static=True)
    out_size: int = eqx.field(static=True)
    state_size: int = eqx.field(static=True)

    def __init__(
        self,
        in_size: int,
        out_size: int,
        state_size: int = 16,
        *,
        channels: int | None = None,
        rank: int | None = None,
        step_range: tuple[float, float] = (0.001, 0.1),
        key: PRNGKeyArray,
    ):
        width = in_size if channels is None else channels
        rank = math.ceil(width / 16) if rank is None else rank
        low, high = step_range
        if min(in_size, out_size, state_size, width, rank) < 1:
            raise ValueError(
                f"S6 needs sizes of at least 1, got in_size={in_size}, out_size={out_size}, "
                f"state_size={state_size}, channels={channels}, rank={rank}"
            )
        if not 0.0 < low <= high:
            raise ValueError(f"S6 needs 0 < step_range[0] <= step_range[1], got {step_range}")
        in_key, select_key, up_key, step_key, out_key = jax.random.split(key, 5)
        self.inputs = None if channels is None else Linear(in_size, width, key=in_key)
        self.A_log = jnp.tile(jnp.log(jnp.arange(1.0, state_size + 1)), (width, 1))
        self.select = _uniform(select_key, (rank + 2 * state_size, width))
        self.step_up = _uniform(up_key, (width, rank))
        step = jax.random.uniform(step_key, (width,), minval=math.log(low), maxval=math.log(high))
        # The inverse of softplus, so that the first step widths are exp(step).
        self.step_bias = jnp.log(jnp.expm1(jnp.exp(step)))
        self.D = jnp.ones(width)
        self.output = None if out_size == width else Linear(width, out_size, key=out_key)
        self.in_size, self.out_size, self.state_size = in_size, out_size, state_size

    @property
    def monoid(self) -> AbstractMonoid:
        return Affine(self.A_log.shape, wide(self.A_log).dtype)

    def encode(self, x: Float[Array, " in"]) -> Element:
        u = self._channels(x)
        rank = self.step_up.shape[1]
        rows = dense_product(u, self.select[: rank + self.state_size])
        # The bias is -7 or so at first: in bfloat16 the sum would lose the step width.
        logits = wide(dense_product(rows[:rank], self.step_up)) + wide(self.step_bias)
        step, b = jax.nn.softplus(logits), wide(rows[rank:])
        decay = jnp.exp(-step[:, None] * jnp.exp(wide(self.A_log)))
        return decay, (step * wide(u))[:, None] * b[None, :]

    def readout(
        self, read: Float[Array, "channels state"], x: Float[Array, " in"]
    ) -> Float[Array, " out"]:
        u = self._channels(x)
        c = wide(dense_product(u, self.select[-self.state_size :]))
        y = jnp.sum(read * c[None, :], axis=1).astype(u.dtype)
        y = y + self.D * u
        return y if self.output is None else self.output(y)

    def _channels(self, x: Float[Array, " in"]) -> Float[Array, " channels"]:
        return x if self.inputs is None else self.inputs(x)


def _uniform(key: PRNGKeyArray, shape: tuple[int, int]) -> Array:
    """Uniform within one over the root of the number of columns, as Mamba's maps begin."""
    bound = shape[1] ** -0.5
    return jax.random.uniform(key, shape, minval=-bound, maxval=bound)


def s6(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """`x + W(S6(silu(conv(U norm(x)))) * silu(V norm(x)))`: Mamba, twice as wide inside, 16 states each."""
    convolution_key, memory_key, branch_key = jax.random.split(key, 3)
    size = 2 * width
    mixer = Branches(
        width,
        Convolution(size, size, 4, depthwise=True, key=convolution_key),
        Pointwise(jax.nn.silu),
        S6(size, size, rank=math.ceil(width / 16), key=memory_key),
        gate=jax.nn.silu,
        use_bias=False,
        key=branch_key,
    )
    return PreNorm(width, mixer, norm=RMSNorm)
