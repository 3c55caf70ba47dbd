"""What a study leaves behind: one tidy table, and the figures."""

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from ._curves import plot_runs
from ._metrics import Row
from ._profiles import plot_aggregates, plot_profiles
from ._statistics import bootstrap_interval, iqm
from ._study import Cell, Study
from ._study_cell import CellFolder

COLUMNS = (
    *("algorithm", "memory", "env", "seed", "steps", "greedy", "stochastic", "normalised"),
    *("random", "memoryless", "optimal", "seconds", "parameters"),
)
"""What every row has; hyper-parameters that are swept over come after `env`."""


@dataclass(frozen=True, repr=False)
class StudyResult:
    """What `study` returns; printing it gives a summary.

    Attributes:
        folder: of the study.
        rows: of `study.csv`, a dictionary per finished cell and seed; None is an empty entry.
        failures: why a cell failed, by its name.
        figures: the pictures that were drawn.
    """

    folder: Path
    rows: list[Row]
    failures: dict[str, str]
    figures: list[Path]

    def __repr__(self) -> str:
        lines = [_method_line(name, rows) for name, rows in _by_method(self.rows).items()]
        lines += [f"failed: {name}: {error}" for name, error in self.failures.items()]
        lines.append(f"table: {table_path(self.folder)}, {len(self.rows)} rows")
        lines += [f"figure: {path}" for path in self.figures]
        return "\n".join(lines)


def table_path(folder: Path) -> Path:
    """Where a study's table is."""
    return folder / "study.csv"


def write_table(folder: Path, study: Study, cells: Sequence[Cell]) -> list[Row]:
    """Writes the rows of all finished cells, in the study's order, atomically.

    Args:
        folder: of the study.
        study: says which columns there are.
        cells: of the study.

    Returns:
        The rows.
    """
    swept = list(dict.fromkeys(name for cell in cells for name in cell.swept))
    columns = [*COLUMNS[:3], *swept, *COLUMNS[3:]]
    found = [CellFolder(cell_path(folder, cell)).rows() or [] for cell in cells]
    rows = [{name: row.get(name) for name in columns} for own in found for row in own]
    path = table_path(folder)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with open(temporary, "w", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    os.replace(temporary, path)
    return rows


def cell_path(folder: Path, cell: Cell) -> Path:
    """The run folder of a cell."""
    return folder / "cells" / cell.name


def draw_study(folder: Path, study: Study, cells: Sequence[Cell]) -> list[Path]:
    """Draws the finished cells: curves of every environment, profiles and aggregates over all.

    The comparisons want every method on every environment; where a cell is missing, or an
    environment has no anchors, only the curves are drawn.

    Returns:
        The pictures; none where matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        return []
    done = {
        env: [cell_path(folder, c) for c in cells if c.experiment.env == env and _done(folder, c)]
        for env in study.environments
    }
    figures = [
        plot_runs(paths, folder / f"curves-{env.replace('/', '-')}.png")
        for env, paths in done.items()
        if paths
    ]
    everything = [path for paths in done.values() for path in paths]
    for draw, name in ((plot_profiles, "profiles"), (plot_aggregates, "aggregate")):
        try:
            figures.append(draw(everything, folder / f"{name}.png"))
        except ValueError:
            continue
    return figures


def _done(folder: Path, cell: Cell) -> bool:
    return CellFolder(cell_path(folder, cell)).rows() is not None


def _by_method(rows: Sequence[Row]) -> dict[str, list[Row]]:
    methods: dict[str, list[Row]] = {}
    for row in rows:
        swept = [
            f"{name}={row[name]}" for name in row if name not in COLUMNS and row[name] is not None
        ]
        methods.setdefault(" ".join([row["algorithm"], row["memory"], *swept]), []).append(row)
    return methods


def _method_line(name: str, rows: Sequence[Row]) -> str:
    scores: dict[str, list[float]] = {}
    for row in rows:
        if row["normalised"] is not None:
            scores.setdefault(row["env"], []).append(row["normalised"])
    if not scores:
        means = [row["greedy"] for row in rows if row["greedy"] is not None]
        return f"{name}: greedy return {np.mean(means):.3f}" if means else f"{name}: no episode"
    fewest = min(map(len, scores.values()))
    matrix = np.array([own[:fewest] for own in scores.values()]).T
    low, high = bootstrap_interval(matrix, statistic=iqm)
    return (
        f"{name}: normalised score, IQM {iqm(matrix):.3f} (95 % {low:.3f} to {high:.3f}), "
        f"{len(scores)} environments × {fewest} seeds"
    )
