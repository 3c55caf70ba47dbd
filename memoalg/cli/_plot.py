"""`memoalg plot`."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from memoalg import rl
from memoalg.rl._profiles import plot_aggregates, plot_profiles

from ._errors import UsageError, told_as_usage
from ._parse import parse


@dataclasses.dataclass(frozen=True)
class Plot:
    """Draw runs into one picture.

    `profiles` and `aggregate` compare methods (an algorithm with a memory) by the last greedy
    evaluations of their runs, normalised where all environments have anchors.

    Attributes:
        runs: Run folders.
        kind: Learning curves, performance profiles, or interquartile means with intervals.
        out: The picture; by default `curve.png` in the first folder, or `profiles.png` or
            `aggregate.png` here.
    """

    runs: Positional[tuple[Path, ...]] = ()
    kind: Literal["curves", "profiles", "aggregate"] = "curves"
    out: Path | None = None


def run(argv: Sequence[str]) -> None:
    """Draws, and prints where the picture is."""
    options = parse(Plot, argv, "plot")
    if not options.runs:
        raise UsageError("plot: name at least one run folder, such as runs/*")
    with told_as_usage(FileNotFoundError, ValueError):
        if options.kind == "curves":
            print(rl.plot_runs(options.runs, options.out))
            return
        draw = {"profiles": plot_profiles, "aggregate": plot_aggregates}[options.kind]
        print(draw(options.runs, options.out or Path(f"{options.kind}.png")))
