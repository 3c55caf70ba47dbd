"""`memoalg plot`."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from tyro.conf import Positional

from memoalg import rl

from ._errors import UsageError, told_as_usage
from ._parse import parse


@dataclasses.dataclass(frozen=True)
class Plot:
    """Draw the learning curves of runs into one picture.

    Attributes:
        runs: Run folders.
        out: The picture; by default `curve.png` in the first folder.
    """

    runs: Positional[tuple[Path, ...]] = ()
    out: Path | None = None


def run(argv: Sequence[str]) -> None:
    """Draws, and prints where the picture is."""
    options = parse(Plot, argv, "plot")
    if not options.runs:
        raise UsageError("plot: name at least one run folder, such as runs/*")
    with told_as_usage(FileNotFoundError, ValueError):
        print(rl.plot_runs(options.runs, options.out))
