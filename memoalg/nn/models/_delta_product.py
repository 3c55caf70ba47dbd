"""DeltaProduct: several steps of the delta rule for each input."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ...algebra import AbstractMonoid, DeltaRule, Power
from .._compose import Residual, Serial
from .._feed_forward import Pointwise
from .._heads import check_heads, heads_for
from .._layer import AbstractLayer
from .._linear import Linear
from .._memoroid import AbstractMemoroid
from .._parallel import Fork
from .._precision import wide
from .._substeps import Substeps
from ._delta_parts import (
    Part,
    Projection,
    decay_parameters,
    decays,
    normalised_convolved,
    projection,
    scaled_norm,
    strengths,
    unit_heads,
    value_heads,
)


def DeltaProduct(
    in_size: int,
    out_size: int,
    key_size: int,
    *,
    value_size: int | None = None,
    heads: int = 1,
    steps: int = 2,
    gated: bool = True,
    reflect: bool = True,
    key: PRNGKeyArray,
) -> Serial:
    r"""The delta rule with n steps for each input: its transition is a product of n reflections.

    $$S_{t,0} = \alpha_t S_{t-1}, \qquad
      S_{t,j} = S_{t,j-1} (I - \beta_{t,j} k_{t,j} k_{t,j}^\top) + \beta_{t,j} v_{t,j} k_{t,j}^\top, \qquad
      S_t = S_{t,n},$$

    and $y_t = W_o\, (\mathrm{norm}(S_t q_t) \odot \mathrm{silu}(W_g x_t))$, for each of several heads. Each
    of the n steps has its own maps $W_{k,j}$, $W_{v,j}$ and $w_{\beta,j}$; keys, values, queries,
    strengths, decays and the norm are those of [`memoalg.nn.GatedDeltaNet`][], which n = 1 is, but for
    `reflect`. With n = 2 a step may rotate by any angle. Built of [`memoalg.nn.Substeps`][] around
    one memory whose monoid is [`memoalg.DeltaRule`][] for each head; it has a chunked form.

    Every small step is read, and all reads but the last are dropped: n times the reads of one.

    Arguments:
        in_size: length of an input vector.
        out_size: length of an output vector.
        key_size: length of keys and queries, of all heads together.
        value_size: length of values, of all heads together; None is `key_size`.
        heads: number of heads, which must divide both.
        steps: n.
        gated: False leaves out the decay, as in the paper's DeltaProduct; True is its Gated
            DeltaProduct.
        reflect: strengths in (0, 2), not in (0, 1).
        key: for the initialisation.

    Raises:
        ValueError: where heads do not divide the sizes, or `steps` is not a positive int.

    Source: Siems et al., DeltaProduct (arXiv 2502.10297), section 3; small steps, and the decay on the
        first of them, as in the public code (flash-linear-attention).

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.DeltaProduct(3, 2, 8, heads=2, key=jax.random.key(0))
        >>> layer(layer.init_carry(), jnp.ones((5, 3)), None)[1].shape
        (5, 2)
    """
    value_size = key_size if value_size is None else value_size
    check_heads("DeltaProduct", heads, key_size=key_size, value_size=value_size)
    if steps < 1:
        raise ValueError(f"DeltaProduct: steps must be at least 1, got {steps}")
    in_key, key = jax.random.split(key)
    maker = MicroSteps(key_size, value_size, heads, steps, gated)
    weight = projection(in_size, (*maker.sizes, value_size), in_key)
    first = Pointwise(Projection(weight), in_size, weight.shape[0])
    return Serial(first, *_after_projection(maker, out_size, reflect, key))


class MicroSteps(eqx.Module):
    """Makes n inputs of a `DeltaMemory` of what a projection gives for one step."""

    key_size: int = eqx.field(static=True)
    value_size: int = eqx.field(static=True)
    heads: int = eqx.field(static=True)
    count: int = eqx.field(static=True)
    gated: bool = eqx.field(static=True)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Of a query, and for every small step of keys, values and strengths; of decays."""
        each = (self.key_size, self.value_size, self.heads)
        repeated = (size for size in each for _ in range(self.count))
        return (self.key_size, *repeated, *([self.heads] if self.gated else []))

    def __call__(self, x: Float[Array, " rows"]) -> Float[Array, "count step"]:
        n, ends = self.count, [self.key_size]
        for size in (self.key_size, self.value_size, self.heads):
            ends.append(ends[-1] + n * size)
        query, keys, values, logits, steps = jnp.split(x[: sum(self.sizes)], ends)

        def repeated(part: Array) -> Array:
            return jnp.broadcast_to(part, (n, *part.shape))

        own = (part.reshape(n, -1) for part in (keys, values, logits))
        first = (jnp.arange(n) == 0).astype(x.dtype)[:, None]
        return jnp.concatenate([repeated(query), *own, repeated(steps), first], axis=1)


class DeltaMemory(AbstractMemoroid):
    """One small step: a vector of query, key, value, strengths, decays, and whether it is the first."""

    A_log: Float[Array, " heads"] | None
    step_bias: Float[Array, " heads"] | None
    scale: Float[Array, " part"]
    sizes: MicroSteps
    reflect: bool = eqx.field(static=True)

    def __init__(self, sizes: MicroSteps, reflect: bool, key: PRNGKeyArray):
        heads, gated = sizes.heads, sizes.gated
        self.A_log, self.step_bias = decay_parameters(heads, key) if gated else (None, None)
        self.scale = jnp.ones(sizes.value_size // heads)
        self.sizes, self.reflect = sizes, reflect

    @property
    def in_size(self) -> int:
        each = 2 * self.sizes.key_size + self.sizes.value_size + self.sizes.heads
        return each + (self.sizes.heads if self.sizes.gated else 0) + 1

    @property
    def out_size(self) -> int:
        return self.sizes.value_size

    @property
    def monoid(self) -> AbstractMonoid:
        heads, dtype = self.sizes.heads, wide(self.scale).dtype
        return Power(DeltaRule(self.sizes.key_size // heads, self.scale.shape[0], dtype), heads)

    def encode(self, x: Float[Array, " step"]) -> tuple[Array, Array, Array, Array]:
        keys, values, heads = self.sizes.key_size, self.sizes.value_size, self.sizes.heads
        ends = (keys, 2 * keys, 2 * keys + values, 2 * keys + values + heads)
        _, key, value, logits, rest = jnp.split(x, ends)
        strength = strengths(logits, self.reflect)
        decay = jnp.ones_like(strength)
        if self.A_log is not None and self.step_bias is not None:
            decay = jnp.where(rest[-1] > 0, decays(self.A_log, self.step_bias, rest[:-1]), decay)
        return unit_heads(key, heads), value_heads(value, heads), strength, decay

    def query(self, x: Float[Array, " step"]) -> Float[Array, "heads part"]:
        return unit_heads(x[: self.sizes.key_size], self.sizes.heads)

    def readout(
        self, read: Float[Array, "heads part"], x: Float[Array, " step"]
    ) -> Float[Array, " size"]:
        return scaled_norm(read, self.scale)


class GatedOutput(eqx.Module):
    """A linear map of what was read, through a gate."""

    output: Linear

    def __call__(self, pair: tuple[Array, Array]) -> Float[Array, " out"]:
        read, gate = pair
        return self.output(read * jax.nn.silu(gate))


def _after_projection(
    steps: MicroSteps, out_size: int, reflect: bool, key: PRNGKeyArray
) -> tuple[AbstractLayer, ...]:
    """The memory and its gated output, on what a projection gives."""
    decay_key, key = jax.random.split(key)
    memory = Substeps(DeltaMemory(steps, reflect, decay_key), steps.count)  # pyright: ignore
    before, total = sum(steps.sizes), sum(steps.sizes) + steps.value_size
    output = Linear(steps.value_size, out_size, use_bias=False, key=key)
    return (
        Fork(
            Serial(Pointwise(steps, total), memory),
            Pointwise(Part(before, total), total, steps.value_size),
        ),
        Pointwise(GatedOutput(output), None, out_size),
    )


def delta_product(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """`x + DeltaProduct(convolved(norm(x)))`, two steps for each input; convolutions of width 4."""
    heads = heads_for(width, 32)
    part = max(1, 3 * (width // heads) // 4)
    steps = MicroSteps(heads * part, 2 * heads * part, heads, 2, True)
    before_key, key = jax.random.split(key)
    convolved = steps.key_size + 2 * (steps.key_size + steps.value_size)
    sizes = (*steps.sizes, steps.value_size)
    before = normalised_convolved(width, sizes, convolved, before_key)
    return Residual(Serial(before, *_after_projection(steps, width, True, key)))
