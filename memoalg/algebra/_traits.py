"""Traits: what is known of a monoid, as open functions that propagate through combinators.

A trait is a `functools.singledispatch` function: a user's class registers its own answer without
touching the library, and the law kit checks every answer that claims something.
"""

import enum
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


@functools.singledispatch
def is_commutative(monoid: AbstractSemigroup) -> bool:
    r"""Whether $x \bullet y = y \bullet x$ is claimed. Default: it is not.

    The products of a commutative monoid may be formed in any order.

    Example:
        >>> import memoalg as ma
        >>> ma.is_commutative(ma.Add()), ma.is_commutative(ma.Affine())
        (True, False)
    """
    return False


@functools.singledispatch
def is_idempotent(monoid: AbstractSemigroup) -> bool:
    r"""Whether $x \bullet x = x$ is claimed. Default: it is not.

    Products of an idempotent commutative monoid may overlap.

    Example:
        >>> import memoalg as ma
        >>> ma.is_idempotent(ma.Max()), ma.is_idempotent(ma.Add())
        (True, False)
    """
    return False


@functools.singledispatch
def is_elementwise(monoid: object) -> bool:
    """Whether entries with the same index meet, and no others; asked of monoids and of actions.

    All leaves of an element then begin with one shape, and the operator is the same at each index of
    it. Such a monoid runs in one kernel whatever its leaves are. Default: it is not claimed.

    Example:
        >>> import memoalg as ma
        >>> ma.is_elementwise(ma.Affine(8)), ma.is_elementwise(ma.multiply)
        (True, True)
    """
    return False


class Tracks(enum.IntEnum):
    """How rich the groups are that a memory can follow exactly, for ever, at finite precision.

    A finite group is followed by the monoid that contains it: its elements are inputs, and the state
    is the running product. See [`memoalg.tracks`][].

    Example:
        >>> import memoalg as ma
        >>> ma.Tracks.ABELIAN < ma.Tracks.ANY
        True
    """

    NOTHING = 0
    """No group but the trivial one: sums that grow, maxima, decays in [0, 1]."""
    ABELIAN = 1
    """Some commutative group: parity, a clock."""
    SOLVABLE = 2
    """Some group that does not commute, and none that is not solvable: a reflected clock."""
    ANY = 3
    """Some group that is not solvable; and, given enough size, every finite group."""


@functools.singledispatch
def tracks(monoid: AbstractSemigroup) -> Tracks:
    r"""The richest kind of finite group that the monoid is known to contain. Default: nothing.

    This is what separates a diagonal recurrence from a delta rule: products of diagonal matrices
    commute, so one layer of them follows no group that does not.

    Source: Grazzi et al., arXiv 2411.12537; Merrill et al., The Illusion of State in State-Space
    Models, arXiv 2404.08819.

    Example:
        >>> import memoalg as ma
        >>> ma.tracks(ma.Multiply()).name, ma.tracks(ma.Permutation(5)).name
        ('ABELIAN', 'ANY')
    """
    return Tracks.NOTHING


@is_commutative.register
def _(monoid: DirectProduct) -> bool:
    return all(is_commutative(factor) for factor in monoid.factors)


@is_idempotent.register
def _(monoid: DirectProduct) -> bool:
    return all(is_idempotent(factor) for factor in monoid.factors)


@is_elementwise.register
def _(monoid: DirectProduct) -> bool:
    return all(is_elementwise(factor) for factor in monoid.factors)


@tracks.register
def _(monoid: DirectProduct) -> Tracks:
    return max((tracks(factor) for factor in monoid.factors), default=Tracks.NOTHING)
