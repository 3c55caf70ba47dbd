"""The dense linear recurrent network."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ..._product import dense_product
from ...algebra import AbstractMonoid, Fixed, MatrixAffine
from .._compose import Serial
from .._feed_forward import Pointwise
from .._glu import GLU
from .._layer import AbstractLayer
from .._memoroid import AbstractMemoroid
from .._pre_norm import PreNorm
from .._precision import wide


class LinearRNN(AbstractMemoroid):
    r"""A linear recurrence with a dense state matrix: every linear time-invariant filter.

    $$h_t = A h_{t-1} + B x_t, \qquad y_t = C h_t + D x_t.$$

    A is at first an orthogonal matrix times `radius`, so that all its eigenvalues have that modulus.
    The monoid is [`memoalg.MatrixAffine`][], in float32 or wider; A is [`memoalg.Fixed`][], so a
    parallel scan forms its powers by squaring, $\log T$ products of matrices in all.

    Hazard: nothing keeps the eigenvalues of A inside the unit circle while it learns.
    [`memoalg.nn.LRU`][] is the same filter diagonalised, stable by its parametrisation, and cheaper.

    Arguments:
        in_size: length of an input vector.
        out_size: length of an output vector.
        state_size: length of h.
        radius: modulus of the eigenvalues of A at initialisation.
        key: for the initialisation.

    Raises:
        ValueError: for a size below 1, or where not `0 < radius <= 1`.

    Source: Orvieto et al., Resurrecting Recurrent Neural Networks for Long Sequences
        (arXiv 2303.06349), section 2 and the linear RNN of section 3.1; the initialisation is ours.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.LinearRNN(3, 2, 8, key=jax.random.key(0))
        >>> carry, ys = layer(layer.init_carry(), jnp.ones((5, 3)), None)
        >>> carry.shape, ys.shape
        ((8,), (5, 2))
    """

    A: Float[Array, "state state"]
    B: Float[Array, "state in"]
    C: Float[Array, "out state"]
    D: Float[Array, "out in"]
    in_size: int = eqx.field(static=True)
    out_size: int = eqx.field(static=True)
    state_size: int = eqx.field(static=True)

    def __init__(
        self,
        in_size: int,
        out_size: int,
        state_size: int,
        *,
        radius: float = 0.99,
        key: PRNGKeyArray,
    ):
        if min(in_size, out_size, state_size) < 1:
            raise ValueError(
                "LinearRNN needs sizes of at least 1, got "
                f"in_size={in_size}, out_size={out_size}, state_size={state_size}"
            )
        if not 0.0 < radius <= 1.0:
            raise ValueError(f"LinearRNN needs 0 < radius <= 1, got {radius}")
        a_key, b_key, c_key, d_key = jax.random.split(key, 4)
        orthogonal = jax.nn.initializers.orthogonal(radius)
        lecun = jax.nn.initializers.lecun_normal(in_axis=1, out_axis=0)
        dtype = jnp.result_type(float)
        self.A = orthogonal(a_key, (state_size, state_size), dtype)
        self.B = lecun(b_key, (state_size, in_size), dtype)
        self.C = lecun(c_key, (out_size, state_size), dtype)
        self.D = lecun(d_key, (out_size, in_size), dtype)
        self.in_size, self.out_size, self.state_size = in_size, out_size, state_size

    @property
    def monoid(self) -> AbstractMonoid:
        return MatrixAffine(self.state_size, wide(self.A).dtype)

    def encode(self, x: Float[Array, " in"]) -> tuple[Fixed, Float[Array, " state"]]:
        return Fixed(wide(self.A)), wide(dense_product(x, self.B))

    def readout(self, read: Float[Array, " state"], x: Float[Array, " in"]) -> Float[Array, " out"]:
        weight = jnp.concatenate([self.C, self.D], axis=1)
        return dense_product(jnp.concatenate([read.astype(self.C.dtype), x]), weight)


def linear_rnn(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """`x + GLU(gelu(LinearRNN(norm(x))))`, with as many states as channels."""
    memory_key, glu_key = jax.random.split(key)
    memory = LinearRNN(width, width, width, key=memory_key)
    mixer = Pointwise(GLU(width, width, key=glu_key), width, width)
    return PreNorm(width, Serial(memory, Pointwise(jax.nn.gelu), mixer))
