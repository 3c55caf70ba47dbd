"""The hierarchically gated recurrent network."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float, PRNGKeyArray

from ..._typing import complex_dtype_of
from ...algebra import AbstractMonoid, Affine
from .._feed_forward import FeedForward
from .._layer import AbstractLayer
from .._linear import Linear
from .._memoroid import AbstractMemoroid
from .._norm import LayerNorm
from .._pre_norm import PreNorm
from .._precision import wide

Element = tuple[Complex[Array, " state"], Complex[Array, " state"]]


class HGRN(AbstractMemoroid):
    r"""Hierarchically gated recurrent unit: complex states, a forget gate with a learned lower bound.

    $$h_t = \lambda_t \odot e^{i \theta} \odot h_{t-1} + (1 - \lambda_t) \odot c_t, \qquad
      \lambda_t = \gamma + (1 - \gamma) \odot \sigma(W_\mu x_t + b_\mu),$$
    $$c_t = \mathrm{silu}(W_r x_t + b_r) + i\, \mathrm{silu}(W_i x_t + b_i), \qquad
      y_t = W_o\, (\mathrm{LN}([\mathrm{Re}\, h_t, \mathrm{Im}\, h_t]) \odot \mathrm{silu}(W_g x_t + b_g))
      + b_o.$$

    $\theta$ is learned and does not depend on x, at first $10000^{-2 k / n}$ for state k of n. The order
    of norm and gate, and the gate's silu, are those of the authors' code. The paper ties the lower
    bounds of the layers of one network so that they rise with depth; here every layer learns its own
    $\gamma$ (one for each state, kept in (0, 1) by a sigmoid), and `lower_bound` says where it begins.
    The monoid is [`memoalg.Affine`][].

    Arguments:
        in_size: length of an input vector.
        out_size: length of an output vector.
        state_size: n, the number of complex states.
        lower_bound: $\gamma$ at initialisation; give higher layers higher ones.
        key: for the initialisation.

    Raises:
        ValueError: for a size below 1, or where not `0 < lower_bound < 1`.

    Source: Qin et al., Hierarchically Gated Recurrent Neural Network for Sequence Modeling
        (arXiv 2311.04823), section 3.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.HGRN(3, 2, 8, key=jax.random.key(0))
        >>> carry, ys = layer(layer.init_carry(), jnp.ones((5, 3)), None)
        >>> carry.shape, ys.shape
        ((8,), (5, 2))
    """

    inputs: Linear
    theta: Float[Array, " state"]
    bound: Float[Array, " state"]
    gate: Linear
    norm: LayerNorm
    output: Linear
    in_size: int = eqx.field(static=True)
    out_size: int = eqx.field(static=True)

    def __init__(
        self,
        in_size: int,
        out_size: int,
        state_size: int,
        *,
        lower_bound: float = 0.5,
        key: PRNGKeyArray,
    ):
        if min(in_size, out_size, state_size) < 1:
            raise ValueError(
                "HGRN needs sizes of at least 1, got "
                f"in_size={in_size}, out_size={out_size}, state_size={state_size}"
            )
        if not 0.0 < lower_bound < 1.0:
            raise ValueError(f"HGRN needs 0 < lower_bound < 1, got {lower_bound}")
        in_key, gate_key, out_key = jax.random.split(key, 3)
        self.inputs = Linear(in_size, 3 * state_size, key=in_key)
        places = jnp.arange(state_size, dtype=jnp.result_type(float))
        self.theta = jnp.exp(places * (-2 * math.log(10000.0) / state_size))
        self.bound = jnp.full(state_size, math.log(lower_bound / (1 - lower_bound)))
        self.gate = Linear(in_size, 2 * state_size, key=gate_key)
        self.norm = LayerNorm(2 * state_size)
        self.output = Linear(2 * state_size, out_size, key=out_key)
        self.in_size, self.out_size = in_size, out_size

    @property
    def monoid(self) -> AbstractMonoid:
        return Affine(self.theta.shape, complex_dtype_of(self.theta.dtype))

    def encode(self, x: Float[Array, " in"]) -> Element:
        forget, real, imaginary = jnp.split(wide(self.inputs(x)), 3)
        theta, bound = wide(self.theta), wide(self.bound)
        # 1 - lambda as a product: the difference would lose what a gate near 1 still lets in.
        added = jax.nn.sigmoid(-bound) * jax.nn.sigmoid(-forget)
        kept = 1 - added
        decay = jax.lax.complex(kept * jnp.cos(theta), kept * jnp.sin(theta))
        return decay, jax.lax.complex(added * jax.nn.silu(real), added * jax.nn.silu(imaginary))

    def readout(
        self, read: Complex[Array, " state"], x: Float[Array, " in"]
    ) -> Float[Array, " out"]:
        both = jnp.concatenate([read.real, read.imag]).astype(self.theta.dtype)
        return self.output(self.norm(both) * jax.nn.silu(self.gate(x)))


def hgrn(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """`z = x + HGRN(norm(x))`, then `z + GLU(norm(z))` with twice as many channels inside."""
    memory_key, mixer_key = jax.random.split(key)
    memory = HGRN(width, width, width, key=memory_key)
    return PreNorm(width, memory, FeedForward(width, 2 * width, width, key=mixer_key))
