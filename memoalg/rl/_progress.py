"""How a running `fit` shows itself: a live bar, plain lines, or nothing."""

import abc
import io
import os
import sys
import time
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

_LONG = 600.0  # seconds from which the time of day of the end is said as well


@dataclass(frozen=True)
class Report:
    """Where a run stands.

    Attributes:
        steps: environment steps per member so far.
        total_steps: environment steps per member in the end.
        steps_per_second: of all members together, compilation left out; None before the first chunk.
        episode_return: mean return of the episodes that ended last; None if none did.
        seconds_left: estimated; None before the first chunk.
        iqm: interquartile mean of the members' returns; None with a single member.
        compile_seconds: that the programs took before the first step.
    """

    steps: int
    total_steps: int
    steps_per_second: float | None
    episode_return: float | None
    seconds_left: float | None
    iqm: float | None = None
    compile_seconds: float | None = None

    def __str__(self) -> str:
        width = len(f"{self.total_steps:,}")
        parts = [f"{self.steps:>{width},} / {self.total_steps:,} steps"]
        if self.steps_per_second is not None:
            parts.append(f"{self.steps_per_second:,.0f} steps/s")
        if self.episode_return is not None:
            parts.append(f"return {self.episode_return:.3f}")
        if self.iqm is not None:
            parts.append(f"IQM {self.iqm:.3f}")
        if self.compile_seconds is not None:
            parts.append(f"compiled in {self.compile_seconds:.1f} s")
        if self.seconds_left is not None:
            parts.append(f"{clock(self.seconds_left)} left{_until(self.seconds_left)}")
        return "  ".join(parts)


def clock(seconds: float) -> str:
    """Seconds as minutes and seconds, with hours where there are any.

    >>> clock(75), clock(3700)
    ('1:15', '1:01:40')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _until(seconds: float) -> str:
    """When a wait is over, for one that nobody sits through."""
    if seconds < _LONG:
        return ""
    end = time.localtime(time.time() + seconds)
    day = "%H:%M" if seconds < 20 * 3600 else "%d %b %H:%M"
    return f", until {time.strftime(day, end)}"


class AbstractProgress(abc.ABC):
    """What `fit` calls while it runs."""

    @abc.abstractmethod
    def message(self, text: str) -> None:
        """Something worth a line: what is compiled, an evaluation, a checkpoint."""

    @abc.abstractmethod
    def report(self, report: Report) -> None:
        """A chunk of updates is done."""

    @abc.abstractmethod
    def close(self) -> None:
        """The run is over, for whatever reason."""


class NoProgress(AbstractProgress):
    """Shows nothing."""

    def message(self, text: str) -> None:
        """Ignores it."""

    def report(self, report: Report) -> None:
        """Ignores it."""

    def close(self) -> None:
        """Nothing to close."""


class TextProgress(AbstractProgress):
    """Plain lines: every message, the first report, then reports ever more rarely.

    Args:
        stream: where to write; None is the standard error stream at the time of writing.
        first_interval: seconds from one report to the next at the beginning.
        last_interval: the longest such interval, in seconds; it grows with a tenth of the time run.
    """

    def __init__(
        self,
        stream: io.TextIOBase | None = None,
        *,
        first_interval: float = 2.0,
        last_interval: float = 60.0,
    ) -> None:
        self._stream = stream
        self._intervals = (first_interval, last_interval)
        self._begin = time.monotonic()
        self._next = self._begin

    def message(self, text: str) -> None:
        """Writes the line."""
        print(text, file=self._stream or sys.stderr, flush=True)

    def report(self, report: Report) -> None:
        """Writes a line if one is due."""
        now = time.monotonic()
        if now < self._next and report.steps < report.total_steps:
            return
        first, last = self._intervals
        self._next = now + min(max(first, 0.1 * (now - self._begin)), last)
        self.message(str(report))

    def close(self) -> None:
        """Nothing to close."""


class BarProgress(AbstractProgress):
    """A live bar on a terminal; needs the extra `cli` (rich)."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._bar: Any = Progress(
            SpinnerColumn(),
            BarColumn(bar_width=24),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            console=Console(stderr=True),
        )
        self._task = self._bar.add_task("starting", total=None)
        self._bar.start()

    def message(self, text: str) -> None:
        """Writes the line above the bar."""
        self._bar.console.print(text, markup=False, highlight=False)

    def report(self, report: Report) -> None:
        """Moves the bar."""
        self._bar.update(
            self._task,
            description=str(report),
            completed=report.steps,
            total=report.total_steps,
        )

    def close(self) -> None:
        """Takes the bar off the terminal's hands."""
        self._bar.stop()


def default_progress() -> AbstractProgress:
    """A bar on a terminal with rich, plain lines elsewhere, rare ones in continuous integration."""
    if os.environ.get("CI"):
        return TextProgress(first_interval=30.0)
    if sys.stderr.isatty() and find_spec("rich") is not None:
        return BarProgress()
    return TextProgress()
