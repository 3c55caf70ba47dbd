"""A maximum that wears off."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ...algebra import AbstractMonoid, Add, Fixed, Max, SemidirectProduct, shift
from .._check import check_sizes
from .._layer import AbstractLayer
from .._linear import Linear
from .._memoroid import AbstractMemoroid
from .._pre_norm import PreNorm
from .._precision import wide


class DecayedMax(AbstractMemoroid):
    r"""The largest of what was seen, less a rate for each step since: a max-plus linear recurrence.

    $$m_t = \max(m_{t-1} - r,\; W x_t + b) = \max_{s \le t}\,(W x_s + b - (t - s)\, r), \qquad
      y_t = W_o m_t + b_o,$$

    with learned rates $r = e^{\rho} > 0$, at first log-uniform in `rate_range`, one per state. Episodes
    begin at $m = -\infty$, which is never read. The monoid is
    `SemidirectProduct(Add, Max, action=shift)`; the rate is [`memoalg.Fixed`][]. It remembers *that* a
    peak was, and how long ago, but no sum and no count; the gradient reaches the step of the peak alone.

    Arguments:
        in_size: length of an input vector.
        out_size: length of an output vector.
        state_size: number of maxima.
        rate_range: smallest and largest rate at initialisation, per step.
        key: for the initialisation.

    Raises:
        ValueError: for a size below 1, or where not `0 < rate_range[0] <= rate_range[1]`.

    Source: the tropical form of a diagonal linear recurrence, as Baccelli et al., Synchronization and
        Linearity (1992), have it for events. memax's NMax multiplies by its decay instead, which is no
        monoid's product after an update.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.DecayedMax(3, 2, 8, key=jax.random.key(0))
        >>> carry, ys = layer(layer.init_carry(), jnp.ones((5, 3)), None)
        >>> carry.shape, ys.shape
        ((8,), (5, 2))
    """

    inputs: Linear
    rate_log: Float[Array, " state"]
    output: Linear
    in_size: int = eqx.field(static=True)
    out_size: int = eqx.field(static=True)
    state_size: int = eqx.field(static=True)

    def __init__(
        self,
        in_size: int,
        out_size: int,
        state_size: int,
        *,
        rate_range: tuple[float, float] = (0.001, 1.0),
        key: PRNGKeyArray,
    ):
        check_sizes("DecayedMax", in_size=in_size, out_size=out_size, state_size=state_size)
        in_key, rate_key, out_key = jax.random.split(key, 3)
        self.inputs = Linear(in_size, state_size, key=in_key)
        self.rate_log = log_uniform("DecayedMax: rate_range", rate_range, state_size, rate_key)
        self.output = Linear(state_size, out_size, key=out_key)
        self.in_size, self.out_size, self.state_size = in_size, out_size, state_size

    @property
    def monoid(self) -> AbstractMonoid:
        dtype = wide(self.rate_log).dtype
        return SemidirectProduct(Add(self.state_size, dtype), Max(self.state_size, dtype), shift)

    def encode(self, x: Float[Array, " in"]) -> tuple[Fixed, Float[Array, " state"]]:
        return Fixed(-jnp.exp(wide(self.rate_log))), wide(self.inputs(x))

    def readout(self, read: Float[Array, " state"], x: Float[Array, " in"]) -> Float[Array, " out"]:
        return self.output(read.astype(self.output.weight.dtype))


def log_uniform(name: str, ends: tuple[float, float], size: int, key: PRNGKeyArray) -> Array:
    """Logarithms of numbers that are log-uniform between two positive ends."""
    low, high = ends
    if not 0.0 < low <= high:
        raise ValueError(f"{name} needs 0 < low <= high, got {ends}")
    return jax.random.uniform(key, (size,), minval=math.log(low), maxval=math.log(high))


def decayed_max(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """`x + DecayedMax(norm(x))`, with as many maxima as channels."""
    return PreNorm(width, DecayedMax(width, width, width, key=key))
