"""Inverses, zeros and groups inside a monoid: traits that come with a witness."""

import functools
from typing import Any

from .._typing import Element
from ._monoid import AbstractMonoid, AbstractSemigroup, DirectProduct
from ._traits import tracks


@functools.singledispatch
def is_invertible(monoid: AbstractSemigroup) -> bool:
    r"""Whether every element has an inverse: $x \bullet x^{-1} = x^{-1} \bullet x = e$.

    Where it has, [`memoalg.inverse`][] gives it. Default: it is not claimed.

    Example:
        >>> import memoalg as ma
        >>> ma.is_invertible(ma.Add()), ma.is_invertible(ma.Max())
        (True, False)
    """
    return False


@functools.singledispatch
def inverse(monoid: AbstractMonoid[Element, Any], element: Element) -> Element:
    """The inverse of an element of a monoid that [`memoalg.is_invertible`][].

    Raises:
        TypeError: where the monoid claims no inverses.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> print(ma.inverse(ma.Add(), jnp.float32(2)))
        -2.0
    """
    raise TypeError(
        f"{type(monoid).__name__} has no inverses; to declare them, register both "
        "ma.is_invertible and ma.inverse for the class"
    )


@functools.singledispatch
def has_zero(monoid: AbstractSemigroup) -> bool:
    r"""Whether there is an absorbing element: $0 \bullet x = x \bullet 0 = 0$ for every (finite) x.

    Where there is, [`memoalg.zero`][] gives it. Default: it is not claimed.

    Example:
        >>> import memoalg as ma
        >>> ma.has_zero(ma.Multiply()), ma.has_zero(ma.Add())
        (True, False)
    """
    return False


@functools.singledispatch
def zero(monoid: AbstractSemigroup[Element, Any]) -> Element:
    """The absorbing element of a monoid that [`memoalg.has_zero`][].

    Raises:
        TypeError: where the monoid claims none.

    Example:
        >>> import memoalg as ma
        >>> print(ma.zero(ma.Multiply(2)))
        [0. 0.]
    """
    raise TypeError(
        f"{type(monoid).__name__} has no zero; to declare one, register both ma.has_zero and ma.zero "
        "for the class"
    )


@functools.singledispatch
def group_in(monoid: AbstractMonoid[Element, Any]) -> tuple[Element, ...]:
    r"""Elements that generate a group inside the monoid: the witness of what it [`memoalg.tracks`][].

    | claim | generators | what must hold |
    |---|---|---|
    | `ABELIAN` | $g$ | $g \ne e$, $g^2 = e$ |
    | `SOLVABLE` | $a, b$ | $a^2 = b^3 = (a \bullet b)^2 = e$, $a, b \ne e$: symmetries of a triangle |
    | `ANY` | $a, b$ | $a^2 = b^3 = (a \bullet b)^5 = e$, $a \ne e$: the icosahedron's rotations |

    Default: none, the witness of `NOTHING`.

    Example:
        >>> import memoalg as ma
        >>> print(*ma.algebra.group_in(ma.Multiply()))
        -1.0
    """
    return ()


@is_invertible.register
def _(monoid: DirectProduct) -> bool:
    return all(is_invertible(factor) for factor in monoid.factors)


@inverse.register
def _(monoid: DirectProduct, element: Any) -> Any:
    pairs = zip(monoid.factors, element, strict=True)
    return tuple(inverse(factor, x) for factor, x in pairs)


@has_zero.register
def _(monoid: DirectProduct) -> bool:
    return all(has_zero(factor) for factor in monoid.factors)


@zero.register
def _(monoid: DirectProduct) -> Any:
    return tuple(zero(factor) for factor in monoid.factors)


@group_in.register
def _(monoid: DirectProduct) -> tuple[Any, ...]:
    """The group of the richest factor, with identities beside it."""
    richest = max(monoid.factors, key=tracks, default=None)
    if richest is None:
        return ()
    return tuple(
        tuple(g if factor is richest else _identity_of(factor) for factor in monoid.factors)
        for g in group_in(richest)
    )


def _identity_of(monoid: Any) -> Any:
    """Whoever contains a group has an identity; so must the factors beside it."""
    return monoid.identity()
