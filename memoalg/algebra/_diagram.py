"""Trees of monoids as text for graphviz and mermaid."""

from collections.abc import Iterator

from ._describe import Node


def to_dot(trees: dict[str, Node]) -> str:
    """A graphviz digraph with one cluster for each titled tree."""
    lines = ["digraph monoid {", '  node [shape=box, fontname="monospace"];']
    for number, (title, tree) in enumerate(trees.items()):
        lines += [f"  subgraph cluster_{number} {{", f'    label="{_quoted(title)}";']
        for name, label, parent in _walk(tree, f"n{number}"):
            lines.append(f'    {name} [label="{_quoted(label)}"];')
            if parent is not None:
                lines.append(f"    {parent} -> {name};")
        lines.append("  }")
    return "\n".join([*lines, "}"])


def to_mermaid(trees: dict[str, Node]) -> str:
    """A mermaid flowchart with one subgraph for each titled tree."""
    lines = ["flowchart TD"]
    for number, (title, tree) in enumerate(trees.items()):
        lines.append(f'  subgraph s{number}["{_entities(title)}"]')
        for name, label, parent in _walk(tree, f"n{number}"):
            arrow = "" if parent is None else f"{parent} --> "
            lines.append(f'    {arrow}{name}["{_entities(label)}"]')
        lines.append("  end")
    return "\n".join(lines)


def _walk(
    node: Node, name: str, parent: str | None = None
) -> Iterator[tuple[str, str, str | None]]:
    yield name, node.label, parent
    for place, operand in enumerate(node.operands):
        yield from _walk(operand, f"{name}_{place}", name)


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _entities(text: str) -> str:
    return (
        text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")
    )
