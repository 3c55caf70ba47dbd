"""`memoalg envs`: list the environments, or show an episode of one."""

import dataclasses
from collections.abc import Sequence
from typing import Annotated

from tyro.conf import Positional, arg

from memoalg import envs

from ._envs_show import show
from ._errors import UsageError
from ._parse import parse
from ._table import table


@dataclasses.dataclass(frozen=True)
class Envs:
    """List the environments, with the returns that a score is measured against.

    `memoalg envs show ID` draws an episode of one; `memoalg envs show --help` lists its options.

    Attributes:
        part: List the ids that contain this text; nothing lists all.
    """

    part: Positional[Annotated[str, arg(metavar="PART")]] = ""


def run(argv: Sequence[str]) -> None:
    """Prints the table, or writes the picture."""
    if argv and argv[0] == "show":
        show(argv[1:])
        return
    part = parse(Envs, argv, "envs").part
    found = [name for name in envs.names() if part.lower() in name.lower()]
    if not found:
        raise UsageError(f"envs: no id contains {part!r}; memoalg envs lists all")
    print(table(["id", "random", "memoryless", "optimum"], [_row(name) for name in found]))


def _row(name: str) -> list[str]:
    try:
        scale = envs.anchors(name)
    except ValueError:
        return [name, "", "", ""]
    random, optimal, memoryless = map(
        _number, (scale.random, scale.optimal, scale.memoryless), scale.errors
    )
    return [name, random, memoryless, optimal]


def _number(value: float | None, error: float) -> str:
    if value is None:
        return ""
    return f"{value:.3g}" if not error else f"{value:.3g} ± {error:.1g}"
