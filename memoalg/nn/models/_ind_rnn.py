"""The independently recurrent network."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ...algebra import AbstractMonoid, Fixed
from ...algebra._clipped_affine import ClippedAffine
from .._check import check_sizes
from .._layer import AbstractLayer
from .._linear import Linear
from .._memoroid import AbstractMemoroid
from .._pre_norm import PreNorm
from .._precision import wide


class IndRNN(AbstractMemoroid):
    r"""Independently recurrent network: a relu recurrence in which each neuron sees itself alone.

    $$h_t = \mathrm{relu}(W x_t + u \odot h_{t-1} + b);$$

    the output is the state. It is not linear, but maps $h \mapsto \mathrm{clip}(a h + b, l, u)$ are
    closed under composition, so it runs as a scan of [`memoalg.ClippedAffine`][], exactly.

    The paper projects u onto $|u| \le 2^{1/T}$ after each update, T the longest sequence. Here
    $u = g \tanh(v)$ with a learned v and g the `max_gain`, so no optimiser need know of it. u begins
    uniform in (0, g).

    Hazard: with `max_gain` above 1 products of many u overflow: keep $g^T$ below 1e30.

    Arguments:
        in_size: length of an input vector.
        out_size: length of the state, which is the output.
        max_gain: g; `2 ** (1 / T)` is the paper's.
        key: for the initialisation.

    Raises:
        ValueError: for a size below 1, or a `max_gain` of 0 or less.

    Source: Li et al., Independently Recurrent Neural Network (arXiv 1803.04831), section 3.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.IndRNN(3, 4, key=jax.random.key(0))
        >>> carry, ys = layer(layer.init_carry(), jnp.ones((5, 3)), None, method=ma.Associative())
        >>> ys.shape
        (5, 4)
    """

    inputs: Linear
    gain: Float[Array, " state"]
    in_size: int = eqx.field(static=True)
    out_size: int = eqx.field(static=True)
    max_gain: float = eqx.field(static=True)

    def __init__(self, in_size: int, out_size: int, *, max_gain: float = 1.0, key: PRNGKeyArray):
        check_sizes("IndRNN", in_size=in_size, out_size=out_size)
        if not max_gain > 0:
            raise ValueError(f"IndRNN: max_gain must be above 0, got {max_gain}")
        in_key, gain_key = jax.random.split(key)
        self.inputs = Linear(in_size, out_size, key=in_key)
        # Kept off both ends: the upper one has no finite v, and at the lower one nothing is kept.
        fraction = jax.random.uniform(gain_key, (out_size,), minval=0.001, maxval=0.999)
        self.gain = jnp.arctanh(fraction)
        self.in_size, self.out_size, self.max_gain = in_size, out_size, float(max_gain)

    @property
    def monoid(self) -> AbstractMonoid:
        return ClippedAffine(self.out_size, wide(self.gain).dtype)

    def encode(self, x: Float[Array, " in"]) -> tuple[Fixed, Float[Array, " state"], Fixed, Fixed]:
        recurrent = self.max_gain * jnp.tanh(wide(self.gain))
        zero = jnp.zeros_like(recurrent)
        return Fixed(recurrent), wide(self.inputs(x)), Fixed(zero), Fixed(zero + jnp.inf)

    def readout(
        self, read: Float[Array, " state"], x: Float[Array, " in"]
    ) -> Float[Array, " state"]:
        return read.astype(self.gain.dtype)


def ind_rnn(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """`x + IndRNN(norm(x))`, with the norm of a layer where the paper has that of a batch."""
    return PreNorm(width, IndRNN(width, width, key=key))
