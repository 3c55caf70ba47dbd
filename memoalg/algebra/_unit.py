"""The monoid of one element."""

from ._inverse import has_zero, inverse, is_invertible, zero
from ._monoid import AbstractMonoid
from ._traits import is_commutative, is_elementwise, is_idempotent


class Unit(AbstractMonoid[tuple[()]]):
    r"""The monoid of one element, `()`: it remembers nothing, and has every trait.

    It is neutral in products: $M \times 1 \cong M$. Alone it cannot be scanned, because nothing
    in its elements says how many steps there are.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> m = ma.Add() * ma.Unit()
        >>> total, nothing = ma.fold(m, (jnp.ones(3), ()))
        >>> print(total, nothing)
        3.0 ()
    """

    def identity(self) -> tuple[()]:
        return ()

    def combine(self, left: tuple[()], right: tuple[()]) -> tuple[()]:
        return ()


@is_commutative.register
def _(monoid: Unit) -> bool:
    return True


@is_idempotent.register
def _(monoid: Unit) -> bool:
    return True


@is_elementwise.register
def _(monoid: Unit) -> bool:
    return True


@is_invertible.register
def _(monoid: Unit) -> bool:
    return True


@inverse.register
def _(monoid: Unit, element: tuple[()]) -> tuple[()]:
    return ()


@has_zero.register
def _(monoid: Unit) -> bool:
    return True


@zero.register
def _(monoid: Unit) -> tuple[()]:
    return ()
