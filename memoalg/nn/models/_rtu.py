"""The linear recurrent trace unit."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float, PRNGKeyArray

from ..._product import dense_product
from ..._typing import complex_dtype_of
from ...algebra import AbstractMonoid, Affine, Fixed
from .._compose import Serial
from .._feed_forward import Pointwise
from .._layer import AbstractLayer
from .._linear import Linear
from .._memoroid import AbstractMemoroid, StaticFunction
from .._precision import wide


class RTU(AbstractMemoroid):
    r"""Recurrent trace units: each turns and shrinks a real pair, and the input comes in scaled to it.

    $$h^1_t = g \odot h^1_{t-1} - f \odot h^2_{t-1} + \gamma \odot W_1 x_t, \qquad
      h^2_t = g \odot h^2_{t-1} + f \odot h^1_{t-1} + \gamma \odot W_2 x_t, \qquad
      y_t = a([h^1_t, h^2_t]),$$

    with $g = r \cos \vartheta$, $f = r \sin \vartheta$, $r = \exp(-e^{\nu}) < 1$, $\vartheta = e^{\theta}$
    and $\gamma = \sqrt{1 - r^2}$, tied to r. There is no other readout: a dense layer follows. $r^2$ is
    at first uniform between the squares of `r_min` and `r_max`, $\vartheta$ uniform up to `max_phase`.

    The pair is one complex number, $h_t = r e^{i \vartheta} h_{t-1} + \gamma (W_1 + i W_2) x_t$: the
    monoid is [`memoalg.Affine`][], the decay is [`memoalg.Fixed`][]. An [`memoalg.nn.LRU`][] has its
    own $\gamma$ and complex readout beside.

    Arguments:
        in_size: length of an input vector.
        out_size: length of an output vector, even: half of it is the number of units.
        activation: a, elementwise.
        r_min: smallest r at initialisation.
        r_max: largest r.
        max_phase: largest angle, in radians.
        key: for the initialisation.

    Raises:
        ValueError: for a size below 1 or an odd `out_size`, or where not `0 <= r_min < r_max <= 1` and
            `max_phase > 0`.

    Source: Elelimy et al., Real-Time Recurrent Learning using Trace Units in Reinforcement Learning
        (arXiv 2409.01449): the linear unit, as in the authors' code, whose 1e-8 beside $\gamma$ is
        left out.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.RTU(3, 8, activation=jnp.tanh, key=jax.random.key(0))
        >>> carry, ys = layer(layer.init_carry(), jnp.ones((5, 3)), None)
        >>> carry.shape, ys.shape
        ((4,), (5, 8))
    """

    nu_log: Float[Array, " units"]
    theta_log: Float[Array, " units"]
    W: Float[Array, "2 units in"]
    activation: StaticFunction
    in_size: int = eqx.field(static=True)
    out_size: int = eqx.field(static=True)

    def __init__(
        self,
        in_size: int,
        out_size: int,
        *,
        activation: Callable[[Array], Array] = jax.nn.relu,
        r_min: float = 0.0,
        r_max: float = 1.0,
        max_phase: float = 6.28,
        key: PRNGKeyArray,
    ):
        self.nu_log, self.theta_log, self.W = trace_units(
            "RTU", (in_size, out_size), (r_min, r_max), max_phase, key
        )
        self.activation = StaticFunction(activation)
        self.in_size, self.out_size = in_size, out_size

    @property
    def monoid(self) -> AbstractMonoid:
        return Affine(self.nu_log.shape, complex_dtype_of(self.nu_log.dtype))

    def encode(self, x: Float[Array, " in"]) -> tuple[Fixed, Complex[Array, " units"]]:
        g, f, gamma = rotation(self.nu_log, self.theta_log)
        real, imaginary = gamma[None] * wide(
            dense_product(x, self.W.reshape(-1, self.in_size)).reshape(2, -1)
        )
        return Fixed(jax.lax.complex(g, f)), jax.lax.complex(real, imaginary)

    def readout(
        self, read: Complex[Array, " units"], x: Float[Array, " in"]
    ) -> Float[Array, " out"]:
        return self.activation(jnp.concatenate([read.real, read.imag])).astype(self.W.dtype)


def trace_units(
    name: str,
    sizes: tuple[int, int],
    modulus: tuple[float, float],
    max_phase: float,
    key: PRNGKeyArray,
) -> tuple[Float[Array, " units"], Float[Array, " units"], Float[Array, "2 units in"]]:
    """nu, theta and W at initialisation."""
    (in_size, out_size), (r_min, r_max) = sizes, modulus
    if min(sizes) < 1 or out_size % 2:
        raise ValueError(
            f"{name} needs sizes of at least 1 and an even out_size, two numbers for each unit, "
            f"got in_size={in_size}, out_size={out_size}"
        )
    if not 0.0 <= r_min < r_max <= 1.0 or max_phase <= 0.0:
        raise ValueError(
            f"{name} needs 0 <= r_min < r_max <= 1 and max_phase > 0, got r_min={r_min}, "
            f"r_max={r_max}, max_phase={max_phase}"
        )
    r_key, phase_key, w_key = jax.random.split(key, 3)
    shape = (out_size // 2,)
    # Off both ends, where the logarithms diverge.
    high = min(max(r_max**2, 2e-6), 1 - 1e-6)
    low = min(r_min**2 + 1e-6, high)
    square = jax.random.uniform(r_key, shape, minval=low, maxval=high)
    phase = jax.random.uniform(phase_key, shape, minval=1e-3 * max_phase, maxval=max_phase)
    weight = in_size**-0.5 * jax.random.normal(w_key, (2, *shape, in_size))
    return jnp.log(-0.5 * jnp.log(square)), jnp.log(phase), weight


def rotation(
    nu_log: Float[Array, " units"], theta_log: Float[Array, " units"]
) -> tuple[Float[Array, " units"], Float[Array, " units"], Float[Array, " units"]]:
    r"""$r \cos \vartheta$, $r \sin \vartheta$ and $\gamma$, in float32 at least."""
    rate, phase = jnp.exp(wide(nu_log)), jnp.exp(wide(theta_log))
    r = jnp.exp(-rate)
    # 1 - r² without the cancellation of an r near 1.
    # Where r is 1 in floats, the root would have an infinite slope.
    square = jnp.maximum(-jnp.expm1(-2 * rate), jnp.finfo(rate.dtype).tiny)
    return r * jnp.cos(phase), r * jnp.sin(phase), jnp.sqrt(square)


def rtu(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """`W RTU(x) + b`, with as many units, of two numbers each, as channels."""
    memory_key, output_key = jax.random.split(key)
    output = Linear(2 * width, width, key=output_key)
    return Serial(RTU(width, 2 * width, key=memory_key), Pointwise(output, 2 * width, width))
