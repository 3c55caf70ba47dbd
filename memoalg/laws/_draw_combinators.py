"""How generators of combinators are drawn: from those of their operands."""

import copy
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..algebra import (
    AbstractMonoid,
    AbstractSemigroup,
    DirectProduct,
    Dual,
    Map,
    Power,
    Regular,
    Resettable,
    SemidirectProduct,
    Strict,
    Tangent,
    Window,
    WithIdentity,
    zero,
)
from ..nn import NormalisedOuterSum
from ._draw import Source, draw


def draw_elements(monoid: AbstractSemigroup, source: Source) -> Any:
    """Elements, as numpy arrays: what the drawn generators expand to."""
    generators = draw(monoid, source)
    if not isinstance(monoid, AbstractMonoid):
        return generators
    return jax.tree.map(np.asarray, jax.vmap(monoid.expand, axis_size=source.count)(generators))


@draw.register
def _(monoid: DirectProduct, source: Source) -> Any:
    return tuple(draw(factor, source) for factor in monoid.factors)


@draw.register
def _(monoid: SemidirectProduct, source: Source) -> Any:
    return draw_elements(monoid.acting, source), draw_elements(monoid.base, source)


@draw.register
def _(monoid: Resettable, source: Source) -> Any:
    """Starts with probability 0, 0.1, 0.5 and 1, in turn."""
    described = draw(monoid.monoid, source)
    probabilities = np.resize([0.0, 0.1, 0.5, 1.0], source.count)
    return described, source.rng.random(source.count) < probabilities


@draw.register
def _(monoid: WithIdentity, source: Source) -> Any:
    return draw_elements(monoid.semigroup, source), source.flags(probability=0.7)


@draw.register
def _(monoid: Dual | Regular, source: Source) -> Any:
    return draw_elements(monoid.monoid, source)


@draw.register
def _(monoid: Map, source: Source) -> Any:
    """Images of elements; rows whose image overflows stand outside the isomorphism's domain."""
    elements = draw_elements(monoid.monoid, source)
    images = jax.tree.map(
        np.asarray, jax.vmap(monoid.isomorphism.forward, axis_size=source.count)(elements)
    )
    lost = _infinite_rows(images, source.count) & ~_infinite_rows(elements, source.count)
    if lost.all():
        return images
    kept = np.resize(np.flatnonzero(~lost), source.count)
    return jax.tree.map(lambda leaf: leaf[kept], images)


def _infinite_rows(tree: Any, count: int) -> np.ndarray:
    """Which rows hold a number that is not finite."""
    leaves = [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    flags = [~np.isfinite(leaf).reshape(count, -1).all(axis=1) for leaf in leaves]
    return np.any([np.zeros(count, bool), *flags], axis=0)


@draw.register
def _(monoid: NormalisedOuterSum, source: Source) -> Any:
    keys = source.positive((monoid.key_size,), monoid.dtype)
    return keys, source.real((monoid.value_size,), monoid.dtype)


@draw.register
def _(monoid: Strict, source: Source) -> Any:
    """Elements of the operand, and its zero now and then."""
    elements = np.array(draw_elements(monoid.monoid, source))
    elements[source.flags(probability=0.2)] = np.asarray(zero(monoid))
    return elements


@draw.register
def _(monoid: Power, source: Source) -> Any:
    rows = copy.copy(source)
    rows.count = source.count * monoid.size

    def stacked(leaf: Any) -> Any:
        return leaf.reshape(source.count, monoid.size, *leaf.shape[1:])

    return jax.tree.map(stacked, draw(monoid.monoid, rows))


@draw.register
def _(monoid: Window, source: Source) -> Any:
    return draw(monoid.monoid, source)


@draw.register
def _(monoid: Tangent, source: Source) -> Any:
    generators = draw(monoid.monoid, source)
    axes = () if monoid.directions is None else (monoid.directions,)

    def moving(leaf: Any) -> Any:
        if not jnp.issubdtype(leaf.dtype, jnp.inexact):
            return None
        tangent = source.real((*axes, *leaf.shape[1:]), leaf.dtype)
        # An infinity does not move.
        still = ~np.isfinite(leaf).reshape(len(leaf), *(1 for _ in axes), *leaf.shape[1:])
        return np.where(still, np.zeros_like(tangent), tangent)

    return generators, jax.tree.map(moving, generators)
