"""The Linear Recurrent Unit."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float, PRNGKeyArray

from ..._product import dense_product
from ..._typing import complex_dtype_of
from ...algebra import AbstractMonoid, Affine, Fixed
from .._check import check_sizes
from .._compose import Serial
from .._feed_forward import Pointwise
from .._glu import GLU
from .._layer import AbstractLayer
from .._memoroid import AbstractMemoroid
from .._pre_norm import PreNorm
from .._precision import wide


class LRU(AbstractMemoroid):
    r"""Linear Recurrent Unit: a complex diagonal linear recurrence with a stable parametrisation.

    $$h_t = \lambda \odot h_{t-1} + \gamma \odot B x_t, \qquad y_t = \mathrm{Re}(C h_t) + D x_t,$$

    with $\lambda = \exp(-e^{\nu} + i e^{\theta})$, so that $|\lambda| < 1$, and
    $\gamma = e^{\gamma_{\log}}$, at first $\sqrt{1 - |\lambda|^2}$. All parameters are stored as real
    arrays (complex ones are pushed the wrong way by optimisers that do not conjugate). The monoid is
    [`memoalg.Affine`][]; the decay is [`memoalg.Fixed`][], and only h is carried.

    Arguments:
        in_size: length of an input vector.
        out_size: length of an output vector.
        state_size: number of complex states.
        r_min: smallest modulus of an eigenvalue at initialisation.
        r_max: largest modulus.
        max_phase: largest phase, in radians.
        key: for the initialisation.

    Raises:
        ValueError: for a size below 1, or where not `0 <= r_min < r_max < 1` and `max_phase > 0`.

    Source: Orvieto et al., Resurrecting Recurrent Neural Networks for Long Sequences
        (arXiv 2303.06349), eqs. 5 to 7 and Lemma 3.2.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.LRU(3, 2, 8, key=jax.random.key(0))
        >>> carry, y = layer.step(layer.init_carry(), jnp.ones(3), jnp.array(True))
        >>> carry.shape, y.shape
        ((8,), (2,))
    """

    nu_log: Float[Array, " state"]
    theta_log: Float[Array, " state"]
    gamma_log: Float[Array, " state"]
    B: Float[Array, "2 state in"]
    C: Float[Array, "2 out state"]
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
        r_min: float = 0.4,
        r_max: float = 0.999,
        max_phase: float = 3.141592653589793,
        key: PRNGKeyArray,
    ):
        check_sizes("LRU", in_size=in_size, out_size=out_size, state_size=state_size)
        if not 0.0 <= r_min < r_max < 1.0 or max_phase <= 0.0:
            raise ValueError(
                f"LRU needs 0 <= r_min < r_max < 1 and max_phase > 0, got r_min={r_min}, "
                f"r_max={r_max}, max_phase={max_phase}"
            )
        r_key, phase_key, b_key, c_key, d_key = jax.random.split(key, 5)
        # |lambda|^2 uniform on the ring, kept off both ends where the logarithms diverge.
        high = min(max(r_max**2, 2e-6), 1 - 1e-6)
        low = min(r_min**2 + 1e-6, high)
        square = jax.random.uniform(r_key, (state_size,), minval=low, maxval=high)
        phase = jax.random.uniform(
            phase_key, (state_size,), minval=1e-3 * max_phase, maxval=max_phase
        )
        self.nu_log = jnp.log(-0.5 * jnp.log(square))
        self.theta_log = jnp.log(phase)
        self.gamma_log = 0.5 * jnp.log1p(-square)
        b_scale, c_scale = (2 * in_size) ** -0.5, state_size**-0.5
        self.B = b_scale * jax.random.normal(b_key, (2, state_size, in_size))
        self.C = c_scale * jax.random.normal(c_key, (2, out_size, state_size))
        self.D = in_size**-0.5 * jax.random.normal(d_key, (out_size, in_size))
        self.in_size, self.out_size, self.state_size = in_size, out_size, state_size

    @property
    def monoid(self) -> AbstractMonoid:
        return Affine(self.state_size, complex_dtype_of(self.nu_log.dtype))

    @property
    def eigenvalues(self) -> Complex[Array, " state"]:
        """lambda, complex (state_size,)."""
        modulus = jnp.exp(-jnp.exp(wide(self.nu_log)))
        phase = jnp.exp(wide(self.theta_log))
        return jax.lax.complex(modulus * jnp.cos(phase), modulus * jnp.sin(phase))

    def encode(self, x: Float[Array, " in"]) -> tuple[Fixed, Complex[Array, " state"]]:
        pair = dense_product(x, self.B.reshape(-1, self.in_size)).reshape(2, self.state_size)
        real, imaginary = wide(jnp.exp(self.gamma_log)[None] * pair)
        return Fixed(self.eigenvalues), jax.lax.complex(real, imaginary)

    def readout(
        self, read: Complex[Array, " state"], x: Float[Array, " in"]
    ) -> Float[Array, " out"]:
        real, imaginary = read.real.astype(self.C.dtype), read.imag.astype(self.C.dtype)
        # One product: [Re C, -Im C, D] [Re h, Im h, x].
        weight = jnp.concatenate([self.C[0], -self.C[1], self.D], axis=1)
        return dense_product(jnp.concatenate([real, imaginary, x]), weight)


def lru(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """`x + GLU(gelu(LRU(norm(x))))`, with as many complex states as channels."""
    memory_key, glu_key = jax.random.split(key)
    memory = LRU(width, width, width, key=memory_key)
    mixer = Pointwise(GLU(width, width, key=glu_key), width, width)
    return PreNorm(width, Serial(memory, Pointwise(jax.nn.gelu), mixer))
