"""The driver of studies: cells one after another, or side by side, each of which can be continued."""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from ._describe import describe, differences
from ._errors import check_sizes
from ._progress import AbstractProgress, clock, default_progress
from ._study import Cell, Study, StudyError
from ._study_cell import CellFolder
from ._study_table import StudyResult, cell_path, draw_study, write_table
from ._study_workers import in_processes, in_threads, one_by_one


def study(
    study: Study,
    folder: str | os.PathLike[str],
    *,
    jobs: int | None = None,
    retry: bool = False,
    progress: AbstractProgress | None = None,
) -> StudyResult:
    """Runs every cell of a study that is not finished, and writes the table and the figures.

    A study that was stopped goes on where it was when this is called again with the same folder: a
    finished cell is skipped, one that was begun is continued from its checkpoint. A cell that fails
    is recorded with its error and skipped, and the others go on.

    ```
    study.json        what was asked for; compared when the study goes on
    study.csv         a row per finished cell and seed, up to date after every cell
    curves-ENV.png    learning curves of all methods on an environment
    profiles.png      performance profiles, and
    aggregate.png     interquartile means, where all environments have anchors
    cells/NAME/       a run folder each, as `memoalg train` writes them
    ```

    Args:
        study: the grid.
        folder: of the study; made if absent.
        jobs: cells worked on at once. On a CPU each is a process of its own, and None is 1. With
            accelerators each has a device of its own, and None is their number.
        retry: try cells again that failed before.
        progress: how to show it; None picks a bar on a terminal and plain lines elsewhere.

    Returns:
        The table and what failed.

    Raises:
        StudyError: something named does not exist or does not fit, said before anything runs; or
            the folder holds another study, and the message says what differs.
        FitArgumentError: `jobs` is out of range.
        KeyboardInterrupt: on Ctrl-C, after the cells at work were saved.
        OSError: the disk is full.
    """
    check_sizes({"jobs": 1 if jobs is None else jobs})
    cells = check_study(study)
    folder = Path(folder)
    _begin(folder, study)
    shown = default_progress() if progress is None else progress
    try:
        log = _Log(folder, study, cells, shown)
        waiting = log.waiting(retry)
        run = _choose(jobs, len(waiting))
        shown.message(log.hello(waiting))
        run(waiting, study, folder, log.done, shown)
        rows = write_table(folder, study, cells)
        figures = draw_study(folder, study, cells)
    finally:
        shown.close()
    return StudyResult(folder, rows, log.failures(), figures)


def check_study(study: Study) -> tuple[Cell, ...]:
    """Builds every cell's algorithm, so that whatever does not exist or fit is said at once.

    Args:
        study: the grid.

    Returns:
        The cells.

    Raises:
        StudyError: with the cell's name.
    """
    cells = study.cells()
    for cell in cells:
        try:
            cell.experiment.build()
        except (ValueError, TypeError, ModuleNotFoundError) as error:
            raise StudyError(f"{cell.name}: {error}") from error
    return cells


def _begin(folder: Path, study: Study) -> None:
    """Writes `study.json`, or compares with the one that is there."""
    path, wanted = folder / "study.json", describe(study)
    if path.is_file():
        lines = differences(json.loads(path.read_text()), wanted)
        if lines:
            raise StudyError(
                f"{folder} holds another study: {'; '.join(lines[:8])}; undo the change, or choose "
                "another folder"
            )
        return
    folder.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(wanted, indent=2, allow_nan=False) + "\n")
    os.replace(temporary, path)


def _choose(jobs: int | None, count: int) -> Any:
    """Which way to work: one by one, in processes, or a thread per device."""
    devices = jax.local_devices()
    if jax.default_backend() == "cpu" and len(devices) == 1:
        return in_processes(min(jobs or 1, count)) if min(jobs or 1, count) > 1 else one_by_one
    most = min(jobs or len(devices), len(devices), count)
    return in_threads(devices[:most]) if most > 1 else one_by_one


class _Log:
    """Which cells are done, what is said about them, and when the rest will be."""

    def __init__(
        self, folder: Path, study: Study, cells: Sequence[Cell], progress: AbstractProgress
    ) -> None:
        self._folder, self._study, self._cells = folder, study, cells
        self._progress = progress
        self._total = 0
        self._finished = 0
        self._begin = time.monotonic()

    def place(self, cell: Cell) -> CellFolder:
        return CellFolder(cell_path(self._folder, cell))

    def waiting(self, retry: bool) -> list[Cell]:
        """The cells that are neither finished nor, unless they are to be tried again, failed."""
        if retry:
            for cell in self._cells:
                self.place(cell).forget_error()
        places = [(cell, self.place(cell)) for cell in self._cells]
        found = [cell for cell, p in places if p.rows() is None and p.error() is None]
        self._total = len(found)
        return found

    def hello(self, waiting: Sequence[Cell]) -> str:
        count, failed = len(self._cells), len(self.failures())
        text = f"{count} cells of {self._study.seeds} seeds, {self._study.steps:,} steps each"
        text += f", in {self._folder}; {count - len(waiting) - failed} finished before"
        return text + (f", {failed} failed before (retry tries them again)" if failed else "")

    def done(self, cell: Cell, seconds: float) -> None:
        """Says how a cell ended, and writes the table."""
        self._finished += 1
        left = self._total - self._finished
        parts = [f"[{self._finished}/{self._total}] {cell.name}: {self._outcome(cell)}"]
        parts.append(clock(seconds))
        if left:
            mean = (time.monotonic() - self._begin) / self._finished
            end = time.strftime("%H:%M", time.localtime(time.time() + mean * left))
            parts.append(f"{left} left, about {clock(mean * left)}, until {end}")
        self._progress.message("; ".join(parts))
        write_table(self._folder, self._study, self._cells)

    def _outcome(self, cell: Cell) -> str:
        place = self.place(cell)
        rows = place.rows()
        if rows is None:
            return f"failed: {place.error()}"
        name = "normalised" if rows[0]["normalised"] is not None else "greedy"
        known = [row[name] for row in rows if row[name] is not None]
        what = {"normalised": "normalised score", "greedy": "greedy return"}[name]
        return f"{what} {sum(known) / len(known):.3f}" if known else "no complete episode"

    def failures(self) -> dict[str, str]:
        """Why cells failed, by their names."""
        errors = {cell.name: self.place(cell).error() for cell in self._cells}
        return {name: error for name, error in errors.items() if error is not None}
