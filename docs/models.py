"""Writes the pages of `models/`: one for every family, and how to choose a memory.

    python -m docs.models

Formulas come from the docstrings, costs and monoids from the models themselves, advice from
`models_notes.py`. A test compares the pages with what this program would write.
"""

import inspect
from pathlib import Path
from typing import Any

import equinox as eqx
import jax

import memoalg as ma
from docs.models_notes import FAMILIES, HEAD, NOTES, RELATED
from memoalg.algebra import describe

FOLDER = Path(__file__).parent / "models"
WIDTH, LENGTH = 128, 1024
KEY = jax.random.key(0)

COSTS = [
    "| model | tracks | depth | numbers | state | flops/step | bytes/step | flops | bytes |",
    "|---|---|--:|--:|--:|--:|--:|--:|--:|",
]


def pages() -> dict[str, str]:
    """The text of every page, by file name."""
    return {"index.md": index()} | {f"{family}.md": page(family) for family in ma.nn.FAMILIES}


def index() -> str:
    """How to choose, and the table of all."""
    lines = [HEAD, *COSTS]
    for family in ma.nn.FAMILIES:
        lines += [cost_row(name, f"{family}.md") for name in members(family)]
    return "\n".join([*lines, ""])


def members(family: str) -> list[str]:
    """The names of a family's models."""
    return [name for name, model in ma.nn.MODELS.items() if model.family == family]


def page(family: str) -> str:
    """What the family is, its costs, and each model."""
    names, described = members(family), set()
    lines = [f"# {ma.nn.FAMILIES[family]}", "", FAMILIES[family], "", *COSTS]
    lines += [*(cost_row(name, "") for name in names), ""]
    for name in names:
        lines += model(name, described)
    return "\n".join(lines)


def model(name: str, described: set[str]) -> list[str]:
    """A model's section; a class that an earlier one described is only named."""
    entry = ma.nn.MODELS[name]
    when, limits = NOTES[name]
    lines = [
        f"## {name} {{#{anchor(name)}}}",
        "",
        f"`ma.nn.make({name!r}, …)` stacks: {inspect.getdoc(entry.block)}",
        "",
        f"**When.** {when}",
        "",
        f"**Limits.** {limits}",
        "",
        *monoids(name),
    ]
    for cls in (entry.layer.__name__, *RELATED.get(name, ())):
        if cls not in described:
            described.add(cls)
            lines += [f"::: memoalg.nn.{cls}", ""]
    return lines


def monoids(name: str) -> list[str]:
    """The algebra of each memory in the block, as `explain` prints it."""
    block = ma.nn.MODELS[name].block(16, KEY)
    nodes = [node for node in jax.tree.leaves(block, is_leaf=_is_memoroid) if _is_memoroid(node)]
    if not nodes:
        return []
    lines = ["Its algebra, at a width of 16:", "", "```text"]
    for node in nodes:
        first, *rest = describe(node.monoid)
        indent = " " * (len(type(node).__name__) + 2)
        lines += [f"{type(node).__name__}: {first}", *(indent + line for line in rest)]
    return [*lines, "```", ""]


def _is_memoroid(node: Any) -> bool:
    return isinstance(node, ma.nn.AbstractMemoroid)


def cost_row(name: str, link: str) -> str:
    """A line of the table of costs."""
    entry = ma.nn.MODELS[name]
    block = eqx.filter_eval_shape(lambda key: entry.block(WIDTH, key), KEY)
    found = ma.nn.cost(block, LENGTH)
    counts = (
        found.depth, found.parameters, found.state_bytes,
        found.step_flops, found.step_bytes, found.flops, found.bytes,
    )  # fmt: skip
    told = [f"[{name}]({link}#{anchor(name)})", entry.tracks.name.lower(), *map(short, counts)]
    return f"| {' | '.join(told)} |"


def anchor(name: str) -> str:
    """The section's address in its page."""
    return f"model-{name.replace('_', '-')}"


def short(number: int) -> str:
    """Three digits: 82300 is 82.3k."""
    if number < 1000:
        return str(number)
    power = min(4, (len(str(number)) - 1) // 3)
    return f"{number / 1000**power:.3g}{' kMGT'[power]}"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
