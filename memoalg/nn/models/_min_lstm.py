"""The minimal LSTM."""

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
from ._min_gru import log_positive


class MinLSTM(AbstractMemoroid):
    r"""Minimal LSTM: forget and input gates of the input alone, normalised to sum to one.

    $$f_t = \sigma(W_f x_t + b_f), \quad i_t = \sigma(W_i x_t + b_i), \quad
      \tilde h_t = W_h x_t + b_h,$$
    $$h_t = \frac{f_t}{f_t + i_t} \odot h_{t-1} + \frac{i_t}{f_t + i_t} \odot \tilde h_t, \qquad
      y_t = W_o h_t + b_o.$$

    The normalised gates are $\sigma(d)$ and $\sigma(-d)$ with $d = \log f_t - \log i_t$, so two closed
    gates are no 0/0. With `log_space` the candidate is $g(W_h x_t + b_h) > 0$ and the monoid is
    [`memoalg.LogAffine`][], as for [`memoalg.nn.MinGRU`][], whose limits it has too.

    Arguments:
        in_size: length of an input vector.
        out_size: length of an output vector.
        state_size: length of h.
        log_space: whether the recurrence is that of logarithms, with g.
        key: for the initialisation.

    Raises:
        ValueError: for a size below 1.

    Source: Feng et al., Were RNNs All We Needed? (arXiv 2410.01201), section 3.2; g and the form in
        log space are those of its appendix B. The map out is that of its expanded layers.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.MinLSTM(3, 2, 8, log_space=True, key=jax.random.key(0))
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
        check_sizes("MinLSTM", in_size=in_size, out_size=out_size, state_size=state_size)
        in_key, out_key = jax.random.split(key)
        self.inputs = Linear(in_size, 3 * state_size, key=in_key)
        self.output = Linear(state_size, out_size, key=out_key)
        self.in_size, self.out_size, self.state_size = in_size, out_size, state_size
        self.log_space = log_space

    @property
    def monoid(self) -> AbstractMonoid:
        dtype = wide(self.output.weight).dtype
        return (LogAffine if self.log_space else Affine)(self.state_size, dtype)

    def encode(self, x: Float[Array, " in"]) -> tuple[Array, Array]:
        forget, write, candidate = jnp.split(wide(self.inputs(x)), 3)
        difference = jax.nn.log_sigmoid(forget) - jax.nn.log_sigmoid(write)
        if self.log_space:
            log_input = log_positive(candidate) + jax.nn.log_sigmoid(-difference)
            return jax.nn.log_sigmoid(difference), log_input
        return jax.nn.sigmoid(difference), jax.nn.sigmoid(-difference) * candidate

    def readout(self, read: Float[Array, " state"], x: Float[Array, " in"]) -> Float[Array, " out"]:
        state = jnp.exp(read) if self.log_space else read
        return self.output(state.astype(self.output.weight.dtype))


def min_lstm(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """`x + MinLSTM(rms_norm(x))`, with two states per channel."""
    return PreNorm(width, MinLSTM(width, width, 2 * width, key=key), norm=RMSNorm)
