"""TTT-Linear: a memory that is a linear model, trained by gradient steps on what it sees."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ...algebra import AbstractMonoid, DeltaRule, Fixed, Power
from .._heads import check_heads, heads_for, split_heads
from .._layer import AbstractLayer
from .._linear import Linear
from .._memoroid import AbstractMemoroid
from .._norm import RMSNorm
from .._pre_norm import PreNorm
from .._precision import wide
from ._delta_parts import projection, rows_of


class TTTLinear(AbstractMemoroid):
    r"""Test-time training: the state is a linear model, and a step is a gradient step of its own loss.

    $$W_t = W_{t-1} - \eta_t \nabla \ell(W_{t-1}; x_t), \qquad
      \ell(W; x_t) = \|W k_t - v_t\|^2, \qquad y_t = W_o\, W_t q_t,$$

    for each of several heads, with k, v and q linear in x, and the learned rate
    $\eta_t = \eta_0\, \sigma(w_\eta x_t + b_\eta)$, one number for each head. $W_0$, in which an episode
    begins, is learned too. The gradient is $2 (W k - v) k^\top$, so the step is the delta rule with
    $\beta_t = 2 \eta_t$ and keys that are not normalised. The monoid is [`memoalg.DeltaRule`][] for
    each head, in float32 or wider, and it has a chunked form.

    Two parts of the paper's TTT-Linear are left out, because with them the step is no element of any
    monoid of fixed size: the layer norm (and skip) inside the inner model, and gradients taken at the
    state before a mini-batch. This is the case of mini-batches of 1, linear regression without bias.

    Hazard: the inner training diverges where $2 \eta_t \|k_t\|^2 > 2$ for long. Normalise x before it,
    as the block does; and $\eta_0$ is by default one over the length of a head's keys, as in the
    public code, not the paper's 1, which relies on the inner norm.

    Arguments:
        in_size: length of an input vector.
        out_size: length of an output vector.
        key_size: length of keys and queries, of all heads together.
        value_size: length of values, of all heads together; None is `key_size`.
        heads: number of heads, which must divide both.
        rate: $\eta_0$; None is `heads / key_size`.
        key: for the initialisation.

    Raises:
        ValueError: where heads do not divide the sizes, or `rate` is not positive.

    Source: Sun et al., Learning to (Learn at Test Time) (arXiv 2407.04620), sections 2.1 to 2.3 for
        the step and its views, 2.7 for the learned start and rate.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.TTTLinear(3, 2, 8, heads=2, key=jax.random.key(0))
        >>> carry, ys = layer(layer.init_carry(), jnp.ones((5, 3)), None)
        >>> carry.shape, ys.shape
        ((2, 4, 4), (5, 2))
    """

    inputs: Float[Array, "rows in"]
    rate_bias: Float[Array, " heads"]
    initial: Float[Array, "heads value_part key_part"]
    output: Linear
    in_size: int = eqx.field(static=True)
    out_size: int = eqx.field(static=True)
    key_size: int = eqx.field(static=True)
    value_size: int = eqx.field(static=True)
    heads: int = eqx.field(static=True)
    rate: float = eqx.field(static=True)

    def __init__(
        self,
        in_size: int,
        out_size: int,
        key_size: int,
        *,
        value_size: int | None = None,
        heads: int = 1,
        rate: float | None = None,
        key: PRNGKeyArray,
    ):
        value_size = key_size if value_size is None else value_size
        check_heads("TTTLinear", heads, key_size=key_size, value_size=value_size)
        if rate is not None and not rate > 0:
            raise ValueError(f"TTTLinear: rate must be positive, got {rate}")
        in_key, start_key, out_key = jax.random.split(key, 3)
        self.inputs = projection(in_size, (key_size, key_size, value_size, heads), in_key)
        self.rate_bias = jnp.zeros(heads)
        shape = (heads, value_size // heads, key_size // heads)
        self.initial = 0.02 * jax.random.normal(start_key, shape)
        self.output = Linear(value_size, out_size, use_bias=False, key=out_key)
        self.in_size, self.out_size = in_size, out_size
        self.key_size, self.value_size, self.heads = key_size, value_size, heads
        self.rate = heads / key_size if rate is None else rate

    @property
    def monoid(self) -> AbstractMonoid:
        _, value_part, key_part = self.initial.shape
        return Power(DeltaRule(key_part, value_part, wide(self.initial).dtype), self.heads)

    def initial_state(self) -> Float[Array, "heads value_part key_part"]:
        return wide(self.initial)

    def encode(self, x: Float[Array, " in"]) -> tuple[Array, Array, Array, Fixed]:
        written = wide(rows_of(self.inputs, x, self.key_size, None))
        key, value, logits = jnp.split(written, (self.key_size, self.key_size + self.value_size))
        rate = self.rate * jax.nn.sigmoid(logits + wide(self.rate_bias))
        kept = Fixed(jnp.ones_like(rate))
        return split_heads(key, self.heads), split_heads(value, self.heads), 2 * rate, kept

    def query(self, x: Float[Array, " in"]) -> Float[Array, "heads part"]:
        return split_heads(wide(rows_of(self.inputs, x, 0, self.key_size)), self.heads)

    def readout(
        self, read: Float[Array, "heads part"], x: Float[Array, " in"]
    ) -> Float[Array, " out"]:
        return self.output(read.reshape(-1).astype(self.output.weight.dtype))


def ttt_linear(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """`x + TTTLinear(norm(x))`, heads of at least 32 numbers."""
    memory = TTTLinear(width, width, width, heads=heads_for(width, 32), key=key)
    return PreNorm(width, memory, norm=RMSNorm)
