"""A monoid as the text of the tree that was composed."""

import dataclasses
from typing import Any

import numpy as np

from ._action import AbstractAction
from ._functions import name_of
from ._map import Isomorphism
from ._monoid import AbstractSemigroup
from ._strict import ProductAction, StrictAction


@dataclasses.dataclass(frozen=True)
class Node:
    """One node of the tree that was composed: what it is, and its operands."""

    label: str
    operands: tuple["Node", ...]

    def lines(self, indent: str = "") -> list[str]:
        """One line per node, operands indented under their combinator."""
        below = [line for operand in self.operands for line in operand.lines(indent + "  ")]
        return [indent + self.label, *below]


def tree_of(monoid: AbstractSemigroup) -> Node:
    """The monoid as a tree of labels."""
    settings: list[str] = []
    operands: list[AbstractSemigroup] = []
    for field in dataclasses.fields(monoid):  # pyright: ignore[reportArgumentType]
        value = getattr(monoid, field.name)
        members = value if isinstance(value, tuple) else (value,)
        if members and all(isinstance(member, AbstractSemigroup) for member in members):
            operands += members
        else:
            settings.append(f"{field.name}={_setting(value)}")
    label = f"{type(monoid).__name__}({', '.join(settings)})"
    return Node(label, tuple(tree_of(operand) for operand in operands))


def describe(monoid: AbstractSemigroup) -> list[str]:
    """The tree that was composed: one line per node, operands indented under their combinator.

    Example:
        >>> import memoalg as ma
        >>> print(*ma.algebra.describe(ma.Dual(ma.Add(2))), sep=" / ")
        Dual() /   Add(shape=(2,), dtype=float32)
    """
    return tree_of(monoid).lines()


def _setting(value: Any) -> str:
    if isinstance(value, np.dtype):
        return value.name
    if isinstance(value, ProductAction):
        return f"ProductAction({', '.join(_setting(action) for action in value.actions)})"
    if isinstance(value, StrictAction):
        return f"StrictAction({_setting(value.action)})"
    if isinstance(value, AbstractAction):
        return type(value).__name__
    if isinstance(value, Isomorphism):
        return f"{name_of(value.forward)}/{name_of(value.backward)}"
    return repr(value)
