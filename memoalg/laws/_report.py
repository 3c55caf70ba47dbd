"""What a check returns, and what it raises."""

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from ..algebra import AbstractSemigroup, describe
from ._draw import draw
from ._law import meaning, parameters, statement
from ._run import Failure
from ._site import Site


class LawError(AssertionError):
    """A law does not hold: the message gives law, monoid, inputs and both sides.

    Example:
        >>> import memoalg as ma
        >>> issubclass(ma.laws.LawError, AssertionError)
        True
    """


@dataclass(frozen=True)
class Report:
    """The laws that were checked, all of which hold.

    Attributes:
        subject: what was checked, as text; one line for each node of a composed monoid.
        laws: names of the laws, each once; one that holds of several parts is listed once.
        cases: how many cases each law of single elements was checked on.

    Example:
        >>> import memoalg as ma
        >>> "associativity" in ma.laws.check(ma.Add())
        True
    """

    subject: tuple[str, ...]
    laws: tuple[str, ...]
    cases: int

    def __contains__(self, law: object) -> bool:
        return law in self.laws

    def __str__(self) -> str:
        lines = [f"{len(self.laws)} laws hold, on {self.cases} cases each, of"]
        lines += [f"  {line}" for line in self.subject]
        return "\n".join([*lines, *(f"✓ {law}" for law in self.laws)])


# A traceback names what a user can import.
LawError.__module__ = Report.__module__ = "memoalg.laws"


def law_error(site: Site, failure: Failure, given: frozenset[AbstractSemigroup]) -> LawError:
    """The message of a failure: law, monoid, inputs, both sides, what it usually means.

    Arguments:
        site: the laws.
        failure: one of them, with a case.
        given: monoids whose elements, or generators, the user gave.
    """
    law = site.laws[failure.law]
    lines = [f"{failure.law} fails for", *("  " + line for line in subject_lines(site.subject))]
    lines += [f"{name} = {text(failure.values[name])}" for name in parameters(law)]
    lines += [
        f"left side  = {text(failure.sides[0])}",
        f"right side = {text(failure.sides[1])}",
        f"first difference: leaf {failure.leaf}",
        f"The law: {statement(law)}.",
        meaning(law),
    ]
    if any(_is_drawn_blindly(s) for s in site.sources.values() if s not in given):
        lines.append(
            "(Elements were drawn by their dtypes. Where yours obey a condition, give elements= or "
            "generator=, or register how they are drawn with ma.laws.draw.register.)"
        )
    return LawError("\n".join(lines))


def subject_lines(subject: Any) -> list[str]:
    """A monoid's tree; for a map between monoids, both."""
    if isinstance(subject, AbstractSemigroup):
        return describe(subject)
    source, target = (
        ["  " + line for line in describe(end)] for end in (subject.source, subject.target)
    )
    name = getattr(subject.function, "__name__", type(subject.function).__name__)
    return [f"{name}, from", *source, "to", *target]


def _is_drawn_blindly(source: AbstractSemigroup) -> bool:
    return draw.dispatch(type(source)) is draw.dispatch(object) and not type(
        source
    ).__module__.startswith("memoalg.")


class _Shown:
    """A leaf that prints as its numbers alone."""

    def __init__(self, leaf: Any):
        self.leaf = np.asarray(leaf)

    def __repr__(self) -> str:
        return np.array2string(self.leaf, separator=" ", threshold=60)


def text(tree: Any) -> str:
    """A pytree with its arrays as numbers, without dtypes."""
    return str(jax.tree.map(_Shown, tree))
