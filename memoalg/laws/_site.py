"""What is to be checked: laws, what they are laws of, and where their values come from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import jax
import jax.numpy as jnp

from ..algebra import (
    AbstractMonoid,
    AbstractSemigroup,
    Homomorphism,
    Map,
    ProductAction,
    Resettable,
    SemidirectProduct,
    Strict,
    StrictAction,
    has_embedding,
    has_identity,
)
from ._action import ACTION, EMBEDDING, GENERATORS, STATES
from ._claims import claims_of
from ._containment import (
    CANON_CONTAINMENT,
    HOMOMORPHISM_CONTAINMENT,
    RESETTABLE_CONTAINMENT,
    RESETTABLE_GRADIENT,
    STRICT,
    STRICT_ACTION,
)
from ._homomorphism import (
    HOMOMORPHISM,
    HOMOMORPHISM_SCAN,
    ISOMORPHISM,
    ISOMORPHISM_SOURCE,
)
from ._law import Law
from ._reset import RESET, RESET_GRADIENT, RESETTABLE, resets_of
from ._scan import TRAJECTORY, scans_of
from ._semigroup import MONOID, SEMIGROUP

ELEMENTS = ("x", "y", "z", "w", "a", "a2", "b", "b2", "s")
"""Parameters of laws that are elements: products of drawn generators."""
STATE_LAWS = frozenset(STATES | EMBEDDING | GENERATORS | TRAJECTORY | RESET)
"""Laws whose sides are states; those of the others are elements."""
RAW_LAWS = frozenset({"embedding_round_trip"})
"""Laws whose sides are compared as they are: states are made canonical by embed and project."""


@dataclass(frozen=True)
class Site:
    """Laws of one subject.

    Attributes:
        subject: what the laws are called with.
        laws: by name.
        sources: for each parameter, the monoid (or semigroup) that it is an element of.
        compare: the monoid whose `canon` says which elements are equal.
        length: of sequences; None for laws of single elements.
        mild: draw no large numbers.
    """

    subject: Any
    laws: dict[str, Law]
    sources: Mapping[str, Any]
    compare: AbstractSemigroup
    length: int | None = None
    mild: bool = False


def laws_of(monoid: AbstractSemigroup) -> dict[str, Law]:
    """The laws of single elements that apply to a monoid, by name: what it is, and what it claims.

    Example:
        >>> import memoalg as ma
        >>> list(ma.laws.laws_of(ma.Add()))[:3]
        ['associativity', 'no_nan', 'left_identity']
    """
    laws = dict(SEMIGROUP)
    if isinstance(monoid, AbstractMonoid) and has_identity(monoid):
        laws |= MONOID | STATES | GENERATORS
        if type(monoid).canon is not AbstractMonoid.canon:
            laws |= CANON_CONTAINMENT
        if has_embedding(monoid):
            laws |= EMBEDDING
    return laws | claims_of(monoid)


def sites_of(monoid: AbstractSemigroup) -> list[Site]:
    """The laws of single elements: of the monoid, and of the actions and maps inside it."""
    sites = [element_site(monoid)]
    for node in nodes_of(monoid):
        if isinstance(node, SemidirectProduct):
            sites.append(action_site(node))
            sites += strict_action_sites(node)
        elif isinstance(node, Map):
            sites += map_sites(node)
        elif isinstance(node, Resettable):
            sites += resettable_sites(node)
        elif isinstance(node, Strict):
            sites.append(Site(node, STRICT, {"x": node}, node))
    return sites


def element_site(monoid: AbstractSemigroup) -> Site:
    """The laws of single elements of the monoid as a whole."""
    return Site(monoid, laws_of(monoid), dict.fromkeys("xyzwg", monoid), monoid)


def action_site(product: SemidirectProduct) -> Site:
    """The laws of the action inside a semidirect product."""
    acting, base = product.acting, product.base
    sources = {"a": acting, "a2": acting, "b": base, "b2": base}
    return Site(product, ACTION, sources, product.base)


def strict_action_sites(product: SemidirectProduct) -> list[Site]:
    """Actions with a strict zero, also those that act on one component each."""
    action: Any = product.action
    if isinstance(action, StrictAction):
        return [Site(product, STRICT_ACTION, {"b": product.base}, product.base)]
    if not isinstance(action, ProductAction):
        return []
    operands: Any = (product.acting, product.base)
    parts = zip(operands[0].factors, operands[1].factors, action.actions, strict=True)
    return [site for part in parts for site in strict_action_sites(SemidirectProduct(*part))]


def resettable_sites(node: Resettable) -> list[Site]:
    """The four cases of a reset-lift, and that nothing passes a start."""
    sources = dict.fromkeys("xy", node.monoid)
    if not any(jnp.issubdtype(leaf.dtype, jnp.inexact) for leaf in jax.tree.leaves(node.element)):
        return [Site(node, RESETTABLE, sources, node)]
    return [
        Site(node, RESETTABLE | RESETTABLE_CONTAINMENT, sources, node),
        Site(node, RESETTABLE_GRADIENT, sources, node, mild=True),
    ]


def map_sites(node: Map) -> list[Site]:
    """Both round trips of a transport of structure."""
    return [
        Site(node, ISOMORPHISM, {"x": node}, node),
        Site(node, ISOMORPHISM_SOURCE, {"s": node.monoid}, node.monoid),
    ]


def sequence_sites(monoid: AbstractSemigroup, length: int, gradient: bool) -> list[Site]:
    """The laws of scans, and those of resets, over sequences of one length."""
    sources = {"xs": monoid}
    laws = scans_of(monoid, length)
    if isinstance(monoid, AbstractMonoid) and has_identity(monoid) and length >= 2:
        laws |= resets_of(monoid)
    sites = [Site(monoid, laws, sources, monoid, length)]
    if gradient and "reset_containment" in laws:
        sites.append(Site(monoid, RESET_GRADIENT, sources, monoid, length, mild=True))
    return sites


def homomorphism_sites(h: Homomorphism, length: int) -> list[Site]:
    """The laws of a homomorphism: of pairs of elements, and pushed through a scan."""
    laws = HOMOMORPHISM | HOMOMORPHISM_CONTAINMENT
    if not (has_identity(h.source) and has_identity(h.target)):
        del laws["homomorphism_identity"]
    pair = dict.fromkeys("xy", h.source)
    return [
        Site(h, laws, pair, h.target),
        Site(h, HOMOMORPHISM_SCAN, {"xs": h.source}, h.target, length),
    ]


def nodes_of(monoid: AbstractSemigroup) -> list[AbstractSemigroup]:
    """Every different monoid in the tree that was composed, the outermost first."""
    return list(dict.fromkeys(_walk(monoid)))


def _walk(node: Any) -> Iterator[AbstractSemigroup]:
    if isinstance(node, AbstractSemigroup):
        yield node
        for member in fields(node):  # pyright: ignore[reportArgumentType]
            yield from _walk(getattr(node, member.name))
    elif isinstance(node, tuple):
        for member in node:
            yield from _walk(member)
