"""The scalar memory of xLSTM."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from .._cell import AbstractCell
from .._check import check_sizes
from .._compose import Serial
from .._feed_forward import FeedForward, Pointwise
from .._heads import check_heads, heads_for, split_heads
from .._layer import AbstractLayer
from .._linear import Linear
from .._norm import layer_norm
from .._pre_norm import PreNorm
from .._precision import wide

State = tuple[
    Float[Array, " state"], Float[Array, " state"], Float[Array, " state"], Float[Array, " state"]
]


class SLSTM(AbstractCell):
    r"""sLSTM: an LSTM with exponential gates, a normaliser, and heads that mix within themselves.

    $$z = \tanh(\tilde z), \quad i = \exp(\tilde\imath), \quad f = \sigma(\tilde f), \quad
      o = \sigma(\tilde o),$$
    $$c_t = f \odot c_{t-1} + i \odot z, \quad n_t = f \odot n_{t-1} + i, \quad
      h_t = o \odot c_t / n_t,$$

    where each of $\tilde z, \tilde\imath, \tilde f, \tilde o$ is $W x_t + b + R h_{t-1}$ with an R that
    is block-diagonal, a block per head. The output is h. f is $\exp(\tilde f)$ where
    `exponential_forget` is set.

    Exponentials overflow, so c and n are kept times $e^{-m}$, with the *stabiliser*
    $m_t = \max(\log f + m_{t-1}, \tilde\imath)$, in float32 or wider; h does not depend on it. The
    state is (h, c, n, m), at first zeros; where n is zero, nothing is kept and m is $\tilde\imath$: so n
    is never below 1 after the first step.

    Arguments:
        in_size: length of an input vector.
        out_size: length of h, which is the output, and of c, n and m.
        heads: of equal parts.
        exponential_forget: see above.
        key: for the initialisation: R zero, forget biases from 3 to 6 in each head.

    Raises:
        ValueError: where `out_size` is no positive multiple of `heads`.

    Source: Beck et al., xLSTM (arXiv 2405.04517), eqs. 8 to 17; initial values as its public code has
        them ("small" biases). $W$ is dense as in the paper; the code has one with blocks.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.SLSTM(3, 4, heads=2, key=jax.random.key(0))
        >>> layer(layer.init_carry(), jnp.ones((5, 3)), None)[1].shape
        (5, 4)
    """

    inputs: Linear
    recurrent: Float[Array, "heads gates part"]
    in_size: int = eqx.field(static=True)
    out_size: int = eqx.field(static=True)
    exponential_forget: bool = eqx.field(static=True)

    def __init__(
        self,
        in_size: int,
        out_size: int,
        *,
        heads: int = 1,
        exponential_forget: bool = False,
        key: PRNGKeyArray,
    ):
        check_sizes("SLSTM", in_size=in_size, out_size=out_size)
        check_heads("SLSTM", heads, out_size=out_size)
        part = out_size // heads
        inputs = Linear(in_size, 4 * out_size, key=key)
        forget = jnp.tile(jnp.linspace(3.0, 6.0, part), heads)
        bias = jnp.zeros(4 * out_size).at[out_size : 2 * out_size].set(forget)
        self.inputs = eqx.tree_at(lambda linear: linear.bias, inputs, bias)
        self.recurrent = jnp.zeros((heads, 4 * part, part))
        self.in_size, self.out_size = in_size, out_size
        self.exponential_forget = exponential_forget

    def project(self, x: Float[Array, " in"]) -> tuple[Array, ...]:
        return tuple(jnp.split(self.inputs(x), 4))

    def advance(self, state: State, projected: tuple[Array, ...]) -> State:
        h, c, n, m = state
        mixed = jnp.einsum("hij,hj->hi", self.recurrent, split_heads(h, len(self.recurrent)))
        recurred = jnp.split(mixed, 4, axis=1)
        write, forget, cell, output = (
            wide(x + part.reshape(-1)) for x, part in zip(projected, recurred, strict=True)
        )
        log_forget = forget if self.exponential_forget else jax.nn.log_sigmoid(forget)
        kept = jnp.where(n == 0, -jnp.inf, log_forget + m)
        stabiliser = jnp.maximum(kept, write)
        keep, add = jnp.exp(kept - stabiliser), jnp.exp(write - stabiliser)
        c = keep * c + add * jnp.tanh(cell)
        n = keep * n + add
        return (jax.nn.sigmoid(output) * c / n).astype(h.dtype), c, n, stabiliser

    def output(self, state: State) -> Float[Array, " state"]:
        return state[0]

    def initial_state(self) -> State:
        h = jnp.zeros(self.out_size, self.recurrent.dtype)
        return h, wide(h), wide(h), wide(h)


class HeadNorm(eqx.Module):
    """The layer norm of each head, with one scale per number: a group norm of one step."""

    scale: Float[Array, " size"]
    heads: int = eqx.field(static=True)

    def __call__(self, x: Float[Array, " size"]) -> Float[Array, " size"]:
        return layer_norm(split_heads(x, self.heads)).reshape(-1) * self.scale


def slstm(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """`x + head_norm(sLSTM(norm(x)))`, then `x + GeGLU(norm(x))`, 4/3 as wide inside."""
    cell_key, mlp_key = jax.random.split(key)
    heads = heads_for(width)
    cell = SLSTM(width, width, heads=heads, key=cell_key)
    normed = Serial(cell, Pointwise(HeadNorm(jnp.ones(width), heads), width, width))
    mlp = FeedForward(width, -(-4 * width // 3), width, activation=jax.nn.gelu, key=mlp_key)
    return PreNorm(width, normed, mlp)
