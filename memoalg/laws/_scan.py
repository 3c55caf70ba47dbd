"""The laws of scans: every way to execute a product of many gives the same."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..algebra import AbstractMonoid, AbstractSemigroup, Dual, has_identity
from ..scans import (
    AbstractMethod,
    Associative,
    Sequential,
    exclusive_scan,
    fold,
    scan,
    trajectory,
)
from ._law import Law, Sides
from ._share import shared

LOOP, TREE = Sequential(), Associative()


def scan_is_fold(m: AbstractSemigroup, xs: Any) -> Sides:
    """The last of scan(x) is x₀ • x₁ • … • x_T, multiplied out by hand.

    Usually: the operator reads something other than its operands.
    """
    elements = expanded(m, xs)
    return _at(products(m, elements, LOOP), -1), _by_hand(m, elements)


def scan_methods(m: AbstractSemigroup, xs: Any) -> Sides:
    """scan(x) by a loop = scan(x) by a tree.

    Usually: the operator is not associative, so the loop and the tree compute different products.
    """
    elements = expanded(m, xs)
    return products(m, elements, LOOP), products(m, elements, TREE)


def scan_fold(m: AbstractSemigroup, xs: Any) -> Sides:
    """fold(x) = the last of scan(x).

    Usually: a method returns another state than the one it ends with.
    """
    elements = expanded(m, xs)
    return fold(m, elements, method=TREE), _at(products(m, elements, LOOP), -1)


def scan_reverse(m: AbstractSemigroup, xs: Any) -> Sides:
    """scan(x, reverse) = flip(scan of the dual on flip(x)).

    Usually: a reverse scan that swaps the operands.
    """
    elements = expanded(m, xs)
    mirrored = scan(Dual(m), _flip(elements), method=LOOP)
    return scan(m, elements, reverse=True, method=TREE), _flip(mirrored)


def scan_exclusive(m: AbstractMonoid, xs: Any) -> Sides:
    """exclusive(x)_t • x_t = scan(x)_t.

    Usually: the operator is not associative, or the identity is not neutral on the left.
    """
    elements = expanded(m, xs)
    before = exclusive_scan(m, elements, method=TREE)
    return jax.vmap(m.combine)(before, elements), products(m, elements, TREE)


def trajectory_methods(m: AbstractMonoid, xs: Any, start: Array) -> Sides:
    """The states by a loop = the states by a tree, with starts.

    Usually: act, advance, embed and combine do not agree, so a loop and prefixes differ.
    """
    return states(m, (xs, start), LOOP), states(m, (xs, start), TREE)


def trajectory_split(m: AbstractMonoid, xs: Any, start: Array) -> Sides:
    """The states of a sequence = those of its first part, then those of the rest from the state carried.

    Usually: the carried state is not all that continuing needs.
    """
    whole = states(m, (xs, start), LOOP)
    cut = start.shape[0] // 2
    last, first = states(m, rows((xs, start), 0, cut), TREE)
    last, rest = states(m, rows((xs, start), cut, None), TREE, last)
    return whole, (last, joined(first, rest))


SCAN: dict[str, Law] = {
    "scan_is_fold": scan_is_fold,
    "scan_methods": scan_methods,
    "scan_fold": scan_fold,
    "scan_reverse": scan_reverse,
}
SCAN_MONOID: dict[str, Law] = {"scan_exclusive": scan_exclusive}
TRAJECTORY: dict[str, Law] = {
    "trajectory_methods": trajectory_methods,
    "trajectory_split": trajectory_split,
}


@shared
def expanded(m: AbstractSemigroup, xs: Any) -> Any:
    """The elements that a sequence of generators stands for."""
    return jax.vmap(m.expand)(xs) if isinstance(m, AbstractMonoid) else xs


@shared
def products(m: AbstractSemigroup, elements: Any, method: AbstractMethod) -> Any:
    """All prefixes."""
    return scan(m, elements, method=method)


def states(m: AbstractMonoid, sequence: tuple, method: AbstractMethod, state: Any = None) -> Any:
    """(last state, states) along generators with starts, or without where those are None."""
    if state is None:
        return _states_from_the_beginning(m, sequence, method)
    return trajectory(m, state, *sequence, method=method)


@shared
def _states_from_the_beginning(m: AbstractMonoid, sequence: tuple, method: AbstractMethod) -> Any:
    return trajectory(m, m.initial_state(), *sequence, method=method)


def rows(tree: Any, first: int, last: int | None) -> Any:
    """Some steps of a sequence."""
    return jax.tree.map(lambda leaf: leaf[first:last], tree)


def joined(first: Any, rest: Any) -> Any:
    """Two sequences, one after the other."""
    return jax.tree.map(lambda a, b: jnp.concatenate([a, b]), first, rest)


def _by_hand(m: AbstractSemigroup, elements: Any) -> Any:
    length = jax.tree.leaves(elements)[0].shape[0]
    if length == 0:
        return m.identity()  # pyright: ignore[reportAttributeAccessIssue]
    return functools.reduce(m.combine, [_at(elements, t) for t in range(length)])


def _at(tree: Any, index: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[index], tree)


def _flip(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: jnp.flip(leaf, 0), tree)


def scans_of(m: AbstractSemigroup, length: int) -> dict[str, Law]:
    """The laws of scans over sequences of a length that apply to a monoid or semigroup."""
    laws = dict(SCAN)
    if length == 0:
        laws = {"scan_methods": scan_methods, "scan_reverse": scan_reverse}
    if isinstance(m, AbstractMonoid) and has_identity(m):
        laws |= SCAN_MONOID | TRAJECTORY
    return laws
