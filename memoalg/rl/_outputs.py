"""Where the rows of a run go while it lasts: the files of its folder, and loggers."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from ._folder import RunFolder
from ._loggers import AbstractLogger
from ._metrics import Row, RowFile


class Outputs:
    """The open row files of a run folder, and the loggers.

    Args:
        folder: None writes no files.
        loggers: get the same rows.
    """

    def __init__(self, folder: RunFolder | None, loggers: Sequence[AbstractLogger]) -> None:
        self._folder = folder
        self._loggers = loggers
        self._files: dict[str, RowFile] = {}

    @contextlib.contextmanager
    def open(self, config: Any, steps: int) -> Iterator[None]:
        """Keeps everything open.

        Args:
            config: the description of the run.
            steps: environment steps of each member so far.
        """
        folder = self._folder
        with contextlib.ExitStack() as stack:
            if folder is not None:
                paths = (folder.metrics, folder.evaluation, folder.timing)
                self._files = {path.stem: RowFile(path) for path in paths}
            for file in self._files.values():
                stack.callback(file.close)
            for logger in self._loggers:
                logger.begin(config, steps)
                stack.callback(logger.close)
            yield

    def train(self, rows: Sequence[Row], timing: Row) -> None:
        """Rows of a chunk of updates."""
        self._append("metrics", rows)
        self._append("timing", [timing])
        for logger in self._loggers:
            logger.log("train", rows)

    def evaluation(self, rows: Sequence[Row]) -> None:
        """Rows of an evaluation."""
        self._append("evaluation", rows)
        for logger in self._loggers:
            logger.log("evaluation", rows)

    def sync(self) -> None:
        """Forces the rows to the disk."""
        for file in self._files.values():
            file.sync()

    def _append(self, name: str, rows: Sequence[Row]) -> None:
        if name in self._files:
            self._files[name].append(rows)
