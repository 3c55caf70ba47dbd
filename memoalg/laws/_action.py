"""The laws of actions: of a monoid on its states, and of one monoid on another."""

from typing import Any

from ..algebra import AbstractMonoid, SemidirectProduct
from ._law import Law, Sides
from ._semigroup import neutral


def action_identity(m: AbstractMonoid, x: Any) -> Sides:
    """s · e = s, for the reachable state s = s₀ · x.

    Usually: act changes a state by an element that means nothing.
    """
    state = m.act(m.initial_state(), x)
    return m.act(state, neutral(m)), state


def action_composition(m: AbstractMonoid, x: Any, y: Any, z: Any) -> Sides:
    """s · (y • z) = (s · y) · z, for the reachable state s = s₀ · x.

    Usually: act and combine do not agree; is the later operand on the right in both?
    """
    state = m.act(m.initial_state(), x)
    return m.act(state, m.combine(y, z)), m.act(m.act(state, y), z)


def embedding(m: AbstractMonoid, x: Any, y: Any) -> Sides:
    """project(embed(s) • y) = s · y, for the reachable state s = s₀ · x.

    Usually: embed and project do not turn act into combine.
    """
    state = m.act(m.initial_state(), x)
    return m.project(m.combine(m.embed(state), y)), m.act(state, y)


def embedding_round_trip(m: AbstractMonoid, x: Any) -> Sides:
    """project(embed(s)) = s, for the reachable state s = s₀ · x.

    Usually: project reads another part of the element than embed writes.
    """
    state = m.act(m.initial_state(), x)
    return m.project(m.embed(state)), state


def generators(m: AbstractMonoid, x: Any, g: Any) -> Sides:
    """s · expand(g) = advance(s, g), for the reachable state s = s₀ · x.

    Usually: advance has a formula of its own that differs from expand and act.
    """
    state = m.act(m.initial_state(), x)
    return m.act(state, m.expand(g)), m.advance(state, g)


def acting_identity(m: SemidirectProduct, b: Any) -> Sides:
    """b ◁ e = b.

    Usually: the action does something where the acting element means nothing.
    """
    return m.action(b, m.acting.identity()), b


def acting_composition(m: SemidirectProduct, b: Any, a: Any, a2: Any) -> Sides:
    """b ◁ (a • a2) = (b ◁ a) ◁ a2.

    Usually: the action is not one of this acting monoid; acting by sums, say, where products were meant.
    """
    together = m.action(b, m.acting.combine(a, a2))
    return together, m.action(m.action(b, a), a2)


def distributivity(m: SemidirectProduct, b: Any, b2: Any, a: Any) -> Sides:
    """(b • b2) ◁ a = (b ◁ a) • (b2 ◁ a).

    Usually: the action does not fit the base's operator; a factor acts on sums, a shift on maxima.
    """
    together = m.action(m.base.combine(b, b2), a)
    return together, m.base.combine(m.action(b, a), m.action(b2, a))


def distributivity_identity(m: SemidirectProduct, a: Any) -> Sides:
    """e ◁ a = e, for the base's identity.

    Usually: the action moves an empty memory: a shift acts on sums, or something is added.
    """
    return m.action(m.base.identity(), a), m.base.identity()


STATES: dict[str, Law] = {
    "action_identity": action_identity,
    "action_composition": action_composition,
}
EMBEDDING: dict[str, Law] = {
    "embedding": embedding,
    "embedding_round_trip": embedding_round_trip,
}
GENERATORS: dict[str, Law] = {"generators": generators}
ACTION: dict[str, Law] = {
    "acting_identity": acting_identity,
    "acting_composition": acting_composition,
    "distributivity": distributivity,
    "distributivity_identity": distributivity_identity,
}
