"""All laws of one check in one compiled program, and the same in double precision."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._tree import first_difference, shape_of, tree_where
from ..algebra import AbstractMonoid, AbstractSemigroup, Resettable, has_embedding, has_identity
from ._draft import Draft, Factors, used_parameters
from ._law import parameters
from ._options import compiler_options
from ._share import sharing
from ._site import ELEMENTS, RAW_LAWS, STATE_LAWS, Site
from ._unexpanded import Unexpanded
from ._widen import is_oracle_for, is_wide, widened, widened_values

Equal = Callable[[Any, Any], Any]
Sides = dict[str, tuple[Any, Any]]


class Program:
    """Values of drafts, and both sides of every law, for all sites at once.

    Arguments:
        sites: what to check.
        given: monoids whose drawn rows are elements already.
        equal: a user's own equality of the elements of `of`.
        of: that monoid.
    """

    def __init__(
        self,
        sites: list[Site],
        given: frozenset[AbstractSemigroup],
        equal: Equal | None = None,
        of: AbstractSemigroup | None = None,
    ):
        self.sites, self.given, self.equal, self.of = sites, given, equal, of
        self._compiled = jax.jit(self._run, compiler_options=compiler_options())

    def run(self, drafts: list[Draft]) -> list[tuple[dict, Sides]]:
        """Per site: the values of its parameters and the sides of its laws, as numpy arrays."""
        return jax.device_get(self._compiled(drafts))

    def _run(self, drafts: list[Draft]) -> list[tuple[dict, Sides]]:
        results = []
        for site, draft in zip(self.sites, drafts, strict=True):
            cases = case_count(draft)
            values = jax.vmap(functools.partial(_values, site, self.given), axis_size=cases)(draft)
            results.append((values, self._all_sides(site, values, cases)))
        return results

    def _all_sides(self, site: Site, values: dict, cases: int) -> Sides:
        return jax.vmap(functools.partial(self._sides, site), axis_size=cases)(values)

    def _sides(self, site: Site, values: dict) -> Sides:
        with sharing():
            found = {
                name: law(site.subject, *(values[p] for p in parameters(law)))
                for name, law in site.laws.items()
            }
        sides: Sides = {}
        for name, (left, right) in found.items():
            difference = first_difference(shape_of(left), shape_of(right))
            if difference is not None:
                raise TypeError(f"the two sides of {name} differ in {difference}")
            if name in RAW_LAWS:
                sides[name] = left, right
                continue
            equal = self.equal if site.compare == self.of else None
            sides[name] = comparable(site.compare, left, right, equal, name in STATE_LAWS)
        return sides

    @functools.cached_property
    def oracle(self) -> "Oracle | None":
        """The same laws in double precision; None where there is no such monoid."""
        return Oracle(self) if any(not is_wide(site.compare) for site in self.sites) else None


class Oracle:
    """The laws of a program on its own values, in double precision."""

    def __init__(self, program: Program):
        self.program = program
        with jax.enable_x64(True):
            self.sites = [_wide_site(site) for site in program.sites]
            self._compiled = [None if site is None else self._jitted(site) for site in self.sites]

    def _jitted(self, site: Site) -> Callable[[dict], Sides]:
        return jax.jit(self._sides_of(site), compiler_options=compiler_options())

    def _sides_of(self, site: Site) -> Callable[[dict], Sides]:
        def run(values: dict) -> Sides:
            return self.program._all_sides(site, values, case_count(values))

        return run

    def run(self, index: int, values: dict) -> Sides | None:
        """Both sides of the laws of one site; None where they cannot be computed."""
        compiled = self._compiled[index]
        if compiled is None:
            return None
        with jax.enable_x64(True):
            try:
                return jax.device_get(compiled(widened_values(values)))
            except (TypeError, ValueError):  # a class that hard-codes its dtype somewhere
                return None


def _wide_site(site: Site) -> Site | None:
    if is_wide(site.compare):
        return None
    wide = dataclasses.replace(
        site, subject=widened(site.subject), compare=widened(site.compare), sources={}
    )
    return wide if is_oracle_for(wide.compare, site.compare) else None


def case_count(values: dict) -> int:
    """How many cases a draft, or its values, hold."""
    for value in values.values():
        leaf = (
            value.length if isinstance(value, Factors) else next(iter(jax.tree.leaves(value)), None)
        )
        if leaf is not None:
            return leaf.shape[0]
    return 1


def _values(site: Site, given: frozenset, draft: Draft) -> dict:
    """The values of one case."""
    values = {}
    for names, source in _by_source(site).items():
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(draft[name] for name in names))
        fold = functools.partial(_product, source, source in given)
        elements = jax.vmap(fold, axis_size=len(names))(stacked)
        for position, name in enumerate(names):
            values[name] = jax.tree.map(lambda leaf, at=position: leaf[at], elements)
    for name in used_parameters(site):
        if name in ("xs", "g"):
            generators = draft[name].generators
            values[name] = generators if name == "xs" else jax.tree.map(lambda x: x[0], generators)
        elif name not in values:
            values[name] = draft[name]
    return values


def _by_source(site: Site) -> dict[tuple[str, ...], AbstractSemigroup]:
    """Element parameters that are drawn alike: they are multiplied by one loop."""
    groups: dict[AbstractSemigroup, list[str]] = {}
    for name in used_parameters(site):
        if name in ELEMENTS:
            groups.setdefault(site.sources[name], []).append(name)
    return {tuple(names): source for source, names in groups.items()}


def _product(source: AbstractSemigroup, are_elements: bool, factors: Factors) -> Any:
    """The product of the first factors; it stops before one that overflows."""
    elements = factors.generators
    if isinstance(source, AbstractMonoid) and not are_elements and jax.tree.leaves(elements):
        elements = jax.vmap(source.expand)(elements)
    if not jax.tree.leaves(elements):
        return elements
    first = jax.tree.map(lambda leaf: leaf[0], elements)
    if isinstance(source, AbstractMonoid) and has_identity(source):
        first = tree_where(factors.length > 0, first, source.identity())

    def body(product: Any, now: tuple[Array, Any]) -> tuple[Any, None]:
        position, factor = now
        longer = source.combine(product, factor)
        keep = (position < factors.length) & ~_overflows(product, factor, longer)
        return tree_where(keep, longer, product), None

    rest = jax.tree.map(lambda leaf: leaf[1:], elements)
    count = jax.tree.leaves(elements)[0].shape[0]
    return jax.lax.scan(body, first, (jnp.arange(1, count), rest))[0]


def _overflows(x: Any, y: Any, product: Any) -> Array:
    """Whether the product holds NaN, or an infinity where neither operand does."""
    flags = [jnp.zeros((), jnp.bool_)]
    for a, b, c in zip(*map(jax.tree.leaves, (x, y, product)), strict=True):
        if jnp.issubdtype(c.dtype, jnp.inexact):
            new = jnp.isinf(c) & ~jnp.isinf(a) & ~jnp.isinf(b)
            flags.append(jnp.any(new | jnp.isnan(c)))
    return jnp.any(jnp.stack(flags))


def comparable(
    monoid: AbstractSemigroup, left: Any, right: Any, equal: Equal | None, of_states: bool
) -> tuple[Any, Any]:
    """The sides with every element (state) in them replaced by its canon, or by whether they are equal."""
    one, canon = _state_canon(monoid) if of_states else _element_canon(monoid)
    if canon is None:
        return left, right
    axes = _leading_axes(left, one)
    if axes is not None and equal is not None and not of_states:
        same = jnp.asarray(_vmapped(equal, axes)(left, right))
        return same, jnp.ones_like(same)
    if axes is not None:
        return _vmapped(canon, axes)(left), _vmapped(canon, axes)(right)
    if type(left) in (tuple, list):
        pairs = [
            comparable(monoid, a, b, equal, of_states) for a, b in zip(left, right, strict=True)
        ]
        return tuple(a for a, _ in pairs), tuple(b for _, b in pairs)
    return left, right


def _element_canon(monoid: AbstractSemigroup) -> tuple[Any, Callable | None]:
    if isinstance(monoid, AbstractMonoid):
        return monoid.element, monoid.canon
    return monoid.element, lambda element: element


def _state_canon(monoid: AbstractSemigroup) -> tuple[Any, Callable | None]:
    """States have no canon of their own: that of the element that embeds them serves."""
    if isinstance(monoid, Resettable | Unexpanded):
        return _state_canon(monoid.monoid)
    if not isinstance(monoid, AbstractMonoid) or not has_identity(monoid):
        return None, None
    if not has_embedding(monoid):
        return None, None
    state = jax.eval_shape(monoid.initial_state)
    return state, functools.partial(_canon_of_state, monoid)


def _canon_of_state(monoid: AbstractMonoid, state: Any) -> Any:
    return monoid.project(monoid.canon(monoid.embed(state)))


def _leading_axes(tree: Any, one: Any) -> int | None:
    """How many axes the leaves of a tree have in front of those of an element; None if it is none."""
    if jax.tree.structure(tree) != jax.tree.structure(one) or not jax.tree.leaves(one):
        return None
    extra = {jnp.ndim(leaf) - len(wanted.shape) for leaf, wanted in _zipped(tree, one)}
    if len(extra) != 1 or (axes := extra.pop()) not in (0, 1):
        return None
    fits = all(
        jnp.shape(leaf)[axes:] == wanted.shape and leaf.dtype == wanted.dtype
        for leaf, wanted in _zipped(tree, one)
    )
    return axes if fits else None


def _zipped(one: Any, other: Any) -> Any:
    return zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)


def _vmapped(function: Callable, axes: int) -> Callable:
    return jax.vmap(function) if axes else function
