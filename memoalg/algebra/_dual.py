"""The dual (opposite) monoid."""

from typing import Any

import jax
from jaxtyping import PyTree

from .._typing import Element
from ._inverse import group_in, has_zero, inverse, is_invertible, zero
from ._monoid import AbstractCombinator, AbstractMonoid, AbstractSemigroup
from ._traits import (
    Tracks,
    has_embedding,
    has_identity,
    is_commutative,
    is_elementwise,
    is_idempotent,
    tracks,
)


class Dual(AbstractCombinator[Element]):
    r"""The same elements with the operands swapped: $x \bullet^{op} y = y \bullet x$.

    `Dual(Dual(m))` has the operator of `m`. Being again a monoid, it passes every law that `m` passes:
    laws alone cannot tell a model from its mirror image.

    Arguments:
        monoid: the monoid or semigroup to mirror.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> m = ma.Dual(ma.Affine())
        >>> x, y = (jnp.float32(2), jnp.float32(1)), (jnp.float32(3), jnp.float32(0))
        >>> print(*m.combine(x, y))
        6.0 1.0
    """

    monoid: AbstractSemigroup[Element, Any]

    @property
    def element(self) -> PyTree[jax.ShapeDtypeStruct]:
        return self.monoid.element

    def identity(self) -> Element:
        if not isinstance(self.monoid, AbstractMonoid):
            raise TypeError(f"{type(self.monoid).__name__} is a semigroup: it has no identity")
        return self.monoid.identity()

    def combine(self, left: Element, right: Element) -> Element:
        return self.monoid.combine(right, left)

    def canon(self, element: Element) -> Element:
        if not isinstance(self.monoid, AbstractMonoid):
            return element
        return self.monoid.canon(element)


@has_identity.register
def _(monoid: Dual) -> bool:
    return has_identity(monoid.monoid)


@has_embedding.register
def _(monoid: Dual) -> bool:
    return has_identity(monoid)


@is_commutative.register
def _(monoid: Dual) -> bool:
    return is_commutative(monoid.monoid)


@is_idempotent.register
def _(monoid: Dual) -> bool:
    return is_idempotent(monoid.monoid)


@is_elementwise.register
def _(monoid: Dual) -> bool:
    return is_elementwise(monoid.monoid)


@is_invertible.register
def _(monoid: Dual) -> bool:
    return is_invertible(monoid.monoid)


@has_zero.register
def _(monoid: Dual) -> bool:
    return has_zero(monoid.monoid)


@inverse.register
def _(monoid: Dual, element: Any) -> Any:
    return inverse(monoid.monoid, element)


@zero.register
def _(monoid: Dual) -> Any:
    return zero(monoid.monoid)


@tracks.register
def _(monoid: Dual) -> Tracks:
    return tracks(monoid.monoid)


@group_in.register
def _(monoid: Dual) -> tuple[Any, ...]:
    # (a • b) and (b • a) have the same order, so the relations hold in the mirror image too.
    return group_in(monoid.monoid)
