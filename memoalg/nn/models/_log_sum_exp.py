"""A soft maximum that wears off."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ...algebra import AbstractMonoid, Fixed, LogAffine
from .._check import check_sizes
from .._layer import AbstractLayer
from .._linear import Linear
from .._memoroid import AbstractMemoroid
from .._pre_norm import PreNorm
from .._precision import wide
from ._decayed_max import log_uniform


class DecayedLogSumExp(AbstractMemoroid):
    r"""A soft maximum of what was seen, less a rate for each step since.

    $$s_t = \tau \log\left(e^{(s_{t-1} - r) / \tau} + e^{(W x_t + b) / \tau}\right)
      = \tau \log \sum_{j \le t} e^{(W x_j + b - (t - j)\, r) / \tau}, \qquad y_t = W_o s_t + b_o,$$

    with learned rates $r = e^{\rho} > 0$ and temperatures $\tau = e^{\theta} > 0$, one of each per
    state. The lower the temperature, the nearer to [`memoalg.nn.DecayedMax`][], but every step gets a
    gradient. Episodes begin at $s = -\infty$, which is never read, and has a finite gradient. The
    monoid is [`memoalg.LogAffine`][] on $s / \tau$; the rate is [`memoalg.Fixed`][].

    Equal inputs add up: n of them, without decay, raise s by $\tau \log n$.

    Arguments:
        in_size: length of an input vector.
        out_size: length of an output vector.
        state_size: number of soft maxima.
        rate_range: smallest and largest rate at initialisation (log-uniform), per step.
        temperature: at initialisation, of all.
        key: for the initialisation.

    Raises:
        ValueError: for a size below 1, a temperature of 0 or less, or where not
            `0 < rate_range[0] <= rate_range[1]`.

    Source: a linear recurrence of positive numbers by their logarithms, as Heinsen (arXiv 2311.06281)
        scans it. memax's DLSE has neither an identity nor a lawful decay.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.DecayedLogSumExp(3, 2, 8, key=jax.random.key(0))
        >>> carry, ys = layer(layer.init_carry(), jnp.ones((5, 3)), None)
        >>> carry.shape, ys.shape
        ((8,), (5, 2))
    """

    inputs: Linear
    rate_log: Float[Array, " state"]
    temperature_log: Float[Array, " state"]
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
        temperature: float = 1.0,
        key: PRNGKeyArray,
    ):
        name = "DecayedLogSumExp"
        check_sizes(name, in_size=in_size, out_size=out_size, state_size=state_size)
        if not temperature > 0:
            raise ValueError(f"{name}: temperature must be above 0, got {temperature}")
        in_key, rate_key, out_key = jax.random.split(key, 3)
        self.inputs = Linear(in_size, state_size, key=in_key)
        self.rate_log = log_uniform(f"{name}: rate_range", rate_range, state_size, rate_key)
        self.temperature_log = jnp.log(jnp.full(state_size, float(temperature)))
        self.output = Linear(state_size, out_size, key=out_key)
        self.in_size, self.out_size, self.state_size = in_size, out_size, state_size

    @property
    def monoid(self) -> AbstractMonoid:
        return LogAffine(self.state_size, wide(self.rate_log).dtype)

    def encode(self, x: Float[Array, " in"]) -> tuple[Fixed, Float[Array, " state"]]:
        coldness = jnp.exp(-wide(self.temperature_log))
        return Fixed(-jnp.exp(wide(self.rate_log)) * coldness), wide(self.inputs(x)) * coldness

    def readout(self, read: Float[Array, " state"], x: Float[Array, " in"]) -> Float[Array, " out"]:
        state = jnp.exp(wide(self.temperature_log)) * read
        return self.output(state.astype(self.output.weight.dtype))


def log_sum_exp(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """`x + DecayedLogSumExp(norm(x))`, with as many soft maxima as channels."""
    return PreNorm(width, DecayedLogSumExp(width, width, width, key=key))
