"""The real-gated linear recurrent unit of Griffin."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ..._product import dense_product
from ...algebra import AbstractMonoid, Affine
from .._branches import Branches
from .._feed_forward import FeedForward
from .._heads import check_heads, heads_for, split_heads
from .._layer import AbstractLayer
from .._linear import Linear
from .._memoroid import AbstractMemoroid
from .._norm import RMSNorm
from .._pre_norm import PreNorm
from .._precision import wide
from ._convolution import Convolution

Element = tuple[Float[Array, " state"], Float[Array, " state"]]


class RGLRU(AbstractMemoroid):
    r"""Real-gated linear recurrent unit: a real decay per channel, raised to a gate of the input.

    $$h_t = a_t \odot h_{t-1} + \sqrt{1 - a_t^2} \odot (i_t \odot u_t), \qquad
      a_t = \exp(-8\, \mathrm{softplus}(\Lambda) \odot r_t),$$
    $$r_t = \sigma(W_r u_t + b_r), \qquad i_t = \sigma(W_i u_t + b_i),$$

    with $W_r$ and $W_i$ block-diagonal, one block a head. u is x, or $W_u x + b_u$ where `state_size` is
    given; the output is h, or $W_o h + b_o$ where `out_size` is not its length. $a^8$ is at first
    uniform in `decay_range`, with $a = \exp(-\mathrm{softplus}(\Lambda))$. The monoid is
    [`memoalg.Affine`][], in float32 or wider. The authors' code scales the first input of an episode
    by one; this follows the paper, which does not.

    Arguments:
        in_size: length of an input vector.
        out_size: length of an output vector.
        state_size: length of u and h; None is `in_size` without the map $W_u$.
        heads: blocks of the gates' weights; it divides the length of u.
        decay_range: smallest and largest $a^8$ at initialisation.
        key: for the initialisation.

    Raises:
        ValueError: for a size below 1, a length of u that `heads` does not divide, or where not
            `0 < decay_range[0] <= decay_range[1] < 1`.

    Source: De et al., Griffin: Mixing Gated Linear Recurrences with Local Attention for Efficient
        Language Models (arXiv 2402.19427), section 2.4 and appendix A.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.RGLRU(3, 2, 8, heads=2, key=jax.random.key(0))
        >>> carry, ys = layer(layer.init_carry(), jnp.ones((5, 3)), None)
        >>> carry.shape, ys.shape
        ((8,), (5, 2))
    """

    inputs: Linear | None
    gates: Float[Array, "heads 2*part part"]
    gate_bias: Float[Array, "heads 2*part"]
    decay_parameter: Float[Array, " state"]
    output: Linear | None
    in_size: int = eqx.field(static=True)
    out_size: int = eqx.field(static=True)

    def __init__(
        self,
        in_size: int,
        out_size: int,
        state_size: int | None = None,
        *,
        heads: int = 1,
        decay_range: tuple[float, float] = (0.9, 0.999),
        key: PRNGKeyArray,
    ):
        width, (low, high) = in_size if state_size is None else state_size, decay_range
        if min(in_size, out_size, width) < 1:
            raise ValueError(
                "RGLRU needs sizes of at least 1, got "
                f"in_size={in_size}, out_size={out_size}, state_size={state_size}"
            )
        check_heads("RGLRU", heads, state_size=width)
        if not 0.0 < low <= high < 1.0:
            raise ValueError(
                f"RGLRU needs 0 < decay_range[0] <= decay_range[1] < 1, got {decay_range}"
            )
        in_key, gate_key, decay_key, out_key = jax.random.split(key, 4)
        part = width // heads
        self.inputs = None if state_size is None else Linear(in_size, width, key=in_key)
        self.gates = part**-0.5 * jax.random.normal(gate_key, (heads, 2 * part, part))
        self.gate_bias = jnp.zeros((heads, 2 * part))
        decay = jax.random.uniform(decay_key, (width,), minval=low, maxval=high)
        # The inverse of softplus.
        self.decay_parameter = jnp.log(jnp.expm1(-jnp.log(decay) / 8))
        self.output = None if out_size == width else Linear(width, out_size, key=out_key)
        self.in_size, self.out_size = in_size, out_size

    @property
    def monoid(self) -> AbstractMonoid:
        return Affine(self.decay_parameter.shape, wide(self.decay_parameter).dtype)

    def encode(self, x: Float[Array, " in"]) -> Element:
        u = x if self.inputs is None else self.inputs(x)
        heads = split_heads(u, self.gates.shape[0])
        gates = jax.nn.sigmoid(wide(jax.vmap(dense_product)(heads, self.gates) + self.gate_bias))
        recurrence, entrance = (gate.reshape(-1) for gate in jnp.split(gates, 2, axis=1))
        log_decay = -8 * jax.nn.softplus(wide(self.decay_parameter)) * recurrence
        return jnp.exp(log_decay), _complement(log_decay) * entrance * wide(u)

    def readout(self, read: Float[Array, " state"], x: Float[Array, " in"]) -> Float[Array, " out"]:
        state = read.astype(self.decay_parameter.dtype)
        return state if self.output is None else self.output(state)


def _complement(log_decay: Float[Array, " state"]) -> Float[Array, " state"]:
    """The root of 1 - a²: no cancellation for a near 1, and no infinite slope where a gate has closed."""
    return jnp.sqrt(jnp.maximum(-jnp.expm1(2 * log_decay), jnp.finfo(log_decay.dtype).tiny))


def rg_lru(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """`z = x + W(RGLRU(conv(U norm(x))) * gelu(V norm(x)))`, then `z + MLP(norm(z))`, gated by gelu."""
    convolution_key, memory_key, branch_key, mixer_key = jax.random.split(key, 4)
    heads = heads_for(width)
    state = heads * -(-4 * width // (3 * heads))
    recurrent = Branches(
        width,
        Convolution(state, state, 4, depthwise=True, key=convolution_key),
        RGLRU(state, state, heads=heads, key=memory_key),
        gate=jax.nn.gelu,
        key=branch_key,
    )
    mixer = FeedForward(width, 3 * width, width, activation=jax.nn.gelu, key=mixer_key)
    return PreNorm(width, recurrent, mixer, norm=RMSNorm)
