"""Adjoining an identity: a monoid out of any semigroup."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, PyTree

from .._tree import tree_where, zeros_of
from .._typing import Element
from ._inverse import has_zero, zero
from ._monoid import AbstractCombinator, AbstractSemigroup
from ._traits import is_commutative, is_idempotent


class WithIdentity(AbstractCombinator[tuple[Element, Bool[Array, ""]]]):
    r"""A semigroup with an identity adjoined; elements `(x, valid)`, where invalid means identity.

    $$(x, v) \bullet (y, w) =
      (x \bullet y \text{ if } v \land w,\; \text{else the valid one},\; v \lor w).$$

    It is also the way to skip padding: mark the padded steps invalid.

    Arguments:
        semigroup: any semigroup.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> elements = jnp.array([3.0, 9.0, 2.0]), jnp.array([True, False, True])
        >>> print(ma.scan(ma.WithIdentity(ma.Add()), elements)[0])
        [3. 3. 5.]
    """

    semigroup: AbstractSemigroup[Element, Any]

    @property
    def element(self) -> PyTree[jax.ShapeDtypeStruct]:
        return self.semigroup.element, jax.ShapeDtypeStruct((), jnp.bool_)

    def identity(self) -> tuple[Element, Bool[Array, ""]]:
        return zeros_of(self.semigroup.element), jnp.zeros((), jnp.bool_)

    def combine(
        self, left: tuple[Element, Bool[Array, ""]], right: tuple[Element, Bool[Array, ""]]
    ) -> tuple[Element, Bool[Array, ""]]:
        (x, x_valid), (y, y_valid) = left, right
        # The invalid operand is replaced before it is combined, so that junk in it (a zero that is
        # divided by, say) reaches neither the value nor the gradient.
        product = self.semigroup.combine(tree_where(x_valid, x, y), tree_where(y_valid, y, x))
        single = tree_where(y_valid, y, x)
        return tree_where(x_valid & y_valid, product, single), x_valid | y_valid

    def canon(self, element: Any) -> tuple[Element, Bool[Array, ""]]:
        x, valid = element
        return tree_where(valid, x, zeros_of(self.semigroup.element)), valid


@is_commutative.register
def _(monoid: WithIdentity) -> bool:
    return is_commutative(monoid.semigroup)


@is_idempotent.register
def _(monoid: WithIdentity) -> bool:
    return is_idempotent(monoid.semigroup)


@has_zero.register
def _(monoid: WithIdentity) -> bool:
    return has_zero(monoid.semigroup)


@zero.register
def _(monoid: WithIdentity) -> Any:
    return zero(monoid.semigroup), jnp.ones((), jnp.bool_)
