"""Docstring sections as this project writes them, in the words that griffe's Google parser knows.

`Example:` holds a doctest, `Source:` a paper. griffe would make a coloured box of either and take
the prompts `>>>` for quotations.
"""

import re
from typing import Any

import griffe


class DocstringSections(griffe.Extension):
    """Rewrite the sections of every docstring before it is parsed."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Called for every object whose source was read."""
        if obj.docstring is not None:
            obj.docstring.value = rewrite(obj.docstring.value)


def rewrite(text: str) -> str:
    """`Example:` becomes `Examples:`, as does a bare doctest; `Source:` becomes a paragraph."""
    text = re.sub(r"^Example:$", "Examples:", text, flags=re.MULTILINE)
    text = re.sub(r"^(?:>>>.*\n?)(?:.+\n?)*", _with_heading, text, flags=re.MULTILINE)
    return re.sub(r"^Source:\s*(.*(?:\n[ \t]+\S.*)*)", _paragraph, text, flags=re.MULTILINE)


def _with_heading(session: re.Match[str]) -> str:
    lines = session[0].splitlines()
    return "\n".join(["Examples:", *(f"    {line}" for line in lines), ""])


def _paragraph(source: re.Match[str]) -> str:
    return "*Source: " + " ".join(source[1].split()) + "*"
