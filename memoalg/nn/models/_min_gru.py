"""The minimal GRU."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ...algebra import AbstractMonoid, Affine, LogAffine
from .._check import check_sizes
from .._layer import AbstractLayer
from .._linear import Linear
from .._memoroid import AbstractMemoroid
from .._norm import RMSNorm
from .._pre_norm import PreNorm
from .._precision import wide


class MinGRU(AbstractMemoroid):
    r"""Minimal GRU: a GRU whose gate and candidate do not see the state, hence linear in it.

    $$z_t = \sigma(W_z x_t + b_z), \quad \tilde h_t = W_h x_t + b_h, \quad
      h_t = (1 - z_t) \odot h_{t-1} + z_t \odot \tilde h_t, \quad y_t = W_o h_t + b_o.$$

    With `log_space` the candidate is positive, $\tilde h_t = g(W_h x_t + b_h)$ where
    $g(x) = x + 1/2$ for $x \ge 0$ and $\sigma(x)$ below, and the monoid is [`memoalg.LogAffine`][]
    instead of [`memoalg.Affine`][]: the state is $\log h$, which no long product of gates underflows.

    Episodes begin at $h = 0$. The gate is the input's alone, so what is kept cannot depend on what
    is remembered, and decays in (0, 1) count nothing modulo anything.

    Arguments:
        in_size: length of an input vector.
        out_size: length of an output vector.
        state_size: length of h.
        log_space: whether the recurrence is that of logarithms, with g.
        key: for the initialisation.

    Raises:
        ValueError: for a size below 1.

    Source: Feng et al., Were RNNs All We Needed? (arXiv 2410.01201), section 3.1; g and the form in
        log space are those of its appendix B. The map out is that of its expanded layers.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.MinGRU(3, 2, 8, key=jax.random.key(0))
        >>> carry, ys = layer(layer.init_carry(), jnp.ones((5, 3)), None)
        >>> carry.shape, ys.shape
        ((8,), (5, 2))
    """

    inputs: Linear
    output: Linear
    in_size: int = eqx.field(static=True)
    out_size: int = eqx.field(static=True)
    state_size: int = eqx.field(static=True)
    log_space: bool = eqx.field(static=True)

    def __init__(
        self,
        in_size: int,
        out_size: int,
        state_size: int,
        *,
        log_space: bool = False,
        key: PRNGKeyArray,
    ):
        check_sizes("MinGRU", in_size=in_size, out_size=out_size, state_size=state_size)
        in_key, out_key = jax.random.split(key)
        self.inputs = Linear(in_size, 2 * state_size, key=in_key)
        self.output = Linear(state_size, out_size, key=out_key)
        self.in_size, self.out_size, self.state_size = in_size, out_size, state_size
        self.log_space = log_space

    @property
    def monoid(self) -> AbstractMonoid:
        dtype = wide(self.output.weight).dtype
        return (LogAffine if self.log_space else Affine)(self.state_size, dtype)

    def encode(self, x: Float[Array, " in"]) -> tuple[Array, Array]:
        gate, candidate = jnp.split(wide(self.inputs(x)), 2)
        if self.log_space:
            log_input = log_positive(candidate) + jax.nn.log_sigmoid(gate)
            return jax.nn.log_sigmoid(-gate), log_input
        # Not 1 - sigmoid(gate), which rounds to 0.
        return jax.nn.sigmoid(-gate), jax.nn.sigmoid(gate) * candidate

    def readout(self, read: Float[Array, " state"], x: Float[Array, " in"]) -> Float[Array, " out"]:
        state = jnp.exp(read) if self.log_space else read
        return self.output(state.astype(self.output.weight.dtype))


def log_positive(x: Array) -> Array:
    """The logarithm of g: of x + 1/2 from zero on, of sigmoid(x) below."""
    # Not relu, whose slope at zero is 0: a zero input meets it exactly.
    positive = jnp.where(x >= 0, x, jnp.zeros_like(x))
    return jnp.where(x >= 0, jnp.log(positive + 0.5), jax.nn.log_sigmoid(x))


def min_gru(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """`x + MinGRU(rms_norm(x))`, with two states per channel."""
    return PreNorm(width, MinGRU(width, width, 2 * width, key=key), norm=RMSNorm)
