"""Where else the rows of a run go: thin adapters for TensorBoard and Weights & Biases."""

import abc
import importlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ._metrics import Row

# What a row says about itself, and is not drawn over the steps.
_LABELS = ("update", "steps", "seed", "member", "returns", "lengths", "incomplete")


class AbstractLogger(abc.ABC):
    """Gets every row that `fit` writes down, in order, when a chunk or an evaluation is done.

    Pass your own as `fit(…, loggers=[…])`; `metrics.jsonl` in the run folder is always written.
    """

    @abc.abstractmethod
    def begin(self, config: Any, steps: int) -> None:
        """The run begins, or goes on.

        Args:
            config: the description of the run, plain JSON.
            steps: environment steps of each seed before it; rows beyond come (again).
        """

    @abc.abstractmethod
    def log(self, kind: str, rows: Sequence[Row]) -> None:
        """Rows of one or several updates.

        Args:
            kind: "train", or "evaluation".
            rows: as in `metrics.jsonl` or `evaluation.jsonl`: update by update, member by member.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """The run is over, for whatever reason."""


class TensorBoard(AbstractLogger):
    """Event files for TensorBoard; needs the package tensorboardX.

    A single seed is written to the folder itself, each of several members to one below it.

    Args:
        folder: where the event files go.

    Raises:
        ModuleNotFoundError: tensorboardX is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._module = _required("tensorboardX", "TensorBoard")
        self._folder = Path(folder)
        self._purge: int | None = None
        self._writers: dict[str, Any] = {}

    def begin(self, config: Any, steps: int) -> None:
        """Takes back what an interrupted run wrote beyond these steps."""
        self._purge = steps + 1 if steps else None

    def log(self, kind: str, rows: Sequence[Row]) -> None:
        """One scalar for each number."""
        for row in rows:
            writer = self._writer(_place(row, rows))
            for name, value in _numbers(row).items():
                writer.add_scalar(f"{kind}/{name}", value, row["steps"])

    def close(self) -> None:
        """Closes the files."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _writer(self, place: str) -> Any:
        if place not in self._writers:
            path = str(self._folder / place)
            self._writers[place] = self._module.SummaryWriter(path, purge_step=self._purge)
        return self._writers[place]


class WandB(AbstractLogger):
    """A run of Weights & Biases; needs the package wandb.

    Args:
        project: as in `wandb.init`.
        entity: as there.
        name: as there.
        group: as there.
        run_id: of a run that is continued, or that should be possible to continue.
        mode: "online", "offline" or "disabled"; None leaves it to wandb's settings.
        folder: where wandb keeps its files; None leaves it to wandb.

    Raises:
        ModuleNotFoundError: wandb is not installed.
    """

    def __init__(
        self,
        project: str,
        *,
        entity: str | None = None,
        name: str | None = None,
        group: str | None = None,
        run_id: str | None = None,
        mode: str | None = None,
        folder: str | os.PathLike[str] | None = None,
    ) -> None:
        self._module = _required("wandb", "WandB")
        self._options = {
            "project": project,
            "entity": entity,
            "name": name,
            "group": group,
            "id": run_id,
            "resume": None if run_id is None else "allow",
            "mode": mode,
            "dir": None if folder is None else os.fspath(folder),
        }
        self._run: Any = None

    def begin(self, config: Any, steps: int) -> None:
        """Opens the run."""
        self._run = self._module.init(config=config, **self._options)

    def log(self, kind: str, rows: Sequence[Row]) -> None:
        """One call for each update, with the numbers of all members."""
        together: dict[int, dict[str, float]] = {}
        for row in rows:
            place = _place(row, rows)
            names = {f"{kind}/{name}": value for name, value in _numbers(row).items()}
            placed = {f"{place}/{k}" if place else k: value for k, value in names.items()}
            together.setdefault(row["steps"], {}).update(placed)
        for steps, values in together.items():
            self._run.log(values, step=steps)

    def close(self) -> None:
        """Ends the run."""
        if self._run is not None:
            self._run.finish()


def _required(module: str, adapter: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"ma.rl.{adapter} needs {module}: pip install {module}", name=module
        ) from error


def _place(row: Row, rows: Sequence[Row]) -> str:
    """The member of a row as the name of a folder; empty if there is only one."""
    if len({(r.get("member"), r["seed"]) for r in rows}) == 1:
        return ""
    return f"member-{row['member']}" if "member" in row else f"seed-{row['seed']}"


def _numbers(row: Row) -> dict[str, float]:
    return {
        name: value
        for name, value in row.items()
        if name not in _LABELS and not name.startswith("config.") and value is not None
    }
