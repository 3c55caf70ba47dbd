"""Cells one by one, in processes (CPU), or in threads with a device each (accelerators)."""

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import jax

from ._progress import AbstractProgress, Report
from ._study import Cell, Study
from ._study_cell import CellFolder, run_cell
from ._study_table import cell_path

Done = Callable[[Cell, float], None]
"""Called with a cell that ended, one way or the other, and the seconds it took."""

Run = Callable[[Sequence[Cell], Study, Path, Done, AbstractProgress], None]
"""`(cells, study, folder, done, progress)`: works on all cells."""

INTERRUPTED = 130
"""Exit status of a process that was stopped by Ctrl-C, and saved its state."""


def one_by_one(
    cells: Sequence[Cell], study: Study, folder: Path, done: Done, progress: AbstractProgress
) -> None:
    """One cell after another, in this process."""
    for cell in cells:
        begin, shown = time.monotonic(), _Quiet(progress)
        run_cell(cell, study, cell_path(folder, cell), shown)
        done(cell, time.monotonic() - begin)
        if shown.stopping:
            raise KeyboardInterrupt(f"stopped after {cell.name}")


class _Quiet(AbstractProgress):
    """Shows the steps of a cell, without its messages; the study goes on when the cell ends.

    But for the one that answers Ctrl-C: in the last chunk of a cell `fit` comes to its end all the
    same, and the study has to know that it was meant.
    """

    def __init__(self, progress: AbstractProgress) -> None:
        self._progress = progress
        self.stopping = False

    def message(self, text: str) -> None:
        if text.startswith("stopping"):
            self.stopping = True
            self._progress.message(text)

    def report(self, report: Report) -> None:
        self._progress.report(report)

    def close(self) -> None:
        pass


# Threads


@dataclass(frozen=True)
class _Threads:
    devices: tuple[Any, ...]

    def __call__(
        self,
        cells: Sequence[Cell],
        study: Study,
        folder: Path,
        done: Done,
        progress: AbstractProgress,
    ) -> None:
        stop = threading.Event()
        free: SimpleQueue[Any] = SimpleQueue()
        for device in self.devices:
            free.put(device)

        def work(cell: Cell) -> tuple[Cell, float]:
            device, begin = free.get(), time.monotonic()
            try:
                with jax.default_device(device):
                    run_cell(cell, study, cell_path(folder, cell), _Stoppable(stop))
            finally:
                free.put(device)
            return cell, time.monotonic() - begin

        with ThreadPoolExecutor(len(self.devices)) as pool:
            running = {pool.submit(work, cell) for cell in cells}
            try:
                while running:
                    ended, running = wait(running, return_when=FIRST_COMPLETED)
                    for future in ended:
                        done(*future.result())
            except BaseException:
                stop.set()
                pool.shutdown(wait=True, cancel_futures=True)
                raise


def in_threads(devices: Sequence[Any]) -> Run:
    """One cell per device at a time.

    Signals reach the main thread only: after Ctrl-C a cell ends at its next chunk, and goes on from
    its last checkpoint.
    """
    return _Threads(tuple(devices))


class _Stoppable(AbstractProgress):
    """Shows nothing, and ends a run in a thread when it is told to."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop

    def message(self, text: str) -> None:
        pass

    def report(self, report: Report) -> None:
        if self._stop.is_set():
            raise KeyboardInterrupt("stopped; continue from the last checkpoint")

    def close(self) -> None:
        pass


# Processes


@dataclass(frozen=True)
class _Processes:
    jobs: int

    def __call__(
        self,
        cells: Sequence[Cell],
        study: Study,
        folder: Path,
        done: Done,
        progress: AbstractProgress,
    ) -> None:
        waiting = list(cells)
        running: list[tuple[Cell, float, subprocess.Popen[bytes]]] = []
        with _ended_together(running):
            while waiting or running:
                while waiting and len(running) < self.jobs:
                    cell = waiting.pop(0)
                    running.append((cell, time.monotonic(), _start(cell, study, folder)))
                time.sleep(0.05)
                for entry in [e for e in running if e[2].poll() is not None]:
                    running.remove(entry)
                    cell, begin, process = entry
                    _judge(CellFolder(cell_path(folder, cell)), process)
                    done(cell, time.monotonic() - begin)


def in_processes(jobs: int) -> Run:
    """So many cells at a time, a process each; Ctrl-C is passed on, and each saves its state."""
    return _Processes(jobs)


def _start(cell: Cell, study: Study, folder: Path) -> subprocess.Popen[bytes]:
    path = cell_path(folder, cell)
    path.mkdir(parents=True, exist_ok=True)
    with open(path / "worker.log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "memoalg.rl._study_process"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env={**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": os.pathsep.join(sys.path)},
            # A Ctrl-C of the terminal reaches the study only, which passes it on once.
            start_new_session=True,
        )
    assert process.stdin is not None
    process.stdin.write(pickle.dumps((cell, study, path, jax.config.read("jax_enable_x64"))))
    process.stdin.close()
    return process


def _judge(place: CellFolder, process: subprocess.Popen[bytes]) -> None:
    """Records the failure of a process that could not do it itself; passes a stop on."""
    if process.returncode == INTERRUPTED:
        raise KeyboardInterrupt("a cell was stopped")
    if process.returncode and place.error() is None:
        lines = (place.path / "worker.log").read_text(errors="replace").split("\n")
        last = next((line for line in reversed(lines) if line.strip()), "")
        place.fail(RuntimeError(f"the process ended with status {process.returncode}: {last}"))


@contextlib.contextmanager
def _ended_together(
    running: Sequence[tuple[Cell, float, subprocess.Popen[bytes]]],
) -> Iterator[None]:
    """However the study ends, its processes save what they have and end first."""
    try:
        yield
    except BaseException:
        for _, _, process in running:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)
        try:
            for _, _, process in running:
                process.wait()
        except KeyboardInterrupt:
            for _, _, process in running:
                process.kill()
        raise
