"""Traits: what is known of a monoid, as open functions that propagate through combinators.

A trait is a `functools.singledispatch` function: a user's class registers its own answer without
touching the library.
"""

import functools

from ._monoid import AbstractMonoid, AbstractSemigroup, DirectProduct


@functools.singledispatch
def has_identity(monoid: AbstractSemigroup) -> bool:
    """Whether `identity()` can be called.

    Example:
        >>> import memoalg as ma
        >>> ma.has_identity(ma.Add())
        True
    """
    return isinstance(monoid, AbstractMonoid)


@has_identity.register
def _(monoid: DirectProduct) -> bool:
    return all(has_identity(factor) for factor in monoid.factors)


@functools.singledispatch
def has_embedding(monoid: AbstractMonoid) -> bool:
    """Whether a state can be turned into an element: `project(combine(embed(s), x)) == act(s, x)`.

    True for a monoid that acts on itself, and for one that writes `embed` and `project`.

    Example:
        >>> import memoalg as ma
        >>> ma.has_embedding(ma.Affine())
        True
    """
    acts_on_itself = type(monoid).act is AbstractMonoid.act
    return acts_on_itself or type(monoid).embed is not AbstractMonoid.embed


@has_embedding.register
def _(monoid: DirectProduct) -> bool:
    return all(has_embedding(factor) for factor in monoid.factors)
