"""The laws of scans: every way to execute a product of many gives the same."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..algebra import AbstractMonoid, AbstractSemigroup, Dual, has_identity
from ..scans import Associative, Sequential, exclusive_scan, fold, scan, trajectory
from ._law import Law, Sides

LOOP, TREE = Sequential(), Associative()


def scan_is_fold(m: AbstractSemigroup, xs: Any) -> Sides:
    """The last of scan(x) is x₀ • x₁ • … • x_T, multiplied out by hand.

    Usually: the operator is not associative for products of many, or reads something other than its operands.
    """
    elements = expanded(m, xs)
    return _last(scan(m, elements, method=TREE)), _by_hand(m, elements)


def scan_methods(m: AbstractSemigroup, xs: Any) -> Sides:
    """scan(x) by a loop = scan(x) by a tree.

    Usually: the operator is not associative, so the loop and the tree compute different products.
    """
    elements = expanded(m, xs)
    return scan(m, elements, method=LOOP), scan(m, elements, method=TREE)


def scan_fold(m: AbstractSemigroup, xs: Any) -> Sides:
    """fold(x) = the last of scan(x).

    Usually: a method returns another state than the one it ends with.
    """
    elements = expanded(m, xs)
    return fold(m, elements, method=LOOP), _last(scan(m, elements, method=LOOP))


def scan_reverse(m: AbstractSemigroup, xs: Any) -> Sides:
    """scan(x, reverse) = flip(scan of the dual on flip(x)).

    Usually: a reverse scan that swaps the operands.
    """
    elements = expanded(m, xs)
    mirrored = scan(Dual(m), _flip(elements), method=LOOP)
    return scan(m, elements, reverse=True, method=TREE), _flip(mirrored)


def scan_exclusive(m: AbstractMonoid, xs: Any) -> Sides:
    """exclusive(x)_t • x_t = scan(x)_t.

    Usually: the identity is not neutral on the left.
    """
    elements = expanded(m, xs)
    before = exclusive_scan(m, elements, method=TREE)
    return jax.vmap(m.combine)(before, elements), scan(m, elements, method=LOOP)


def trajectory_methods(m: AbstractMonoid, xs: Any, start: Array) -> Sides:
    """The states by a loop = the states by a tree, with starts.

    Usually: act, advance, embed and combine do not agree, so a loop and prefixes differ.
    """
    return _states(m, xs, start, LOOP), _states(m, xs, start, TREE)


def trajectory_split(m: AbstractMonoid, xs: Any, start: Array) -> Sides:
    """The states of a sequence = those of its first part, then those of the rest from the state carried.

    Usually: the carried state is not all that continuing needs.
    """
    whole = trajectory(m, m.initial_state(), xs, start, method=LOOP)
    cut = start.shape[0] // 2
    last, first = trajectory(m, m.initial_state(), _rows(xs, 0, cut), start[:cut], method=TREE)
    last, rest = trajectory(m, last, _rows(xs, cut, None), start[cut:], method=TREE)
    joined = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), first, rest)
    return whole, (last, joined)


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


def expanded(m: AbstractSemigroup, xs: Any) -> Any:
    """The elements that a sequence of generators stands for."""
    return jax.vmap(m.expand)(xs) if isinstance(m, AbstractMonoid) else xs


def _states(m: AbstractMonoid, xs: Any, start: Array, method: Any) -> Any:
    return trajectory(m, m.initial_state(), xs, start, method=method)


def _by_hand(m: AbstractSemigroup, elements: Any) -> Any:
    length = jax.tree.leaves(elements)[0].shape[0]
    if length == 0:
        return m.identity()  # pyright: ignore[reportAttributeAccessIssue]
    return functools.reduce(m.combine, [_at(elements, t) for t in range(length)])


def _last(products: Any) -> Any:
    return _at(products, -1)


def _at(tree: Any, index: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[index], tree)


def _rows(tree: Any, first: int, last: int | None) -> Any:
    return jax.tree.map(lambda leaf: leaf[first:last], tree)


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
