"""What the models of the delta rule share: projections, keys of norm one, short convolutions."""

import math
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ..._product import dense_product
from .._compose import Serial
from .._feed_forward import Pointwise
from .._heads import split_heads
from .._linear import Linear
from .._norm import RMSNorm, rms_norm, unit_norm
from .._parallel import Fork
from .._precision import wide
from ._convolution import Convolution


class Projection(eqx.Module):
    """A linear map without a bias."""

    weight: Float[Array, "rows in"]

    def __call__(self, x: Float[Array, " in"]) -> Float[Array, " rows"]:
        return dense_product(x, self.weight)


class Part(eqx.Module):
    """Some of the numbers of a vector."""

    begin: int = eqx.field(static=True)
    end: int = eqx.field(static=True)

    def __call__(self, x: Float[Array, " size"]) -> Float[Array, " part"]:
        return x[self.begin : self.end]


def projection(in_size: int, sizes: Sequence[int], key: PRNGKeyArray) -> Float[Array, "rows in"]:
    """Maps to vectors of several sizes, one below the other, each orthogonal at first."""
    keys = jax.random.split(key, len(sizes))
    pairs = zip(sizes, keys, strict=True)
    return jnp.concatenate([Linear(in_size, size, key=part).weight for size, part in pairs])


def rows_of(
    weight: Float[Array, "rows in"] | None, x: Float[Array, " in"], begin: int, end: int | None
) -> Float[Array, " part"]:
    """Some of the numbers that a projection gives; without one, x is what it would give."""
    return x[begin:end] if weight is None else dense_product(x, weight[begin:end])


def check_projected(name: str, project: bool, in_size: int, rows: int) -> None:
    """Raises ValueError where an input cannot be what a projection would give."""
    if not project and in_size != rows:
        raise ValueError(
            f"{name}: without `project` an input is what the projection would give, so in_size must be "
            f"{rows}, got {in_size}"
        )


def unit_heads(x: Float[Array, " size"], heads: int) -> Float[Array, "heads part"]:
    """`silu(x)` in heads, each of norm 1: wide, because a strength of 2 must not grow what it reflects."""
    return unit_norm(split_heads(jax.nn.silu(wide(x)), heads))


def value_heads(x: Float[Array, " size"], heads: int) -> Float[Array, "heads part"]:
    """`silu(x)` in heads."""
    return split_heads(jax.nn.silu(wide(x)), heads)


def strengths(logits: Float[Array, " heads"], reflect: bool) -> Float[Array, " heads"]:
    """In (0, 1), or in (0, 2), where a step may reflect."""
    strength = jax.nn.sigmoid(wide(logits))
    return 2 * strength if reflect else strength


def decay_parameters(
    heads: int, key: PRNGKeyArray
) -> tuple[Float[Array, " heads"], Float[Array, " heads"]]:
    """A_log and the bias of the step widths, as they begin: A in (0, 16], widths in [0.001, 0.1]."""
    a_key, step_key = jax.random.split(key)
    a_log = jnp.log(16 * (1 - jax.random.uniform(a_key, (heads,))))
    low, high = math.log(0.001), math.log(0.1)
    step = jnp.exp(jax.random.uniform(step_key, (heads,), minval=low, maxval=high))
    # The inverse of softplus.
    return a_log, jnp.log(jnp.expm1(step))


def decays(
    a_log: Float[Array, " heads"], step_bias: Float[Array, " heads"], logits: Float[Array, " heads"]
) -> Float[Array, " heads"]:
    """`exp(-exp(A_log) softplus(logits + bias))`."""
    return jnp.exp(-jnp.exp(wide(a_log)) * jax.nn.softplus(wide(logits) + wide(step_bias)))


def scaled_norm(
    read: Float[Array, "heads part"], scale: Float[Array, " part"]
) -> Float[Array, " size"]:
    """What the heads read, each normalised, times a scale that they share."""
    return (rms_norm(read).astype(scale.dtype) * scale[None]).reshape(-1)


def normalised_convolved(width: int, sizes: Sequence[int], count: int, key: PRNGKeyArray) -> Serial:
    """A norm, a projection to `sizes`, and a convolution of width 4 over its first `count` numbers.

    Each of these has a filter of its own; the numbers after them pass.
    """
    weight_key, filter_key = jax.random.split(key)
    short = Convolution(count, count, 4, depthwise=True, key=filter_key)
    weight = projection(width, sizes, weight_key)
    total = sum(sizes)
    return Serial(
        Pointwise(RMSNorm(width), width, width),
        Pointwise(Projection(weight), width, total),
        Fork(
            Serial(Pointwise(Part(0, count), total, count), short),
            Pointwise(Part(count, total), total, total - count),
        ),
        Pointwise(jnp.concatenate, None, total),
    )
