"""The diagonal state space model S4D."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float, PRNGKeyArray

from ..._typing import complex_dtype_of
from ...algebra import AbstractMonoid, Affine, Fixed
from .._compose import Residual, Serial
from .._feed_forward import Pointwise
from .._glu import GLU
from .._layer import AbstractLayer
from .._memoroid import AbstractMemoroid
from .._norm import LayerNorm
from .._precision import wide
from .._zero_order_hold import zero_order_hold


class S4D(AbstractMemoroid):
    r"""S4D: N complex states for each channel, whose output is mixed by a gated linear unit.

    $$h_t = e^{\Delta A} \odot h_{t-1} + A^{-1} (e^{\Delta A} - 1) \odot x_t 1_N^\top, \qquad
      y_t = 2\, \mathrm{Re} \sum_n C_n h_{t,n} + D \odot x_t, \qquad
      z_t = \mathrm{GLU}(\mathrm{gelu}(y_t)),$$

    with h, $A = -e^{a} + i b$ and C of shape (channels, N), and one step width $\Delta = e^{\delta}$ per
    channel, at first log-uniform in `step_range`. A begins as S4D-Lin, $-1/2 + i \pi n$, or as
    S4D-Inv, $-1/2 + i \tfrac{M}{\pi} (\tfrac{M}{2n + 1} - 1)$ with $M = 2N$. B is one: a product with C
    is all that it could say. The monoid is [`memoalg.Affine`][] of shape (channels, N), whose state is
    h without the gain $A^{-1}(e^{\Delta A} - 1)$, which is multiplied to C; the decay is
    [`memoalg.Fixed`][].

    Arguments:
        in_size: length of an input vector: the channels.
        out_size: length of an output vector.
        state_size: N, the complex states of a channel, half of the paper's.
        inverse: begin as S4D-Inv, not as S4D-Lin.
        step_range: smallest and largest step width at initialisation.
        key: for the initialisation.

    Raises:
        ValueError: for a size below 1, or where not `0 < step_range[0] <= step_range[1]`.

    Source: Gu et al., On the Parameterization and Initialization of Diagonal State Space Models
        (arXiv 2206.11893), sections 3 and 4.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.S4D(3, 2, 8, key=jax.random.key(0))
        >>> carry, ys = layer(layer.init_carry(), jnp.ones((5, 3)), None)
        >>> carry.shape, ys.shape
        ((3, 8), (5, 2))
    """

    rate_log: Float[Array, "channels state"]
    frequency: Float[Array, "channels state"]
    step_log: Float[Array, " channels"]
    C: Float[Array, "2 channels state"]
    D: Float[Array, " channels"]
    output: GLU
    in_size: int = eqx.field(static=True)
    out_size: int = eqx.field(static=True)
    state_size: int = eqx.field(static=True)

    def __init__(
        self,
        in_size: int,
        out_size: int,
        state_size: int = 32,
        *,
        inverse: bool = False,
        step_range: tuple[float, float] = (0.001, 0.1),
        key: PRNGKeyArray,
    ):
        low, high = step_range
        if min(in_size, out_size, state_size) < 1:
            raise ValueError(
                "S4D needs sizes of at least 1, got "
                f"in_size={in_size}, out_size={out_size}, state_size={state_size}"
            )
        if not 0.0 < low <= high:
            raise ValueError(f"S4D needs 0 < step_range[0] <= step_range[1], got {step_range}")
        step_key, c_key, d_key, out_key = jax.random.split(key, 4)
        n, both = jnp.arange(state_size, dtype=jnp.result_type(float)), 2 * state_size
        frequency = both / jnp.pi * (both / (2 * n + 1) - 1) if inverse else jnp.pi * n
        shape = in_size, state_size
        self.rate_log = jnp.full(shape, math.log(0.5))
        self.frequency = jnp.tile(frequency, (in_size, 1))
        self.step_log = jax.random.uniform(
            step_key, (in_size,), minval=math.log(low), maxval=math.log(high)
        )
        self.C = 0.5**0.5 * jax.random.normal(c_key, (2, *shape))
        self.D = jax.random.normal(d_key, (in_size,))
        self.output = GLU(in_size, out_size, key=out_key)
        self.in_size, self.out_size, self.state_size = in_size, out_size, state_size

    @property
    def monoid(self) -> AbstractMonoid:
        return Affine(self.rate_log.shape, complex_dtype_of(self.rate_log.dtype))

    def encode(self, x: Float[Array, " in"]) -> tuple[Fixed, Complex[Array, "channels state"]]:
        decay, _ = self._discretised()
        real = jnp.broadcast_to(wide(x)[:, None], decay.shape).astype(decay.real.dtype)
        return Fixed(decay), jax.lax.complex(real, jnp.zeros_like(real))

    def readout(
        self, read: Complex[Array, "channels state"], x: Float[Array, " in"]
    ) -> Float[Array, " out"]:
        _, gain = self._discretised()
        real, imaginary = wide(self.C)
        weight = 2 * gain * jax.lax.complex(real, imaginary)
        # Re(w h), without the imaginary part.
        y = jnp.sum(weight.real * read.real - weight.imag * read.imag, axis=1)
        return self.output(jax.nn.gelu(y.astype(self.D.dtype) + self.D * x))

    def _discretised(self) -> tuple[Complex[Array, "channels state"], Array]:
        rate = -jnp.exp(wide(self.rate_log))
        step = jnp.broadcast_to(jnp.exp(wide(self.step_log))[:, None], rate.shape)
        return zero_order_hold(rate, wide(self.frequency), step)


def s4d(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """`norm(x + S4D(x))`, with 32 complex states per channel; the S4D ends in gelu and a linear GLU."""
    return Serial(Residual(S4D(width, width, key=key)), Pointwise(LayerNorm(width), width, width))
