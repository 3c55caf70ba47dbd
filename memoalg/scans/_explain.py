"""What the library understood of a monoid, and what it would do with it."""

import dataclasses
import enum
from collections.abc import Sequence
from typing import Any

import jax
from jaxtyping import PyTree

from .._tree import leaf_text, map_with_path, nbytes
from ..algebra import (
    AbstractMonoid,
    AbstractSemigroup,
    describe,
    has_embedding,
    has_identity,
    has_zero,
    is_commutative,
    is_elementwise,
    is_idempotent,
    is_invertible,
    simplify,
    tracks,
)
from ..algebra._describe import tree_of
from ..algebra._diagram import to_dot, to_mermaid
from ._outer_form import outer_form
from ._planner import Candidate, plan

PLATFORMS = ("cpu", "cuda")

TRAITS = (
    has_identity,
    has_embedding,
    is_commutative,
    is_idempotent,
    is_invertible,
    has_zero,
    is_elementwise,
    tracks,
)


@dataclasses.dataclass(frozen=True)
class Choice:
    """The method that would be chosen somewhere, and why.

    Arguments:
        platform: as JAX names it.
        length: the number of steps.
        method: as one would write it, for a trajectory that is differentiated.
        reason: in one sentence.
        rejected: the other methods, each with what it would cost or why it cannot run.

    Example:
        >>> import memoalg as ma
        >>> print(ma.explain(ma.Add(), length=16, show=False).choices[0].method)
        Sequential()
    """

    platform: str
    length: int
    method: str
    reason: str
    rejected: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Explanation:
    """What [`memoalg.explain`][] found: text by `str`, a tree by `rich.print`, a diagram by `to_dot`.

    Arguments:
        monoid: what was explained.
        tree: the monoid as it was composed, one line per node.
        rewritten: the tree that [`memoalg.simplify`][] makes of it.
        rules: names of the rules that fired, in order; none where nothing could be simplified.
        element: the leaves of one element with their types.
        state: the leaves of the state that is carried.
        element_bytes: of one element.
        state_bytes: of one state.
        traits: names and values: bools, and the name of what the monoid tracks.
        choices: for each platform and length the method and the reason.

    Example:
        >>> import memoalg as ma
        >>> explanation = ma.explain(ma.Resettable(ma.Affine(4)), length=16, show=False)
        >>> print(explanation.state_bytes, explanation.rules)
        16 ('fold_reset',)
        >>> print(explanation.to_mermaid().splitlines()[0])
        flowchart TD
    """

    monoid: AbstractMonoid
    tree: list[str]
    rewritten: list[str]
    rules: tuple[str, ...]
    element: list[str]
    state: list[str]
    element_bytes: int
    state_bytes: int
    traits: dict[str, bool | str]
    choices: tuple[Choice, ...]

    def __str__(self) -> str:
        lines = [*self.tree, *self._rewriting_lines(), f"element ({self.element_bytes} bytes)"]
        lines += [f"  {leaf}" for leaf in self.element]
        lines += [f"state ({self.state_bytes} bytes)"] + [f"  {leaf}" for leaf in self.state]
        lines += ["traits"] + [f"  {name}: {value}" for name, value in self.traits.items()]
        lines += ["method"]
        for choice in self.choices:
            lines.append(
                f"  {choice.platform}, {choice.length} steps: {choice.method}: {choice.reason}"
            )
            lines += [f"    not {rejected}" for rejected in choice.rejected]
        return "\n".join(lines)

    def _rewriting_lines(self) -> list[str]:
        if not self.rules:
            return []
        return [f"simplifies by {', '.join(self.rules)} to", *(f"  {x}" for x in self.rewritten)]

    def to_dot(self) -> str:
        """The tree, and what it simplifies to, as a graphviz digraph."""
        return to_dot(self._trees())

    def to_mermaid(self) -> str:
        """The tree, and what it simplifies to, as a mermaid flowchart."""
        return to_mermaid(self._trees())

    def _trees(self) -> dict:
        trees = {"composed": tree_of(self.monoid)}
        if self.rules:
            trees["simplified: " + ", ".join(self.rules)] = tree_of(simplify(self.monoid).monoid)
        return trees

    def __rich__(self) -> Any:
        """For `rich.print(explanation)` and notebooks that render rich objects."""
        from ._explain_rich import rendered

        return rendered(self)


def explain(
    monoid: AbstractMonoid, *, length: int | Sequence[int] = 1024, show: bool = True
) -> Explanation:
    """Print (and return) what the library understood of a monoid.

    Arguments:
        monoid: any monoid; of a layer, give `layer.monoid`.
        length: the number of steps to plan for, or several.
        show: print the text.

    Returns:
        The [`memoalg.Explanation`][].

    Raises:
        TypeError: where `monoid` is not a monoid, or a semigroup without identity.
        ValueError: where a length is negative.

    Example:
        >>> import memoalg as ma
        >>> explanation = ma.explain(ma.Affine(2), length=8)  # doctest: +ELLIPSIS
        SemidirectProduct(action=MultiplyAction)
          Multiply(shape=(2,), dtype=float32)
          Add(shape=(2,), dtype=float32)
        ...
    """
    if not isinstance(monoid, AbstractMonoid):
        raise TypeError(
            f"explain takes a monoid, got {type(monoid).__name__}; of a layer, give layer.monoid"
        )
    lengths = (length,) if isinstance(length, int) else tuple(length)
    if any(steps < 0 for steps in lengths):
        raise ValueError(f"explain: length is a number of steps, got {length!r}")
    rewriting = simplify(monoid)
    state = jax.eval_shape(monoid.initial_state)
    explanation = Explanation(
        monoid=monoid,
        tree=describe(monoid),
        rewritten=describe(rewriting.monoid),
        rules=rewriting.rules,
        element=_leaves(monoid.element),
        state=_leaves(state),
        element_bytes=nbytes(monoid.element),
        state_bytes=nbytes(state),
        traits=_traits(monoid),
        choices=tuple(_choice(monoid, name, steps) for name in PLATFORMS for steps in lengths),
    )
    if show:
        print(explanation)
    return explanation


def _choice(monoid: AbstractMonoid, platform: str, length: int) -> Choice:
    reads = outer_form(monoid) is not None  # An outer-product memory is there to be asked.
    chosen = plan(monoid, length=length, platform=platform, reads=reads)
    rejected = tuple(_rejected(candidate, platform) for candidate in chosen.rejected)
    return Choice(platform, length, str(chosen.method), chosen.reason, rejected)


def _rejected(candidate: Candidate, platform: str) -> str:
    if candidate.estimate is None:
        return f"{candidate.method}: {candidate.remark}"
    size, launches, temp = candidate.estimate
    starts = "" if platform == "cpu" else f"{launches} launches, "
    return f"{candidate.method}: {_size(size)} moved, {starts}{_size(temp)} stored"


def _size(count: int) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000  # pyright: ignore[reportAssignmentType]
    return f"{count:.3g} TB"


def _traits(monoid: AbstractSemigroup) -> dict[str, bool | str]:
    values = {trait.__name__: trait(monoid) for trait in TRAITS}  # pyright: ignore
    return {
        name: value.name.lower() if isinstance(value, enum.Enum) else value
        for name, value in values.items()
    }


def _leaves(tree: PyTree) -> list[str]:
    return jax.tree.leaves(map_with_path(lambda path, leaf: f"{path}: {leaf_text(leaf)}", tree))
