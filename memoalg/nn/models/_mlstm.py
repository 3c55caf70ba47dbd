"""The matrix LSTM of xLSTM."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ...algebra import AbstractMonoid, Power, StabilisedOuter
from .._compose import Serial
from .._feed_forward import Pointwise
from .._heads import check_heads, heads_for, split_heads
from .._layer import AbstractLayer
from .._linear import Linear
from .._memoroid import AbstractMemoroid
from .._norm import layer_norm
from .._parallel import Fork
from .._pre_norm import PreNorm
from .._precision import wide
from ._convolution import Convolution

Input = tuple[Float[Array, " inner"], Float[Array, " both"]]


class MatrixMemory(AbstractMemoroid):
    """What [`memoalg.nn.MLSTM`][] is made of: its input is (c, [u, z])."""

    queries: Float[Array, "heads key part"]
    keys: Float[Array, "heads key part"]
    values: Float[Array, "heads part part"]
    gates: Linear
    scale: Float[Array, " inner"]
    skip: Float[Array, " inner"]
    output: Linear
    in_size: None = eqx.field(static=True)
    out_size: int = eqx.field(static=True)

    def __init__(self, inner: int, out_size: int, key_size: int, *, heads: int, key: PRNGKeyArray):
        keys = jax.random.split(key, 6)
        part, head_key = inner // heads, key_size // heads
        init = jax.nn.initializers.normal(part**-0.5)
        self.queries = init(keys[0], (heads, head_key, part))
        self.keys = init(keys[1], (heads, head_key, part))
        self.values = init(keys[2], (heads, part, part))
        gates = Linear(inner, 2 * heads, scale=0.0, key=keys[3])
        writes = 0.1 * jax.random.normal(keys[4], (heads,))
        first = jnp.concatenate([jnp.linspace(3.0, 6.0, heads), writes])
        self.gates = eqx.tree_at(lambda gates: gates.bias, gates, first)
        self.scale, self.skip = jnp.ones(inner), jnp.ones(inner)
        self.output = Linear(inner, out_size, use_bias=False, key=keys[5])
        self.in_size, self.out_size = None, out_size

    @property
    def monoid(self) -> AbstractMonoid:
        heads, key, part = self.keys.shape
        return Power(StabilisedOuter(key, part, wide(self.scale).dtype), heads)

    def encode(
        self, x: Input
    ) -> tuple[
        Float[Array, "heads key"],
        Float[Array, "heads part"],
        Float[Array, " heads"],
        Float[Array, " heads"],
    ]:
        convolved, both = x
        u, _ = jnp.split(both, 2)
        keys = wide(_each(self.keys, convolved)) / math.sqrt(self.keys.shape[1])
        forget, write = jnp.split(wide(self.gates(u)), 2)
        return keys, wide(_each(self.values, u)), jax.nn.log_sigmoid(forget), write

    def query(self, x: Input) -> Float[Array, "heads key"]:
        return wide(_each(self.queries, x[0]))

    def readout(self, read: Float[Array, "heads part"], x: Input) -> Float[Array, " out"]:
        convolved, both = x
        _, z = jnp.split(both, 2)
        memory = layer_norm(read).ravel().astype(self.scale.dtype) * self.scale
        return self.output((memory + self.skip * convolved) * jax.nn.silu(z))


def _each(weight: Float[Array, "heads out part"], x: Float[Array, " inner"]) -> Array:
    """Each head's map of its part."""
    return jnp.einsum("hop,hp->ho", weight, split_heads(x, weight.shape[0]))


def MLSTM(
    in_size: int,
    out_size: int,
    key_size: int,
    inner_size: int | None = None,
    *,
    heads: int = 1,
    k: int = 4,
    key: PRNGKeyArray,
) -> Serial:
    r"""A matrix memory with exponential gates: the mLSTM, with its projections and short convolution.

    $$[u_t, z_t] = W_u x_t, \quad c_t = \mathrm{silu}(\mathrm{conv}(u))_t, \quad
      q_t = W_q c_t, \quad k_t = W_k c_t / \sqrt{d}, \quad v_t = W_v u_t,$$
    $$C_t = f_t C_{t-1} + i_t k_t v_t^\top, \quad n_t = f_t n_{t-1} + i_t k_t, \quad
      h_t = C_t^\top q_t / \max(|n_t \cdot q_t|, 1),$$
    $$y_t = W_o\, \big((\mathrm{LN}(h_t) + s \odot c_t) \odot \mathrm{silu}(z_t)\big), \qquad
      i_t = e^{w_i \cdot u_t + b_i}, \quad f_t = \sigma(w_f \cdot u_t + b_f),$$

    in each head, with d numbers to its keys; LN is of each head, with a scale. conv is depthwise and
    causal, of width k. The gates are stabilised: [`memoalg.StabilisedOuter`][] keeps the memory relative
    to its largest exponent, with the same output. The monoid is a [`memoalg.Power`][] of it, in float32 or
    wider. $w_i$ and $w_f$ are at first zero, $b_f$ evenly spaced from 3 to 6 over the heads.

    The paper's $W_q$, $W_k$, $W_v$ are block-diagonal, in blocks of 4; here a block is a head's part of u.
    Its code computes the gates from q, k and v; here, as in the paper's equations, from the input u.

    Arguments:
        in_size: length of an input vector.
        out_size: length of an output vector.
        key_size: length of q and k of all heads together.
        inner_size: length of u, z and v of all heads together; None is twice `in_size`. Of 1 in a head,
            LN leaves nothing.
        heads: independent memories.
        k: inputs that the convolution sees.
        key: for the initialisation.

    Raises:
        ValueError: where a size does not divide into the heads.

    Source: Beck et al., xLSTM (arXiv 2405.04517), eqs. 19 to 27; the projections around it: its figure of
        the mLSTM block, in the appendix.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.MLSTM(3, 2, 4, 6, heads=2, key=jax.random.key(0))
        >>> carry, ys = layer(layer.init_carry(), jnp.ones((5, 3)), None)
        >>> exponent, memory, normaliser = carry[-1]
        >>> memory.shape, ys.shape
        ((2, 2, 3), (5, 2))
    """
    inner = 2 * in_size if inner_size is None else inner_size
    check_heads("MLSTM", heads, key_size=key_size, inner_size=inner)
    up_key, conv_key, memory_key = jax.random.split(key, 3)
    convolved = Serial(
        Pointwise(_first_half, 2 * inner, inner),
        Convolution(inner, inner, k, depthwise=True, key=conv_key),
        Pointwise(jax.nn.silu, inner, inner),
    )
    return Serial(
        Pointwise(Linear(in_size, 2 * inner, use_bias=False, key=up_key), in_size, 2 * inner),
        Fork(convolved, Pointwise(_same, 2 * inner, 2 * inner)),
        MatrixMemory(inner, out_size, key_size, heads=heads, key=memory_key),
    )


def _first_half(x: Float[Array, " both"]) -> Float[Array, " inner"]:
    return jnp.split(x, 2)[0]


def _same(x: Array) -> Array:
    return x


def mlstm(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """`x + MLSTM(norm(x))`, projected up to twice the width, in heads of 32."""
    memory = MLSTM(width, width, 2 * width, heads=heads_for(width), key=key)
    return PreNorm(width, memory)
