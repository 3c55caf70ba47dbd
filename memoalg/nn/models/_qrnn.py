"""The quasi-recurrent network."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ...algebra import AbstractMonoid, Affine
from .._check import check_sizes
from .._compose import Serial
from .._layer import AbstractLayer
from .._memoroid import AbstractMemoroid
from .._pre_norm import PreNorm
from ._convolution import Convolution


class GatedPooling(AbstractMemoroid):
    r"""Average pooling over time with gates: the recurrent half of [`memoalg.nn.QRNN`][].

    $$c_t = \sigma(f_t) \odot c_{t-1} + (1 - \sigma(f_t)) \odot \tanh(z_t), \qquad
      y_t = \sigma(o_t) \odot c_t;$$

    the input is z, f and o in one vector. Nothing is learned here.

    Arguments:
        size: length of c, which is a third of that of an input.

    Raises:
        ValueError: for a size below 1.

    Source: Bradbury et al., Quasi-Recurrent Neural Networks (arXiv 1611.01576), section 2.1,
        fo-pooling.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.GatedPooling(1)
        >>> open, never = 99.0, -99.0
        >>> xs = jnp.array([[9.0, never, open], [0, open, open]])
        >>> print(layer(layer.init_carry(), xs, None)[1].round(3))
        [[1.]
         [1.]]
    """

    in_size: int = eqx.field(static=True)
    out_size: int = eqx.field(static=True)

    def __init__(self, size: int):
        check_sizes("GatedPooling", size=size)
        self.in_size, self.out_size = 3 * size, size

    @property
    def monoid(self) -> AbstractMonoid:
        return Affine(self.out_size)

    def encode(self, x: Float[Array, " in"]) -> tuple[Array, Array]:
        candidate, forget, _ = jnp.split(x.astype(jnp.result_type(float)), 3)
        return jax.nn.sigmoid(forget), jax.nn.sigmoid(-forget) * jnp.tanh(candidate)

    def readout(self, read: Float[Array, " out"], x: Float[Array, " in"]) -> Float[Array, " out"]:
        gate = jax.nn.sigmoid(x[2 * self.out_size :])
        return gate * read.astype(gate.dtype)


def QRNN(in_size: int, out_size: int, kernel_size: int = 2, *, key: PRNGKeyArray) -> Serial:
    r"""Quasi-recurrent network: a causal convolution of the inputs, then gated pooling over time.

    $$z = \tanh(W_z * x), \quad f = \sigma(W_f * x), \quad o = \sigma(W_o * x), \quad
      c_t = f_t \odot c_{t-1} + (1 - f_t) \odot z_t, \quad y_t = o_t \odot c_t,$$

    where $*$ is a convolution of the last k inputs of the episode (zero before there were so many),
    with biases. It is a cascade of two memories, [`memoalg.nn.Convolution`][] and
    [`memoalg.nn.GatedPooling`][].

    Gates see k inputs and no state: like every layer of gates in (0, 1) it cannot count modulo two.

    Arguments:
        in_size: length of an input vector.
        out_size: length of c, which the output gate opens.
        kernel_size: k, at least 1.
        key: for the initialisation, that of the convolution.

    Raises:
        ValueError: for a size below 1.

    Source: Bradbury et al., Quasi-Recurrent Neural Networks (arXiv 1611.01576), section 2,
        fo-pooling; without zoneout.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.QRNN(3, 4, 2, key=jax.random.key(0))
        >>> layer(layer.init_carry(), jnp.ones((5, 3)), None)[1].shape
        (5, 4)
    """
    check_sizes("QRNN", in_size=in_size, out_size=out_size, kernel_size=kernel_size)
    gates = Convolution(in_size, 3 * out_size, kernel_size, key=key)
    return Serial(gates, GatedPooling(out_size))


def qrnn(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """`x + QRNN(norm(x))`, which convolves the last two inputs."""
    return PreNorm(width, QRNN(width, width, key=key))
