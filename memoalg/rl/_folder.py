"""The run folder: which file holds what, and how it is brought back to a checkpoint."""

import json
import math
import os
from pathlib import Path
from typing import Any

from . import _checkpoint, _metrics
from ._metrics import Row


class RunFolder:
    """The files of one run.

    ```
    config.json       what the run was made of; compared on resume
    metrics.jsonl     one line per update and member, no wall-clock times: repeatable byte for byte
    evaluation.jsonl  one line per evaluation and member, with every complete episode's return and
                      length, and how many were not complete
    timing.jsonl      one line per chunk: wall-clock seconds and steps per second
    curve.png         the learning curve, where matplotlib is installed
    checkpoints/      the newest states, and the one with the best mean evaluation return
    best/             of several members, the one with the best final evaluation, as a single state
    ```

    Args:
        path: the folder; nothing is made or read yet.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.config = self.path / "config.json"
        self.metrics = self.path / "metrics.jsonl"
        self.evaluation = self.path / "evaluation.jsonl"
        self.timing = self.path / "timing.jsonl"
        self.curve = self.path / "curve.png"
        self.checkpoints = self.path / "checkpoints"
        self.best = self.path / "best"

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "RunFolder":
        """The folder of a run that exists.

        Raises:
            FileNotFoundError: the folder holds no `config.json`.
        """
        folder = cls(path)
        if not folder.config.is_file():
            raise FileNotFoundError(f"{path} is no run folder: it has no config.json")
        return folder

    def exists(self) -> bool:
        """Whether a run was begun here."""
        return self.config.is_file()

    def read_config(self) -> Any:
        """The description of the run, as plain JSON."""
        return json.loads(self.config.read_text())

    @property
    def seeds(self) -> int:
        """Seeds at every point of the run's sweep."""
        return int(self.read_config()["seeds"])

    @property
    def sweep(self) -> dict[str, list[float]]:
        """The swept values of the run, by name; empty where nothing was swept."""
        return self.read_config().get("sweep", {})

    @property
    def members(self) -> int:
        """Agents side by side in the run, rows of each update: points of the sweep times seeds."""
        return self.seeds * math.prod(map(len, self.sweep.values()))

    def metric_rows(self) -> list[Row]:
        """Rows of `metrics.jsonl`, complete updates only."""
        rows = _metrics.read_rows(self.metrics)
        return rows[: len(rows) - len(rows) % self.members]

    def evaluation_rows(self) -> list[Row]:
        """Rows of `evaluation.jsonl`, complete evaluations only."""
        rows = _metrics.read_rows(self.evaluation)
        return rows[: len(rows) - len(rows) % self.members]

    def begin(self, config: Any) -> None:
        """Makes the folder of a new run, atomically: `config.json` comes last and whole."""
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        for path in (self.metrics, self.evaluation, self.timing):
            path.write_bytes(b"")
        temporary = self.path / f".config.{os.getpid()}.tmp"
        temporary.write_text(json.dumps(config, indent=2, allow_nan=False) + "\n")
        os.replace(temporary, self.config)

    def rewind(self, update: int, evaluation_period: int | None, total: int) -> list[Row]:
        """Cuts the files back to what was known at an update, so that going on repeats nothing.

        Args:
            update: the checkpoint's.
            evaluation_period: updates between evaluations. A shorter run's final evaluation, which
                the uninterrupted run would not have made, goes too. None keeps no evaluation.
            total: updates of the run that goes on; the evaluation there is made again in any case.

        Returns:
            The rows of `metrics.jsonl` that stay.
        """
        _checkpoint.clean_up(self.checkpoints)
        rows = [row for row in self.metric_rows() if row["update"] <= update]
        expected = update * self.members
        if len(rows) != expected:
            raise ValueError(
                f"{self.metrics} has {len(rows)} rows up to update {update}, expected {expected}: "
                "it was changed from outside, so the run cannot be continued in this folder"
            )
        _metrics.keep_rows(self.metrics, rows)
        evaluations = [
            row
            for row in self.evaluation_rows()
            if row["update"] <= update
            and evaluation_period is not None
            and row["update"] % evaluation_period == 0
            and row["update"] != total
        ]
        _metrics.keep_rows(self.evaluation, evaluations)
        return rows
