"""DeltaNet: linear attention whose memory is corrected instead of added to."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ...algebra import AbstractMonoid, DeltaRule, Fixed, Power
from .._compose import Residual, Serial
from .._heads import check_heads, heads_for
from .._layer import AbstractLayer
from .._linear import Linear
from .._memoroid import AbstractMemoroid
from .._precision import wide
from ._delta_parts import (
    check_projected,
    normalised_convolved,
    projection,
    rows_of,
    scaled_norm,
    strengths,
    unit_heads,
    value_heads,
)


class DeltaNet(AbstractMemoroid):
    r"""Fast weights under the delta rule: what is stored under a key is replaced by the new value.

    $$S_t = S_{t-1} (I - \beta_t k_t k_t^\top) + \beta_t v_t k_t^\top, \qquad
      y_t = W_o\, \mathrm{norm}(S_t q_t),$$

    for each of several heads, with $v_t = \mathrm{silu}(W_v x_t)$,
    $k_t = \mathrm{silu}(W_k x_t) / \|\mathrm{silu}(W_k x_t)\|$, q likewise, and
    $\beta_t = \sigma(w_\beta x_t)$, one number for each head. The norm of what a head reads is a root
    mean square with one learned scale, shared by the heads. With `reflect` the strengths are
    $2 \sigma(w_\beta x_t)$: a step may then reflect, and one layer follows parity and, with enough
    steps, any group of permutations; without, all eigenvalues lie in [0, 1] and it cannot. The monoid
    is [`memoalg.DeltaRule`][] for each head, in float32 or wider, and it has a chunked form.

    The silu on values, and the norms, are those of the public code (flash-linear-attention). Squared
    norms are taken with 1e-6 added, which matters for keys near zero alone.

    Arguments:
        in_size: length of an input vector.
        out_size: length of an output vector.
        key_size: length of keys and queries, of all heads together.
        value_size: length of values, of all heads together; None is `key_size`.
        heads: number of heads, which must divide both.
        reflect: strengths in (0, 2).
        project: False where an input is already (W_q x, W_k x, W_v x, w_beta x), as after the short
            convolutions of the block; `in_size` is then their length.
        key: for the initialisation.

    Raises:
        ValueError: where heads do not divide the sizes, or, without `project`, for another `in_size`.

    Source: Schlag et al., Linear Transformers Are Secretly Fast Weight Programmers (arXiv 2102.11174),
        section 4.2; Yang et al., Parallelizing Linear Transformers with the Delta Rule
        (arXiv 2406.06484); `reflect`: Grazzi et al. (arXiv 2411.12537).

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.DeltaNet(3, 2, 8, heads=2, key=jax.random.key(0))
        >>> carry, ys = layer(layer.init_carry(), jnp.ones((5, 3)), None)
        >>> carry.shape, ys.shape
        ((2, 4, 4), (5, 2))
    """

    inputs: Float[Array, "rows in"] | None
    scale: Float[Array, " part"]
    output: Linear
    in_size: int = eqx.field(static=True)
    out_size: int = eqx.field(static=True)
    key_size: int = eqx.field(static=True)
    value_size: int = eqx.field(static=True)
    heads: int = eqx.field(static=True)
    reflect: bool = eqx.field(static=True)

    def __init__(
        self,
        in_size: int,
        out_size: int,
        key_size: int,
        *,
        value_size: int | None = None,
        heads: int = 1,
        reflect: bool = False,
        project: bool = True,
        key: PRNGKeyArray,
    ):
        value_size = key_size if value_size is None else value_size
        check_heads("DeltaNet", heads, key_size=key_size, value_size=value_size)
        sizes = (key_size, key_size, value_size, heads)
        check_projected("DeltaNet", project, in_size, sum(sizes))
        in_key, out_key = jax.random.split(key)
        self.inputs = projection(in_size, sizes, in_key) if project else None
        self.scale = jnp.ones(value_size // heads)
        self.output = Linear(value_size, out_size, use_bias=False, key=out_key)
        self.in_size, self.out_size = in_size, out_size
        self.key_size, self.value_size = key_size, value_size
        self.heads, self.reflect = heads, reflect

    @property
    def monoid(self) -> AbstractMonoid:
        part, dtype = self.key_size // self.heads, wide(self.scale).dtype
        return Power(DeltaRule(part, self.value_size // self.heads, dtype), self.heads)

    def encode(self, x: Float[Array, " in"]) -> tuple[Array, Array, Array, Fixed]:
        written = rows_of(self.inputs, x, self.key_size, None)
        key, value, logits = jnp.split(written, (self.key_size, self.key_size + self.value_size))
        strength = strengths(logits, self.reflect)
        kept = Fixed(jnp.ones_like(strength))
        return unit_heads(key, self.heads), value_heads(value, self.heads), strength, kept

    def query(self, x: Float[Array, " in"]) -> Float[Array, "heads part"]:
        return unit_heads(rows_of(self.inputs, x, 0, self.key_size), self.heads)

    def readout(
        self, read: Float[Array, "heads part"], x: Float[Array, " in"]
    ) -> Float[Array, " out"]:
        return self.output(scaled_norm(read, self.scale))


def deltanet(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """`x + DeltaNet(convolved(norm(x)))`, with convolutions of width 4 on q, k and v."""
    heads = heads_for(width, 32)
    before_key, key = jax.random.split(key)
    sizes = (width, width, width, heads)
    before = normalised_convolved(width, sizes, 3 * width, before_key)
    memory = DeltaNet(sum(sizes), width, width, heads=heads, project=False, key=key)
    return Residual(Serial(before, memory))
