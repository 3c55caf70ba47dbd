"""The simplified state space layer S5."""

import functools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, PRNGKeyArray

from ..._product import dense_product
from ..._typing import complex_dtype_of
from ...algebra import AbstractMonoid, Affine, Fixed
from .._compose import Serial
from .._feed_forward import Pointwise
from .._layer import AbstractLayer
from .._linear import Linear
from .._memoroid import AbstractMemoroid
from .._pre_norm import PreNorm
from .._precision import wide
from .._zero_order_hold import zero_order_hold


class S5(AbstractMemoroid):
    r"""S5: one state space model with many inputs and outputs, diagonal and discretised.

    $$h_t = e^{\Delta \Lambda} \odot h_{t-1} + \Lambda^{-1} (e^{\Delta \Lambda} - 1) \odot B x_t, \qquad
      y_t = 2\, \mathrm{Re}(C h_t) + D x_t,$$

    with $\Lambda = -e^{a} + i b$, which keeps it stable, and a step width $\Delta = e^{\delta}$ of each
    state. A state stands for a conjugate pair of the paper's: hence the 2. $\Lambda$ begins as the
    eigenvalues of HiPPO-N, B and C as random real matrices in the basis of its eigenvectors, and
    $\Delta$ log-uniform in `step_range`. The monoid is [`memoalg.Affine`][]; the decay is
    [`memoalg.Fixed`][], and only h is carried.

    The paper's D is diagonal; here it is a matrix, because the sizes of input and output may differ.
    Where public code lets the real parts free or clips them, they are parametrised as S4D's are.

    Arguments:
        in_size: length of an input vector.
        out_size: length of an output vector.
        state_size: number of complex states, half of the paper's P.
        blocks: HiPPO-N matrices on the diagonal of the initial state matrix, the paper's J.
        step_range: smallest and largest step width at initialisation.
        key: for the initialisation.

    Raises:
        ValueError: for a size below 1, where `blocks` does not divide `state_size`, or where not
            `0 < step_range[0] <= step_range[1]`.

    Source: Smith et al., Simplified State Space Layers for Sequence Modeling (arXiv 2208.04933),
        sections 3 and 4.3, appendix B.1.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.S5(3, 2, 8, key=jax.random.key(0))
        >>> carry, ys = layer(layer.init_carry(), jnp.ones((5, 3)), None)
        >>> carry.shape, ys.shape
        ((8,), (5, 2))
    """

    rate_log: Float[Array, " state"]
    frequency: Float[Array, " state"]
    step_log: Float[Array, " state"]
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
        blocks: int = 1,
        step_range: tuple[float, float] = (0.001, 0.1),
        key: PRNGKeyArray,
    ):
        low, high = step_range
        if min(in_size, out_size, state_size, blocks) < 1 or state_size % blocks:
            raise ValueError(
                "S5 needs sizes of at least 1 and a state_size that blocks divides, got "
                f"in_size={in_size}, out_size={out_size}, state_size={state_size}, blocks={blocks}"
            )
        if not 0.0 < low <= high:
            raise ValueError(f"S5 needs 0 < step_range[0] <= step_range[1], got {step_range}")
        step_key, b_key, c_key, d_key = jax.random.split(key, 4)
        frequency, vectors = _hippo_normal(state_size // blocks)
        self.rate_log = jnp.full(state_size, math.log(0.5))
        self.frequency = jnp.asarray(np.tile(frequency, blocks), jnp.result_type(float))
        self.step_log = jax.random.uniform(
            step_key, (state_size,), minval=math.log(low), maxval=math.log(high)
        )
        real_b = in_size**-0.5 * jax.random.normal(b_key, (blocks, vectors.shape[0], in_size))
        real_c = (2 * state_size) ** -0.5 * jax.random.normal(
            c_key, (blocks, out_size, vectors.shape[0])
        )
        parts = jnp.asarray(np.stack([np.real(vectors), np.imag(vectors)]), real_b.dtype)
        conjugate = parts * jnp.array([1, -1], parts.dtype)[:, None, None]
        # V^H B of each block, stacked on the state; C V of each, side by side.
        self.B = jnp.einsum("cns,kni->cksi", conjugate, real_b).reshape(2, state_size, in_size)
        self.C = jnp.einsum("kon,cns->coks", real_c, parts).reshape(2, out_size, state_size)
        self.D = in_size**-0.5 * jax.random.normal(d_key, (out_size, in_size))
        self.in_size, self.out_size, self.state_size = in_size, out_size, state_size

    @property
    def monoid(self) -> AbstractMonoid:
        return Affine(self.state_size, complex_dtype_of(self.rate_log.dtype))

    def encode(self, x: Float[Array, " in"]) -> tuple[Fixed, Complex[Array, " state"]]:
        rate, step = -jnp.exp(wide(self.rate_log)), jnp.exp(wide(self.step_log))
        decay, gain = zero_order_hold(rate, wide(self.frequency), step)
        pair = dense_product(x, self.B.reshape(-1, self.in_size)).reshape(2, self.state_size)
        real, imaginary = wide(pair)
        return Fixed(decay), gain * jax.lax.complex(real, imaginary)

    def readout(
        self, read: Complex[Array, " state"], x: Float[Array, " in"]
    ) -> Float[Array, " out"]:
        real, imaginary = read.real.astype(self.C.dtype), read.imag.astype(self.C.dtype)
        weight = jnp.concatenate([2 * self.C[0], -2 * self.C[1], self.D], axis=1)
        return dense_product(jnp.concatenate([real, imaginary, x]), weight)


@functools.cache
def _hippo_normal(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies b > 0 and eigenvectors (2 size, size) of HiPPO-N, whose eigenvalues are -1/2 ± i b."""
    n = np.arange(2 * size)
    scale = np.sqrt(2 * n + 1)
    # HiPPO-LegS is a rank-one matrix away from -1/2 and this skew-symmetric matrix.
    skew = np.outer(scale, scale) / 2 * np.sign(n[None] - n[:, None])
    frequency, vectors = np.linalg.eigh(-1j * skew)
    return frequency[size:], vectors[:, size:]


class SigmoidGate(eqx.Module):
    r"""$g \odot \sigma(W g + b)$ with $g = \mathrm{gelu}(x)$: what S5 does to its outputs."""

    linear: Linear

    def __call__(self, x: Float[Array, " size"]) -> Float[Array, " size"]:
        active = jax.nn.gelu(x)
        return active * jax.nn.sigmoid(self.linear(active))


def s5(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """`x + g * sigmoid(W g)` with `g = gelu(S5(norm(x)))` and as many complex states as channels."""
    memory_key, gate_key = jax.random.split(key)
    # Small blocks, as the paper has them; where they do not divide the width, a few states more.
    blocks = max(width // 32, 1)
    memory = S5(width, width, math.ceil(width / blocks) * blocks, blocks=blocks, key=memory_key)
    gate = SigmoidGate(Linear(width, width, key=gate_key))
    return PreNorm(width, Serial(memory, Pointwise(gate, width, width)))
