"""`memoalg envs`."""

import dataclasses
from collections.abc import Sequence

from memoalg import envs

from ._parse import parse
from ._table import table


@dataclasses.dataclass(frozen=True)
class Envs:
    """List the environments, with the returns that a score is measured against."""


def run(argv: Sequence[str]) -> None:
    """Prints the table."""
    parse(Envs, argv, "envs")
    print(table(["id", "random", "memoryless", "optimum"], [_row(name) for name in envs.names()]))


def _row(name: str) -> list[str]:
    try:
        scale = envs.anchors(name)
    except ValueError:
        return [name, "", "", ""]
    memoryless = "" if scale.memoryless is None else f"{scale.memoryless:.3g}"
    return [name, f"{scale.random:.3g}", memoryless, f"{scale.optimal:.3g}"]
