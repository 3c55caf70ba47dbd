"""`memoalg models`."""

import dataclasses
from collections.abc import Sequence

import memoalg as ma

from ._parse import parse
from ._table import table


@dataclasses.dataclass(frozen=True)
class Models:
    """List the memory models that `--memory` knows."""


def run(argv: Sequence[str]) -> None:
    """Prints the table."""
    parse(Models, argv, "models")
    print(
        table(
            ["name", "what it is"], [[name, ma.nn.describe_model(name)] for name in ma.nn.names()]
        )
    )
