"""The laws of traits: each applies where the monoid claims the trait."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._tree import tree_where
from ..algebra import (
    AbstractMonoid,
    AbstractSemigroup,
    Tracks,
    group_in,
    has_identity,
    has_zero,
    inverse,
    is_commutative,
    is_elementwise,
    is_idempotent,
    is_invertible,
    tracks,
    zero,
)
from ._law import Law, Sides


def commutativity(m: AbstractSemigroup, x: Any, y: Any) -> Sides:
    """x • y = y • x.

    Usually: is_commutative is claimed for an operator in which the order matters.
    """
    return m.combine(x, y), m.combine(y, x)


def idempotence(m: AbstractSemigroup, x: Any) -> Sides:
    """x • x = x.

    Usually: is_idempotent is claimed for an operator that accumulates.
    """
    return m.combine(x, x), x


def right_inverse(m: AbstractMonoid, x: Any) -> Sides:
    """x • x⁻¹ = e.

    Usually: inverse undoes only a part of the element, or the element has no inverse.
    """
    return m.combine(x, inverse(m, x)), m.identity()


def left_inverse(m: AbstractMonoid, x: Any) -> Sides:
    """x⁻¹ • x = e.

    Usually: inverse undoes on one side only; for a semidirect product the base part is transformed too.
    """
    return m.combine(inverse(m, x), x), m.identity()


def left_zero(m: AbstractSemigroup, x: Any) -> Sides:
    """0 • x = 0.

    Usually: zero() does not absorb what comes after it.
    """
    return m.combine(zero(m), x), zero(m)


def right_zero(m: AbstractSemigroup, x: Any) -> Sides:
    """x • 0 = 0.

    Usually: zero() does not absorb what came before it.
    """
    return m.combine(x, zero(m)), zero(m)


def elementwise(m: AbstractSemigroup, x: Any, y: Any, z: Any, w: Any) -> Sides:
    """where(mask, x, z) • where(mask, y, w) = where(mask, x • y, z • w).

    Usually: is_elementwise is claimed although entries with different indices meet.
    """
    mask = _pattern(m)
    mixed = m.combine(tree_where(mask, x, z), tree_where(mask, y, w))
    return mixed, tree_where(mask, m.combine(x, y), m.combine(z, w))


def tracks_witness(m: AbstractMonoid) -> Sides:
    """group_in gives one generator of an abelian group, two of a richer one.

    Usually: tracks is registered without group_in, or group_in without tracks.
    """
    wanted = {Tracks.NOTHING: 0, Tracks.ABELIAN: 1}.get(tracks(m), 2)
    return jnp.int32(len(group_in(m))), jnp.int32(wanted)


def tracks_relations(m: AbstractMonoid) -> Sides:
    """g² = e; for two generators a² = b³ = (a • b)ⁿ = e, with n = 2 (solvable) or 5 (any).

    Usually: what group_in returns generates another group, or none at finite precision.
    """
    powers = _relations(m)
    return powers, tuple(m.identity() for _ in powers)


def tracks_nontrivial(m: AbstractMonoid) -> Sides:
    """g ≠ e: the generators of the group differ from the identity.

    Usually: group_in returns the identity, which generates the trivial group.
    """
    differs = [_differs(m.canon(g), m.canon(m.identity())) for g in group_in(m)]
    if tracks(m) is Tracks.ANY:  # b = e would follow from a = e and no other way
        differs = differs[:1]
    return jnp.all(jnp.stack(differs)), jnp.ones((), jnp.bool_)


def claims_of(m: AbstractSemigroup) -> dict[str, Law]:
    """The laws of the traits that a monoid claims."""
    laws: dict[str, Law] = {}
    if is_commutative(m):
        laws["commutativity"] = commutativity
    if is_idempotent(m):
        laws["idempotence"] = idempotence
    if is_elementwise(m):
        laws["elementwise"] = elementwise
    if has_zero(m):
        laws |= {"left_zero": left_zero, "right_zero": right_zero}
    if isinstance(m, AbstractMonoid) and has_identity(m):
        if is_invertible(m):
            laws |= {"left_inverse": left_inverse, "right_inverse": right_inverse}
        if tracks(m) or group_in(m):
            laws["tracks_witness"] = tracks_witness
        if tracks(m) and group_in(m):
            laws["tracks_relations"] = tracks_relations
            laws["tracks_nontrivial"] = tracks_nontrivial
    return laws


def _pattern(m: AbstractSemigroup) -> Array:
    """A mask over the shape that all leaves begin with: every other entry."""
    shapes = [leaf.shape for leaf in jax.tree.leaves(m.element)]
    common: list[int] = []
    for sizes in zip(*shapes, strict=False):
        if len(set(sizes)) > 1:
            break
        common.append(sizes[0])
    return jnp.asarray(np.arange(int(np.prod(common, dtype=int))).reshape(common) % 2 == 0)


def _relations(m: AbstractMonoid) -> tuple[Any, ...]:
    generators = group_in(m)
    if len(generators) < 2:
        return tuple(_power(m, g, 2) for g in generators)
    a, b = generators
    order = 2 if tracks(m) is Tracks.SOLVABLE else 5
    return _power(m, a, 2), _power(m, b, 3), _power(m, m.combine(a, b), order)


def _power(m: AbstractMonoid, x: Any, exponent: int) -> Any:
    product = x
    for _ in range(exponent - 1):
        product = m.combine(product, x)
    return product


def _differs(one: Any, other: Any) -> Array:
    def by(a: Array, b: Array) -> Array:
        if jnp.issubdtype(a.dtype, jnp.inexact):
            return jnp.any(jnp.abs(a - b) > 0.1)
        return jnp.any(a != b)

    return jnp.any(jnp.stack(jax.tree.leaves(jax.tree.map(by, one, other))))
