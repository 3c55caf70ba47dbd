"""The laws, each a function that returns both sides."""

from collections.abc import Callable
from typing import Any

from ..algebra import AbstractMonoid, AbstractSemigroup, has_embedding, has_identity

Sides = tuple[Any, Any]


def associativity(m: AbstractSemigroup, x: Any, y: Any, z: Any) -> Sides:
    r"""$(x \bullet y) \bullet z = x \bullet (y \bullet z)$."""
    return m.combine(m.combine(x, y), z), m.combine(x, m.combine(y, z))


def left_identity(m: AbstractMonoid, x: Any, y: Any, z: Any) -> Sides:
    r"""$e \bullet x = x$."""
    return m.combine(m.identity(), x), x


def right_identity(m: AbstractMonoid, x: Any, y: Any, z: Any) -> Sides:
    r"""$x \bullet e = x$."""
    return m.combine(x, m.identity()), x


def action_identity(m: AbstractMonoid, x: Any, y: Any, z: Any) -> Sides:
    r"""$s \cdot e = s$, for the reachable state $s = s_0 \cdot x$."""
    state = m.act(m.initial_state(), x)
    return m.act(state, m.identity()), state


def action_composition(m: AbstractMonoid, x: Any, y: Any, z: Any) -> Sides:
    r"""$s \cdot (y \bullet z) = (s \cdot y) \cdot z$, for the reachable state $s = s_0 \cdot x$."""
    state = m.act(m.initial_state(), x)
    return m.act(state, m.combine(y, z)), m.act(m.act(state, y), z)


def embedding(m: AbstractMonoid, x: Any, y: Any, z: Any) -> Sides:
    r"""$\mathrm{project}(\mathrm{embed}(s) \bullet y) = s \cdot y$, for $s = s_0 \cdot x$."""
    state = m.act(m.initial_state(), x)
    return m.project(m.combine(m.embed(state), y)), m.act(state, y)


SEMIGROUP: dict[str, Callable[..., Sides]] = {"associativity": associativity}
MONOID: dict[str, Callable[..., Sides]] = {
    "left_identity": left_identity,
    "right_identity": right_identity,
    "action_identity": action_identity,
    "action_composition": action_composition,
}

MEANINGS = {
    "associativity": "the operator depends on how a sequence is cut, so a parallel scan and a loop differ",
    "left_identity": "identity() is not neutral on the left; is it perhaps an initial state?",
    "right_identity": "identity() is not neutral on the right; is a part of the earlier element lost?",
    "action_identity": "act changes a state by an element that means nothing",
    "action_composition": "act and combine do not agree; is the later operand on the right in both?",
    "embedding": "embed and project do not turn act into combine",
}
"""What the failure of a law usually means."""


def laws_of(monoid: AbstractSemigroup) -> dict[str, Callable[..., Sides]]:
    """The laws that apply to a monoid, by name.

    Example:
        >>> import memoalg as ma
        >>> list(ma.laws.laws_of(ma.Add()))[:2]
        ['associativity', 'left_identity']
    """
    laws = dict(SEMIGROUP)
    if isinstance(monoid, AbstractMonoid) and has_identity(monoid):
        laws |= MONOID
        if has_embedding(monoid):
            laws["embedding"] = embedding
    return laws
