"""Drafts: drawn generators, before they are multiplied into the values that laws speak of."""

from typing import Any, NamedTuple

import jax
import numpy as np

from ..algebra import AbstractMonoid, AbstractSemigroup, has_identity
from ._draw import Source, draw
from ._law import parameters
from ._site import ELEMENTS, Site

MOST = 9
"""An element is a product of at most so many factors: one, combined with up to 8 more."""


class Factors(NamedTuple):
    """Generators (case, factor, ...) of which the first `length` are multiplied; 0 is the identity."""

    generators: Any
    length: Any


class Rows(NamedTuple):
    """What may be drawn: generators, or elements that a user gave, with a leading axis."""

    values: Any
    elements: bool
    exact: int
    """So many at the end hold small whole numbers."""


Draft = dict[str, Any]
"""For each parameter of a site's laws: Factors, or an array of flags."""


def drawn_rows(monoid: AbstractSemigroup, seed: int, *, mild: bool, deep: bool) -> Rows:
    """Varied rows, then exact ones."""
    if draw.dispatch(type(monoid)) is draw.dispatch(object) and _own_expand(monoid):
        raise ValueError(
            f"{type(monoid).__name__} writes its own expand, so its generators are not its elements: say "
            "how they are drawn, with ma.laws.draw.register, or give generator= (or elements=)"
        )
    many = 4 if deep else 1
    varied = draw(monoid, Source(seed, 24 * many, mild=mild))
    exact = draw(monoid, Source(seed + 1, 12 * many, exact=True))
    both = jax.tree.map(lambda a, b: np.concatenate([a, b]), varied, exact)
    return Rows(both, False, 12 * many)


def count_of(rows: Rows) -> int:
    """How many rows there are; one where an element has no leaves."""
    leaves = jax.tree.leaves(rows.values)
    return leaves[0].shape[0] if leaves else 1


def used_parameters(site: Site) -> list[str]:
    """The parameters of all laws of a site, each once."""
    return list(dict.fromkeys(p for law in site.laws.values() for p in parameters(law)))


def draft(site: Site, rows: dict[AbstractSemigroup, Rows], cases: int, seed: int) -> Draft:
    """Values for every parameter of a site's laws, as many as there are cases."""
    rng = np.random.default_rng(seed)
    made: Draft = {}
    for name in used_parameters(site):
        if name in ("i", "j"):
            made[name] = np.arange(cases) // (1 + (name == "j")) % 2 == 1
        elif name == "start":
            made[name] = _starts(rng, cases, site.length or 0)
        else:
            source = site.sources[name]
            made[name] = _factors(rng, name, source, rows[source], cases, site.length or 0)
    return made


def _factors(
    rng: np.random.Generator,
    name: str,
    source: AbstractSemigroup,
    rows: Rows,
    cases: int,
    length: int,
) -> Factors:
    if name in ELEMENTS:
        index, lengths = _products(rng, count_of(rows), rows.exact, cases)
        least = int(not (isinstance(source, AbstractMonoid) and has_identity(source)))
        lengths = np.maximum(lengths, least)
    else:
        wanted = 1 if name == "g" else length
        index = rng.integers(0, count_of(rows), (cases, wanted))
        lengths = np.full(cases, wanted)
    return Factors(jax.tree.map(lambda leaf: leaf[index], rows.values), lengths)


def _products(
    rng: np.random.Generator, count: int, exact: int, cases: int
) -> tuple[np.ndarray, np.ndarray]:
    """A quarter of single exact factors, a quarter of single ones, the rest products, e among them."""
    index = rng.integers(0, count, (cases, MOST))
    few = cases // 4
    if exact:
        index[:few] = rng.integers(count - exact, count, (few, MOST))
    # One row after the other, so that single factors of every kind are met.
    varied = max(count - exact, 1)
    index[few : 2 * few, 0] = (rng.integers(varied) + np.arange(few)) % varied
    lengths = np.where(rng.random(cases) < 0.15, 0, rng.integers(1, MOST + 1, cases))
    lengths[: 2 * few] = 1
    return index, lengths


def _starts(rng: np.random.Generator, cases: int, length: int) -> np.ndarray:
    """None at all, then with growing probability, then everywhere."""
    probability = np.resize([0.0, 0.3, 0.6, 1.0], cases)
    return rng.random((cases, length)) < probability[:, None]


def _own_expand(monoid: AbstractSemigroup) -> bool:
    return isinstance(monoid, AbstractMonoid) and type(monoid).expand is not AbstractMonoid.expand
