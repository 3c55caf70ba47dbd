"""How generators of the ground monoids are drawn, where they are more than numbers of a dtype."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..algebra import ArgMax, Count, LogSumExp, Max, Min, Moments, Recent
from ..algebra._clipped_affine import ClippedAffine
from ..algebra._ground import largest, smallest
from ._draw import Source, _draw_leaf, draw


@draw.register
def _(monoid: ArgMax, source: Source) -> tuple[np.ndarray, np.ndarray]:
    """Values that tie in a third of the places, at indices that differ and that do not."""
    value, index = monoid.element
    values = _with_nothing(source, _draw_leaf(source, value), smallest(monoid.dtype))
    tied = source.flags(monoid.shape, 1 / 3)
    return np.where(tied, np.zeros_like(values), values), source.integers(index.shape, index.dtype)


@draw.register
def _(monoid: Max | Min | LogSumExp, source: Source) -> np.ndarray:
    """Unless mild, some entries are the identity's: no score, the logarithm of zero."""
    nothing = largest(monoid.dtype) if isinstance(monoid, Min) else smallest(monoid.dtype)
    return _with_nothing(source, _draw_leaf(source, monoid.element), nothing)


def _with_nothing(source: Source, values: np.ndarray, nothing: float) -> np.ndarray:
    if source.mild:
        return values
    return np.where(source.flags(values.shape[1:], 0.1), np.full_like(values, nothing), values)


@draw.register
def _(monoid: Count, source: Source) -> np.ndarray:
    """Small counts and, unless mild, counts of which two or three together reach the limit."""
    small = source.integers(monoid.shape, monoid.dtype)
    most = np.asarray(jnp.iinfo(monoid.dtype).max, monoid.dtype)
    large = (most // 2 - 2).astype(monoid.dtype) + small
    return small if source.mild else np.where(source.flags(monoid.shape), large, small)


@draw.register
def _(monoid: Moments, source: Source) -> np.ndarray:
    return source.real(monoid.shape, monoid.dtype)


@draw.register
def _(monoid: Recent, source: Source) -> Any:
    return _draw_leaf(source, jax.ShapeDtypeStruct(monoid.shape, monoid.dtype))


@draw.register
def _(monoid: ClippedAffine, source: Source) -> tuple[np.ndarray, ...]:
    """Slopes in [-1, 1]; bounds in order and, unless mild, some open and some equal."""
    slope, shift, *ends = (_draw_leaf(source, leaf) for leaf in monoid.element)
    slope = np.clip(slope, -1, 1).astype(monoid.dtype)
    low, high = np.minimum(*ends), np.maximum(*ends)
    if source.mild:
        return slope, shift, low, high
    low = np.where(source.flags(monoid.shape, 0.2), np.full_like(low, -np.inf), low)
    high = np.where(source.flags(monoid.shape, 0.2), np.full_like(high, np.inf), high)
    constant = source.flags(monoid.shape, 0.1) & np.isfinite(low)
    return slope, shift, low, np.where(constant, low, high)
