"""Prefixes, suffixes and products of a sequence of elements."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from .._typing import Element
from ..algebra import AbstractCombinator, AbstractSemigroup, Dual, WithIdentity, has_identity
from ._auto import Auto
from ._check import check_elements, check_method
from ._edges import row_before
from ._method import AbstractMethod


class Regular(AbstractCombinator[Element]):
    """A monoid acting on itself by `combine`, whatever its own states are; optionally unread."""

    monoid: AbstractSemigroup[Element, Any]

    @property
    def element(self) -> PyTree[jax.ShapeDtypeStruct]:
        return self.monoid.element

    def identity(self) -> Element:
        return self.monoid.identity()  # pyright: ignore[reportAttributeAccessIssue]

    def combine(self, left: Element, right: Element) -> Element:
        return self.monoid.combine(left, right)

    def read(self, state: Any, query: PyTree) -> PyTree:
        """Nothing: `fold` wants the last state alone."""
        return ()


def scan(
    monoid: AbstractSemigroup[Element, Any],
    elements: Element,
    *,
    reverse: bool = False,
    method: AbstractMethod = Auto(),
) -> Element:
    r"""All prefixes $x_0 \bullet \dots \bullet x_t$, or all suffixes $x_t \bullet \dots \bullet x_{T-1}$.

    Both keep the order of time: `reverse=True` does not swap the operands. (The discounted return is
    therefore *not* `scan(Affine(), ..., reverse=True)` but `trajectory(..., reverse=True)`.)

    Arguments:
        monoid: a monoid or semigroup.
        elements: the monoid's element with a leading time axis on every leaf; T = 0 is allowed.
            `Fixed` parts have no time axis.
        reverse: suffixes instead of prefixes.
        method: how to execute it.

    Returns:
        The prefixes (suffixes), with the time axis of `elements`.

    Raises:
        ValueError: where an element's leaf does not fit; the message says which.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> print(ma.scan(ma.Add(), jnp.array([1.0, 2.0, 3.0]), reverse=True))
        [6. 5. 3.]
    """
    return _run(monoid, elements, reverse, method, last_only=False)


def exclusive_scan(
    monoid: AbstractSemigroup[Element, Any],
    elements: Element,
    *,
    reverse: bool = False,
    method: AbstractMethod = Auto(),
) -> Element:
    r"""The product of everything *before* each step, $x_0 \bullet \dots \bullet x_{t-1}$.

    With `reverse`, of everything after it. The first (last) is the identity.

    Arguments:
        monoid: a monoid: it must have an identity.
        elements: as for [`memoalg.scan`][].
        reverse: what comes after each step instead of before.
        method: how to execute it.

    Returns:
        T products.

    Raises:
        TypeError: for a semigroup without identity.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> print(ma.exclusive_scan(ma.Add(), jnp.array([1.0, 2.0, 3.0])))
        [0. 1. 3.]
    """
    _require_identity(monoid, "exclusive_scan")
    inclusive = scan(monoid, elements, reverse=reverse, method=method)
    if jax.tree.leaves(inclusive)[0].shape[0] == 0:
        return inclusive
    before = row_before(method, monoid.identity(), inclusive, reverse)  # pyright: ignore

    def shift(first: jax.Array, products: jax.Array) -> jax.Array:
        rows = [products[1:], first[None]] if reverse else [first[None], products[:-1]]
        return jnp.concatenate(rows)

    return jax.tree.map(shift, before, inclusive)


def fold(
    monoid: AbstractSemigroup[Element, Any],
    elements: Element,
    *,
    method: AbstractMethod = Auto(),
) -> Element:
    r"""The product of all elements, $x_0 \bullet \dots \bullet x_{T-1}$; the identity for T = 0.

    Arguments:
        monoid: a monoid, or a semigroup where T > 0.
        elements: as for [`memoalg.scan`][].
        method: how to execute it.

    Returns:
        One element.

    Raises:
        TypeError: for an empty sequence of a semigroup.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> print(ma.fold(ma.Max(), jnp.array([1.0, 3.0, 2.0])))
        3.0
    """
    return _run(monoid, elements, False, method, last_only=True)


def _run(
    monoid: AbstractSemigroup, elements: Any, reverse: bool, method: AbstractMethod, last_only: bool
) -> Any:
    check_method(method)
    length = check_elements(monoid, elements)
    if not has_identity(monoid):
        if length == 0 and last_only:
            _require_identity(monoid, "fold of an empty sequence")
        adjoined = WithIdentity(monoid)
        flagged = (elements, jnp.ones(length, jnp.bool_))
        return _run(adjoined, flagged, reverse, method, last_only)[0]
    # Suffixes in the order of time: going backwards the new element stands on the left.
    regular = Regular(Dual(monoid) if reverse else monoid)
    queries = jnp.zeros(length, jnp.bool_) if last_only else None
    last, products = method.run(regular, regular.identity(), elements, None, None, queries, reverse)
    return last if last_only else products


def _require_identity(monoid: AbstractSemigroup, what: str) -> None:
    if not has_identity(monoid):
        raise TypeError(
            f"{what} needs an identity, which {type(monoid).__name__} has not: adjoin one with "
            "ma.WithIdentity(...)"
        )
