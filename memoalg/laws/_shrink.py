"""From a failing case to a small one: fewer factors, smaller numbers, while the law still fails."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..algebra import AbstractMonoid, AbstractSemigroup, has_identity
from ._draft import Draft, Factors, Rows
from ._draw import draw
from ._law import parameters
from ._program import case_count
from ._run import Failure, Runner

ROUNDS = 25


class Small(NamedTuple):
    """A failing case: its draft, what it costs, and how it failed."""

    draft: Draft
    cost: tuple[float, float]
    failure: Failure


def shrink(runner: Runner, failure: Failure, rows: dict[AbstractSemigroup, Rows]) -> Failure:
    """The smallest failing case that is found by trying simpler factors, batch by batch."""
    names = parameters(runner.program.sites[failure.site].laws[failure.law])
    draft = runner.drafts[failure.site]
    best = _best(runner, failure, draft, names)
    if best is None:
        return failure
    cases = case_count(draft)
    for _ in range(ROUNDS):
        smaller = _round(runner, best, names, rows, cases)
        if smaller is None:
            break
        best = smaller
    return best.failure


def _round(
    runner: Runner, best: Small, names: list[str], rows: dict[AbstractSemigroup, Rows], cases: int
) -> Small | None:
    """The cheapest of all cases that are one step simpler, if any of them still fails."""
    site = runner.program.sites[best.failure.site]
    candidates = list(_simpler(best.draft, names, site.sources, rows))
    found = None
    for first in range(0, min(len(candidates), 8 * cases), cases):
        batch = candidates[first : first + cases]
        batch += [best.draft] * (cases - len(batch))
        stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *batch)
        small = _best(runner, best.failure, stacked, names)
        if small is not None and small.cost < (found or best).cost:
            found = small
    return found


def _best(runner: Runner, failure: Failure, draft: Draft, names: list[str]) -> Small | None:
    """The cheapest failing case of a draft."""
    index, law = failure.site, failure.law
    values, sides, verdict = runner.rerun(index, law, draft)
    costs = {
        case: _cost(_at(draft, case), _at(values, case), names)
        for case in np.flatnonzero(verdict.failing).tolist()
    }
    if not costs:
        return None
    case = min(costs, key=costs.__getitem__)
    found = runner.failure(index, law, case, values, sides)
    return Small(_at(draft, case), costs[case], found)


def _at(tree: Any, case: int) -> Any:
    return jax.tree.map(lambda leaf: np.asarray(leaf[case]), tree)


def _cost(draft: Draft, values: dict, names: list[str]) -> tuple[float, float]:
    factors = [draft[name].length for name in names if isinstance(draft[name], Factors)]
    numbers = [_complexity(leaf) for name in names for leaf in jax.tree.leaves(values[name])]
    return float(np.sum(np.maximum(factors, 1))), float(np.sum(numbers))


def _complexity(leaf: Any) -> float:
    """0 for zeros, little for small whole numbers, much for what fills a line."""
    if leaf.dtype == np.bool_:
        return 0.5 * float(leaf.sum())
    is_complex = jnp.issubdtype(leaf.dtype, jnp.complexfloating)
    wide = leaf.astype(np.complex128 if is_complex else np.float64)
    parts = np.stack([wide.real, wide.imag]) if is_complex else wide
    sizes = np.abs(np.nan_to_num(parts, nan=1e9, posinf=1e7, neginf=1e7))
    whole = np.round(sizes) == sizes
    cost = np.where(
        sizes == 0, 0.0, np.where(whole, 1 + np.log2(1 + sizes), 12 + np.log2(1 + sizes))
    )
    return float(np.sum(cost + 0.25 * (parts < 0)))


def _simpler(
    draft: Draft,
    names: list[str],
    sources: Mapping[str, Any],
    rows: dict[AbstractSemigroup, Rows],
) -> Iterator[Draft]:
    """Cases that are one step simpler: fewer factors, other rows, other leaves, rounder numbers."""
    for name in names:
        value = draft[name]
        if isinstance(value, Factors):
            for factors in _simpler_factors(value, sources[name], rows[sources[name]], name):
                yield {**draft, name: factors}
        elif value.dtype == np.bool_ and value.any():
            yield {**draft, name: np.zeros_like(value)}


def _simpler_factors(
    value: Factors, source: AbstractSemigroup, rows: Rows, name: str
) -> Iterator[Factors]:
    length = int(value.length)
    if name not in ("xs", "g"):
        if length != 1 and isinstance(source, AbstractMonoid) and has_identity(source):
            yield Factors(value.generators, np.asarray(0))
        for gone in range(length if length > 1 else 0):
            index = np.array([*[i for i in range(length) if i != gone], *range(length, 9), gone])
            kept = jax.tree.map(
                lambda leaf, order=index: leaf[order[: leaf.shape[0]]], value.generators
            )
            yield Factors(kept, np.asarray(length - 1))
        if length > 3:
            return
    for position in range(max(length, 1)):
        for generator in _simpler_generators(value.generators, position, source, rows):
            yield Factors(generator, np.asarray(max(length, 1)))


def _simpler_generators(
    generators: Any, position: int, source: AbstractSemigroup, rows: Rows
) -> Iterator[Any]:
    leaves, treedef = jax.tree.flatten(generators)
    drawn = jax.tree.leaves(rows.values)
    if not leaves:
        return
    order = _simplest_first(drawn)
    for row in order[:12]:
        yield jax.tree.unflatten(
            treedef, [_put(leaf, position, d[row]) for leaf, d in zip(leaves, drawn, strict=True)]
        )
    for index, leaf in enumerate(leaves):
        swaps = [drawn[index][row] for row in _simplest_first([drawn[index]])[:4]]
        if not rows.elements and draw.dispatch(type(source)) is draw.dispatch(object):
            # Numbers of no particular kind: any will do.
            swaps += _rounder(leaf[position])
        for swap in swaps:
            if not np.array_equal(swap, leaf[position]):
                changed = [*leaves[:index], _put(leaf, position, swap), *leaves[index + 1 :]]
                yield jax.tree.unflatten(treedef, changed)


def _rounder(entry: Any) -> Iterator[np.ndarray]:
    if not jnp.issubdtype(entry.dtype, jnp.inexact):
        return
    is_complex = jnp.issubdtype(entry.dtype, jnp.complexfloating)
    wide = entry.astype(np.complex128 if is_complex else np.float64)
    yield np.zeros_like(entry)
    yield np.ones_like(entry)
    yield np.asarray(np.round(wide), entry.dtype)
    yield np.asarray(np.round(wide, 1), entry.dtype)
    for place in range(min(entry.size, 9)):
        for simple in (0.0, 1.0, 2.0):
            changed = np.array(wide).reshape(-1)
            changed[place] = simple
            yield changed.reshape(entry.shape).astype(entry.dtype)


def _simplest_first(drawn: list[np.ndarray]) -> list[int]:
    costs = [sum(_complexity(leaf[row]) for leaf in drawn) for row in range(drawn[0].shape[0])]
    distinct: dict[float, int] = {}
    for row in np.argsort(costs, kind="stable"):
        distinct.setdefault(costs[row], int(row))
    return list(distinct.values())


def _put(leaf: np.ndarray, position: int, entry: Any) -> np.ndarray:
    copy = np.array(leaf)
    copy[position] = entry
    return copy
