"""Rewriting inside: how the rewriting of an operand becomes one of the whole."""

import functools
from typing import Any

from ._dual import Dual
from ._functions import Mapped, componentwise, same
from ._map import Map
from ._monoid import AbstractSemigroup, DirectProduct
from ._power import Power
from ._regular import Regular
from ._resettable import Resettable
from ._rewriting import Rewriting, relabel
from ._semidirect import SemidirectProduct
from ._tangent import Tangent
from ._window import Window
from ._with_identity import WithIdentity


@functools.singledispatch
def operands_of(monoid: AbstractSemigroup) -> tuple[AbstractSemigroup, ...]:
    """The monoids that a combinator is made of; none for a ground monoid.

    Example:
        >>> import memoalg as ma
        >>> len(ma.algebra.operands_of(ma.Affine()))
        2
    """
    return ()


@functools.singledispatch
def inside(monoid: AbstractSemigroup, parts: tuple[Rewriting, ...]) -> Rewriting | None:
    """The combinator with its operands rewritten; None where its own definition stands in the way.

    A semidirect product's action, a map's isomorphism and a tangent's derivative are written for
    the operand's elements as they stand, so only rewritings that keep elements pass through those.
    Where the operand's elements are the states of the whole, a way back for them is needed.
    """
    return None


def _rules(parts: tuple[Rewriting, ...]) -> tuple[str, ...]:
    return tuple(name for part in parts for name in part.rules)


@operands_of.register
def _(
    monoid: Resettable | Map | Dual | Power | Regular | Tangent | Window,
) -> tuple[AbstractSemigroup, ...]:
    return (monoid.monoid,)


@operands_of.register
def _(monoid: WithIdentity) -> tuple[AbstractSemigroup, ...]:
    return (monoid.semigroup,)


@operands_of.register
def _(monoid: DirectProduct) -> tuple[AbstractSemigroup, ...]:
    return monoid.factors


@operands_of.register
def _(monoid: SemidirectProduct) -> tuple[AbstractSemigroup, ...]:
    return monoid.acting, monoid.base


@inside.register
def _(monoid: DirectProduct, parts: tuple[Rewriting, ...]) -> Rewriting | None:
    inverses = [part.on_elements_inverse for part in parts]
    back = None
    if all(inverse is not None for inverse in inverses):
        back = componentwise(*inverses)  # pyright: ignore[reportArgumentType]
    return Rewriting(
        monoid,
        DirectProduct(*(part.monoid for part in parts)),
        componentwise(*(part.on_elements for part in parts)),
        componentwise(*(part.on_states for part in parts)),
        componentwise(*(part.on_states_inverse for part in parts)),
        back,
        _rules(parts),
    )


@inside.register
def _(monoid: Resettable, parts: tuple[Rewriting, ...]) -> Rewriting | None:
    (part,) = parts
    back = part.on_elements_inverse
    return Rewriting(
        monoid,
        Resettable(part.monoid),
        componentwise(part.on_elements, same),
        part.on_states,
        part.on_states_inverse,
        None if back is None else componentwise(back, same),
        part.rules,
    )


@inside.register
def _(monoid: Power, parts: tuple[Rewriting, ...]) -> Rewriting | None:
    (part,) = parts
    back = part.on_elements_inverse
    return Rewriting(
        monoid,
        Power(part.monoid, monoid.size),
        _mapped(part.on_elements),
        _mapped(part.on_states),
        _mapped(part.on_states_inverse),
        None if back is None else _mapped(back),
        part.rules,
    )


def _mapped(function: Any) -> Any:
    return same if function is same else Mapped(function)


@inside.register
def _(monoid: Dual | Regular, parts: tuple[Rewriting, ...]) -> Rewriting | None:
    (part,) = parts
    if part.on_elements_inverse is None:
        return None
    there, back = part.on_elements, part.on_elements_inverse
    target = type(monoid)(part.monoid)
    return Rewriting(monoid, target, there, there, back, back, part.rules)


@inside.register
def _(monoid: WithIdentity, parts: tuple[Rewriting, ...]) -> Rewriting | None:
    (part,) = parts
    if part.on_elements_inverse is None:
        return None
    there = componentwise(part.on_elements, same)
    back = componentwise(part.on_elements_inverse, same)
    return Rewriting(monoid, WithIdentity(part.monoid), there, there, back, back, part.rules)


@inside.register
def _(monoid: Map, parts: tuple[Rewriting, ...]) -> Rewriting | None:
    (part,) = parts
    if not part.keeps_elements:
        return None
    return Rewriting(
        monoid,
        Map(part.monoid, monoid.isomorphism),  # pyright: ignore[reportArgumentType]
        same,
        part.on_states,
        part.on_states_inverse,
        same,
        part.rules,
    )


@inside.register
def _(monoid: SemidirectProduct, parts: tuple[Rewriting, ...]) -> Rewriting | None:
    if not all(part.keeps_elements for part in parts):
        return None
    acting, base = (part.monoid for part in parts)
    target = SemidirectProduct(acting, base, monoid.action)  # pyright: ignore[reportArgumentType]
    return relabel(monoid, target, _rules(parts))


@inside.register
def _(monoid: Window, parts: tuple[Rewriting, ...]) -> Rewriting | None:
    (part,) = parts
    if not part.keeps_elements:
        return None
    target = Window(part.monoid, monoid.size)  # pyright: ignore[reportArgumentType]
    return relabel(monoid, target, part.rules)


@inside.register
def _(monoid: Tangent, parts: tuple[Rewriting, ...]) -> Rewriting | None:
    (part,) = parts
    if not part.keeps_elements or part.on_states is not same:
        return None
    target = Tangent(part.monoid, monoid.directions)  # pyright: ignore[reportArgumentType]
    return relabel(monoid, target, part.rules)
