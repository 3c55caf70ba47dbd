"""A monoid that acts on itself, whatever its own states are."""

from typing import Any

import jax
from jaxtyping import PyTree

from .._typing import Element
from ._inverse import group_in, has_zero, inverse, is_invertible, zero
from ._monoid import AbstractCombinator, AbstractMonoid, AbstractSemigroup
from ._traits import (
    Tracks,
    has_identity,
    is_commutative,
    is_elementwise,
    is_idempotent,
    tracks,
)


class Regular(AbstractCombinator[Element]):
    r"""The same operator with elements as states, $s \cdot x = s \bullet x$: the regular representation.

    Its trajectories are the prefix products: `trajectory(Regular(m), e, xs, None)` is `scan(m, xs)`.
    Reads, generators and initial states of the operand are not used.

    Arguments:
        monoid: the monoid or semigroup.

    Example:
        >>> import jax, memoalg as ma
        >>> state = ma.Regular(ma.Affine()).initial_state()  # not h alone, but (a, h)
        >>> print(len(state))
        2
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
        return self.monoid.combine(left, right)

    def canon(self, element: Element) -> Element:
        if not isinstance(self.monoid, AbstractMonoid):
            return element
        return self.monoid.canon(element)


@has_identity.register
def _(monoid: Regular) -> bool:
    return has_identity(monoid.monoid)


@is_commutative.register
def _(monoid: Regular) -> bool:
    return is_commutative(monoid.monoid)


@is_idempotent.register
def _(monoid: Regular) -> bool:
    return is_idempotent(monoid.monoid)


@is_elementwise.register
def _(monoid: Regular) -> bool:
    return is_elementwise(monoid.monoid)


@is_invertible.register
def _(monoid: Regular) -> bool:
    return is_invertible(monoid.monoid)


@inverse.register
def _(monoid: Regular, element: Any) -> Any:
    return inverse(monoid.monoid, element)


@has_zero.register
def _(monoid: Regular) -> bool:
    return has_zero(monoid.monoid)


@zero.register
def _(monoid: Regular) -> Any:
    return zero(monoid.monoid)


@tracks.register
def _(monoid: Regular) -> Tracks:
    return tracks(monoid.monoid)


@group_in.register
def _(monoid: Regular) -> tuple[Any, ...]:
    return group_in(monoid.monoid)
