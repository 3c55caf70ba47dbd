"""An explanation as rich draws it; imported where rich asks for it."""

from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from ..algebra import simplify
from ..algebra._describe import Node, tree_of


def rendered(explanation: Any) -> Group:
    """Trees, sizes and traits, and the table of methods."""
    parts: list[Any] = [_tree(tree_of(explanation.monoid))]
    if explanation.rules:
        simplified = tree_of(simplify(explanation.monoid).monoid)
        parts.append(f"simplifies by [bold]{', '.join(explanation.rules)}[/bold] to")
        parts.append(_tree(simplified))
    return Group(*parts, _facts(explanation), _methods(explanation))


def _tree(node: Node) -> Tree:
    # Labels hold square brackets of shapes: they are text, not markup.
    tree = Tree(_plain(node.label))
    for operand in node.operands:
        tree.add(_tree(operand))
    return tree


def _plain(text: str) -> Any:
    return Text(text)


def _facts(explanation: Any) -> Table:
    table = Table("", "leaves", "bytes", box=None)
    for name, leaves, size in (
        ("element", explanation.element, explanation.element_bytes),
        ("state", explanation.state, explanation.state_bytes),
    ):
        table.add_row(name, _plain("\n".join(leaves)), str(size))
    traits = "\n".join(f"{name}: {value}" for name, value in explanation.traits.items())
    table.add_row("traits", _plain(traits), "")
    return table


def _methods(explanation: Any) -> Table:
    table = Table("platform", "steps", "method", "reason", box=None)
    for choice in explanation.choices:
        row = (choice.platform, str(choice.length), choice.method, choice.reason)
        table.add_row(*map(_plain, row))
    return table
