"""What the library understood of a monoid, and what it would do with it."""

import dataclasses

import jax
from jaxtyping import PyTree

from .._tree import leaf_text, map_with_path, nbytes
from ..algebra import AbstractMonoid, describe, has_embedding, has_identity
from ._planner import plan

PLATFORMS = ("cpu", "cuda")


@dataclasses.dataclass(frozen=True)
class Explanation:
    """What [`memoalg.explain`][] found, as text by `str`.

    Arguments:
        tree: the monoid as it was composed, one line per node.
        element: the leaves of one element with their types.
        state: the leaves of the state that is carried.
        element_bytes: of one element.
        state_bytes: of one state.
        traits: names and values.
        methods: platform -> (method, reason).
        length: the number of steps that the methods were chosen for.

    Example:
        >>> import memoalg as ma
        >>> ma.explain(ma.Add(4), length=16, show=False).state_bytes
        16
    """

    tree: list[str]
    element: list[str]
    state: list[str]
    element_bytes: int
    state_bytes: int
    traits: dict[str, bool]
    methods: dict[str, tuple[str, str]]
    length: int

    def __str__(self) -> str:
        lines = [*self.tree, "", f"element ({self.element_bytes} bytes)"]
        lines += [f"  {leaf}" for leaf in self.element]
        lines += [f"state ({self.state_bytes} bytes)"] + [f"  {leaf}" for leaf in self.state]
        lines += ["traits"] + [f"  {name}: {value}" for name, value in self.traits.items()]
        lines += [f"method for {self.length} steps"]
        lines += [f"  {where}: {what}: {why}" for where, (what, why) in self.methods.items()]
        return "\n".join(lines)


def explain(monoid: AbstractMonoid, *, length: int = 1024, show: bool = True) -> Explanation:
    """Print (and return) what the library understood of a monoid.

    Arguments:
        monoid: any monoid; of a layer, give `layer.monoid`.
        length: the number of steps to plan for.
        show: print the text.

    Returns:
        The [`memoalg.Explanation`][].

    Raises:
        TypeError: where `monoid` is not a monoid.

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
    state = jax.eval_shape(monoid.initial_state)
    plans = {name: plan(monoid, length=length, platform=name) for name in PLATFORMS}
    explanation = Explanation(
        tree=describe(monoid),
        element=_leaves(monoid.element),
        state=_leaves(state),
        element_bytes=nbytes(monoid.element),
        state_bytes=nbytes(state),
        traits={"has_identity": has_identity(monoid), "has_embedding": has_embedding(monoid)},
        methods={name: (str(chosen.method), chosen.reason) for name, chosen in plans.items()},
        length=length,
    )
    if show:
        print(explanation)
    return explanation


def _leaves(tree: PyTree) -> list[str]:
    return jax.tree.leaves(map_with_path(lambda path, leaf: f"{path}: {leaf_text(leaf)}", tree))
