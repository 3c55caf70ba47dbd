"""The dual (opposite) monoid."""

from typing import Any

import jax
from jaxtyping import PyTree

from .._typing import Element
from ._monoid import AbstractCombinator, AbstractMonoid, AbstractSemigroup
from ._traits import has_embedding, has_identity


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
