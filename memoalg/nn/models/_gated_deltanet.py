"""Gated DeltaNet: the delta rule with a decay, and an output gate."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ...algebra import AbstractMonoid, DeltaRule, Power
from .._compose import Residual, Serial
from .._heads import check_heads, heads_for
from .._layer import AbstractLayer
from .._linear import Linear
from .._memoroid import AbstractMemoroid
from .._precision import wide
from ._delta_parts import (
    check_projected,
    decay_parameters,
    decays,
    normalised_convolved,
    projection,
    rows_of,
    scaled_norm,
    strengths,
    unit_heads,
    value_heads,
)


class GatedDeltaNet(AbstractMemoroid):
    r"""The delta rule with a decay that depends on the input: all of the memory can be cleared.

    $$S_t = S_{t-1}\, \alpha_t (I - \beta_t k_t k_t^\top) + \beta_t v_t k_t^\top, \qquad
      y_t = W_o\, (\mathrm{norm}(S_t q_t) \odot \mathrm{silu}(W_g x_t)),$$

    for each of several heads, with $v_t = \mathrm{silu}(W_v x_t)$,
    $k_t = \mathrm{silu}(W_k x_t) / \|\mathrm{silu}(W_k x_t)\|$, q likewise, $\beta_t = \sigma(w_\beta x_t)$
    and $\alpha_t = \exp(-e^{A_{\log}} \mathrm{softplus}(w_\alpha x_t + \delta))$, one number each for a
    head. The norm of what a head reads is a root mean square with one learned scale, shared by the
    heads. At first $e^{A_{\log}}$ is uniform in (0, 16] and $\mathrm{softplus}(\delta)$ log-uniform in
    [0.001, 0.1]. With `reflect` the strengths are $2 \sigma(w_\beta x_t)$. The monoid is
    [`memoalg.DeltaRule`][] for each head, in float32 or wider, and it has a chunked form.

    Squared norms of keys and queries are taken with 1e-6 added, as in the public code.

    Arguments:
        in_size: length of an input vector.
        out_size: length of an output vector.
        key_size: length of keys and queries, of all heads together.
        value_size: length of values, of all heads together; None is `key_size`.
        heads: number of heads, which must divide both.
        reflect: strengths in (0, 2).
        project: False where an input is already the vector (W_q x, W_k x, W_v x, w_beta x, w_alpha x,
            W_g x), as after the short convolutions of the block; `in_size` is then its length.
        key: for the initialisation.

    Raises:
        ValueError: where heads do not divide the sizes, or, without `project`, for another `in_size`.

    Source: Yang, Kautz and Hatamizadeh, Gated Delta Networks (arXiv 2412.06464), eq. 10 and
        section 3.4; `reflect`: Grazzi et al. (arXiv 2411.12537).

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.GatedDeltaNet(3, 2, 8, value_size=6, heads=2, key=jax.random.key(0))
        >>> carry, ys = layer(layer.init_carry(), jnp.ones((5, 3)), None)
        >>> carry.shape, ys.shape
        ((2, 3, 4), (5, 2))
    """

    inputs: Float[Array, "rows in"] | None
    A_log: Float[Array, " heads"]
    step_bias: Float[Array, " heads"]
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
        check_heads("GatedDeltaNet", heads, key_size=key_size, value_size=value_size)
        sizes = (key_size, key_size, value_size, heads, heads, value_size)
        check_projected("GatedDeltaNet", project, in_size, sum(sizes))
        in_key, decay_key, out_key = jax.random.split(key, 3)
        self.inputs = projection(in_size, sizes, in_key) if project else None
        self.A_log, self.step_bias = decay_parameters(heads, decay_key)
        self.scale = jnp.ones(value_size // heads)
        self.output = Linear(value_size, out_size, use_bias=False, key=out_key)
        self.in_size, self.out_size = in_size, out_size
        self.key_size, self.value_size = key_size, value_size
        self.heads, self.reflect = heads, reflect

    @property
    def monoid(self) -> AbstractMonoid:
        part, dtype = self.key_size // self.heads, wide(self.scale).dtype
        return Power(DeltaRule(part, self.value_size // self.heads, dtype), self.heads)

    def encode(self, x: Float[Array, " in"]) -> tuple[Array, Array, Array, Array]:
        end = self.key_size + self.value_size
        written = rows_of(self.inputs, x, self.key_size, -self.value_size)
        parts = jnp.split(written, (self.key_size, end, end + self.heads))
        key, value, logits, steps = parts
        decay = decays(self.A_log, self.step_bias, steps)
        strength = strengths(logits, self.reflect)
        return unit_heads(key, self.heads), value_heads(value, self.heads), strength, decay

    def query(self, x: Float[Array, " in"]) -> Float[Array, "heads part"]:
        return unit_heads(rows_of(self.inputs, x, 0, self.key_size), self.heads)

    def readout(
        self, read: Float[Array, "heads part"], x: Float[Array, " in"]
    ) -> Float[Array, " out"]:
        gate = rows_of(self.inputs, x, -self.value_size, None)
        return self.output(scaled_norm(read, self.scale) * jax.nn.silu(gate))


def gated_deltanet(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """`x + GatedDeltaNet(convolved(norm(x)))`, with convolutions of width 4 on q, k and v."""
    # Keys of 3/4 and values of 3/2 of the width: 6 width² numbers, as in the public code.
    heads = heads_for(width, 32)
    part = max(1, 3 * (width // heads) // 4)
    keys, values = heads * part, 2 * heads * part
    before_key, key = jax.random.split(key)
    sizes = (keys, keys, values, heads, heads, values)
    before = normalised_convolved(width, sizes, 2 * keys + values, before_key)
    memory = GatedDeltaNet(
        sum(sizes), width, keys, value_size=values, heads=heads, project=False, key=key
    )
    return Residual(Serial(before, memory))
