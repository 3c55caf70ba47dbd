"""Fast and Forgetful Memory."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float, PRNGKeyArray

from ..._typing import complex_dtype_of
from ...algebra import AbstractMonoid, Fixed
from .._fine import Fine, FineAffine, fine_decay, fine_product, fine_turn
from .._layer import AbstractLayer
from .._linear import Linear
from .._memoroid import AbstractMemoroid
from .._norm import layer_norm
from .._precision import wide


class FFM(AbstractMemoroid):
    r"""Fast and Forgetful Memory: m gated traces, each decaying in c oscillating contexts.

    $$S_t = \gamma \odot S_{t-1} + \tilde x_t 1_c^\top, \quad
      \gamma_{jk} = e^{-|\alpha_j| + i \omega_k}, \quad
      \tilde x_t = (W_1 x_t + b_1) \odot \sigma(W_2 x_t + b_2),$$
    $$y_t = \mathrm{LN}(W_3 [\mathrm{Re}\, S_t, \mathrm{Im}\, S_t] + b_3) \odot g_t
      + (W_5 x_t + b_5) \odot (1 - g_t), \qquad g_t = \sigma(W_4 x_t + b_4),$$

    with S complex of shape (m, c), and LN without parameters. $\alpha$ is at first evenly spaced from
    1e-6 to `max_decay`, the periods $2\pi / \omega$ from 1 to `max_period`; both are learned. The
    monoid is [`memoalg.Affine`][] but that $\gamma$, which is [`memoalg.Fixed`][], is a sum of two
    numbers: rounded to one of float32, its phase would be wrong by 3e-3 after 100,000 steps, so kept it
    is right to 1e-4. The paper's counter of steps is not carried: $\gamma$ is the same at every step,
    and the tree takes its powers by squaring.

    Hazard: LN of one number is zero: with an `out_size` of 1 nothing that is remembered is read.

    Arguments:
        in_size: length of an input vector.
        out_size: length of an output vector.
        memory_size: m, the number of traces.
        context_size: c, the number of contexts.
        max_decay: largest $\alpha$ at initialisation.
        max_period: longest period at initialisation, in steps.
        key: for the initialisation.

    Raises:
        ValueError: for a size below 1, `max_decay` below 1e-6 or `max_period` below 1.

    Source: Morad et al., Reinforcement Learning with Fast and Forgetful Memory (arXiv 2310.04128);
        as a memoroid, Recurrent RL with Memoroids (arXiv 2402.09900), appendix G.4.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.FFM(3, 2, 8, key=jax.random.key(0))
        >>> carry, ys = layer(layer.init_carry(), jnp.ones((5, 3)), None)
        >>> carry.shape, ys.shape
        ((8, 4), (5, 2))
    """

    alpha: Float[Array, " memory"]
    omega: Float[Array, " context"]
    inputs: Linear
    mix: Linear
    gates: Linear
    in_size: int = eqx.field(static=True)
    out_size: int = eqx.field(static=True)

    def __init__(
        self,
        in_size: int,
        out_size: int,
        memory_size: int = 64,
        context_size: int = 4,
        *,
        max_decay: float = 0.5,
        max_period: float = 1024.0,
        key: PRNGKeyArray,
    ):
        if min(in_size, out_size, memory_size, context_size) < 1:
            raise ValueError(
                f"FFM needs sizes of at least 1, got in_size={in_size}, out_size={out_size}, "
                f"memory_size={memory_size}, context_size={context_size}"
            )
        if max_decay < 1e-6 or max_period < 1.0:
            raise ValueError(
                f"FFM needs max_decay >= 1e-6 and max_period >= 1, got {max_decay} and {max_period}"
            )
        in_key, mix_key, gate_key = jax.random.split(key, 3)
        self.alpha = jnp.linspace(1e-6, max_decay, memory_size)
        self.omega = 2 * jnp.pi / jnp.linspace(1.0, max_period, context_size)
        self.inputs = Linear(in_size, 2 * memory_size, key=in_key)
        self.mix = Linear(2 * memory_size * context_size, out_size, key=mix_key)
        self.gates = Linear(in_size, 2 * out_size, key=gate_key)
        self.in_size, self.out_size = in_size, out_size

    @property
    def monoid(self) -> AbstractMonoid:
        shape = self.alpha.shape + self.omega.shape
        return FineAffine(shape, complex_dtype_of(self.alpha.dtype))

    @property
    def decay(self) -> Complex[Array, "memory context"]:
        """gamma, complex (memory_size, context_size)."""
        coarse, rest = self._decay()
        return coarse + rest

    def _decay(self) -> Fine:
        modulus, turn = fine_decay(jnp.abs(wide(self.alpha))), fine_turn(wide(self.omega))
        return fine_product(
            jax.tree.map(lambda part: part[:, None], modulus),
            jax.tree.map(lambda part: part[None, :], turn),
        )

    def encode(self, x: Float[Array, " in"]) -> tuple[Fixed, Complex[Array, "memory context"]]:
        value, gate = jnp.split(self.inputs(x), 2)
        gated = wide(value * jax.nn.sigmoid(gate))
        real = jnp.broadcast_to(gated[:, None], self.alpha.shape + self.omega.shape)
        return Fixed(self._decay()), jax.lax.complex(real, jnp.zeros_like(real))

    def readout(
        self, read: Complex[Array, "memory context"], x: Float[Array, " in"]
    ) -> Float[Array, " out"]:
        parts = jnp.concatenate([read.real.ravel(), read.imag.ravel()])
        memory = layer_norm(self.mix(parts.astype(self.mix.weight.dtype)))
        gate, through = jnp.split(self.gates(x), 2)
        gate = jax.nn.sigmoid(gate)
        return memory * gate + through * (1 - gate)


def ffm(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """The FFM alone: its output gate is its skip."""
    return FFM(width, width, key=key)
