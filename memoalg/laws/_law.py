"""What a law is: a named function that returns both sides."""

import inspect
from collections.abc import Callable
from typing import Any

Sides = tuple[Any, Any]
"""The left and the right side of an equation."""

Law = Callable[..., Sides]
"""`(monoid, *values) -> (left, right)`. Its docstring is the law, then `Usually:` what a failure means.

The names of the parameters say what is drawn for them: `x`, `y`, `z`, `w` are elements, `g` a generator.
"""


def statement(law: Law) -> str:
    """The law as maths: the first paragraph of its docstring."""
    return _paragraphs(law)[0].rstrip(".")


def meaning(law: Law) -> str:
    """What its failure usually means; empty where the docstring does not say."""
    found = [p for p in _paragraphs(law) if p.startswith("Usually: ")]
    return found[0] if found else ""


def parameters(law: Law) -> list[str]:
    """What the law wants, without the monoid."""
    return list(inspect.signature(law).parameters)[1:]


def _paragraphs(law: Law) -> list[str]:
    text = inspect.getdoc(law) or law.__name__
    return [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
