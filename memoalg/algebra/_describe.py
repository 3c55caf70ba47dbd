"""A monoid as the text of the tree that was composed."""

import dataclasses
from typing import Any

import numpy as np

from ._action import AbstractAction
from ._map import Isomorphism
from ._monoid import AbstractSemigroup


def describe(monoid: AbstractSemigroup, indent: str = "") -> list[str]:
    """One line per node, operands indented under their combinator."""
    settings, operands = _parts(monoid)
    lines = [f"{indent}{type(monoid).__name__}({', '.join(settings)})"]
    for operand in operands:
        lines += describe(operand, indent + "  ")
    return lines


def _parts(monoid: AbstractSemigroup) -> tuple[list[str], list[AbstractSemigroup]]:
    settings: list[str] = []
    operands: list[AbstractSemigroup] = []
    for field in dataclasses.fields(monoid):  # pyright: ignore[reportArgumentType]
        value = getattr(monoid, field.name)
        members = value if isinstance(value, tuple) else (value,)
        if members and all(isinstance(member, AbstractSemigroup) for member in members):
            operands += members
        else:
            settings.append(f"{field.name}={_setting(value)}")
    return settings, operands


def _setting(value: Any) -> str:
    if isinstance(value, np.dtype):
        return value.name
    if isinstance(value, AbstractAction):
        return type(value).__name__
    if isinstance(value, Isomorphism):
        return f"{value.forward.__name__}/{value.backward.__name__}"
    return repr(value)
