"""One cell of a study: trained, or continued, or found finished; what it found as rows."""

import dataclasses
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from memoalg import envs

from ._evaluations import complete_values
from ._fit import fit
from ._folder import RunFolder
from ._load import evaluate_run
from ._metrics import Row, plain, read_rows
from ._progress import AbstractProgress
from ._study import Cell, Study

# Sampled episodes have a stream of their own, next to the greedy evaluation's.
_STOCHASTIC_STREAM = 0x73746F


@dataclass(frozen=True)
class CellFolder:
    """Where a cell is, and what is known of it.

    ```
    (a run folder, see RunFolder)
    command.json   the experiment: `memoalg eval`, `memoalg train --resume` and others take the folder
    result.json    the rows of the table, once the cell is finished
    error.json     what went wrong, if something did
    ```

    Attributes:
        path: the folder.
    """

    path: Path

    def rows(self) -> list[Row] | None:
        """The rows of a finished cell; None where it is not finished."""
        return _read(self.path / "result.json")

    def error(self) -> str | None:
        """Why the cell failed; None where it did not."""
        found = _read(self.path / "error.json")
        return None if found is None else found["error"]

    def forget_error(self) -> None:
        """Lets a failed cell be tried again."""
        (self.path / "error.json").unlink(missing_ok=True)

    def finish(self, rows: Sequence[Row]) -> None:
        """Records that the cell is finished."""
        _write(self.path / "result.json", list(rows))

    def fail(self, error: BaseException) -> None:
        """Records why the cell failed."""
        self.path.mkdir(parents=True, exist_ok=True)
        text = " ".join(str(error).split())
        _write(self.path / "error.json", {"error": f"{type(error).__name__}: {text}"})


def run_cell(cell: Cell, study: Study, folder: Path, progress: AbstractProgress) -> None:
    """Trains a cell to its end, continuing where it stopped; its folder says how it went.

    Args:
        cell: what is trained.
        study: how long, and how it is evaluated.
        folder: of the cell.
        progress: where training is shown.

    Raises:
        KeyboardInterrupt: on Ctrl-C, after the state was saved.
        OSError: the disk is full, or not there: then no other cell can do better.
    """
    place = CellFolder(folder)
    experiment = cell.experiment
    try:
        experiment.save(folder)
        algorithm = experiment.build()
        key = jax.random.key(experiment.seed)
        result = fit(
            algorithm,
            key,
            study.steps,
            seeds=experiment.seeds,
            checkpoint_dir=folder,
            keep=1,
            evaluate_every=study.evaluate_every,
            evaluation_episodes=study.evaluation_episodes,
            progress=progress,
            resume=True,
        )
        sampled = evaluate_run(
            algorithm,
            result.state,
            jax.random.fold_in(key, _STOCHASTIC_STREAM),
            study.evaluation_episodes,
            seeds=experiment.seeds,
            greedy=False,
        )
    except OSError:
        raise
    except Exception as error:
        place.fail(error)
        return
    greedy, stochastic = result.complete_returns(), complete_values(sampled, "returns")
    parameters = _count(result.state.agent.params) // experiment.seeds
    common = {"steps": result.steps, "parameters": parameters, "seconds": _seconds(folder)}
    place.finish(_rows(cell, greedy, stochastic, common))


def _rows(
    cell: Cell, greedy: list[np.ndarray], stochastic: list[np.ndarray], common: dict[str, Any]
) -> list[Row]:
    experiment = cell.experiment
    names = {
        "algorithm": experiment.algorithm,
        "memory": experiment.memory,
        "env": experiment.env,
        **cell.swept,
    }
    rows = []
    for seed, pair in enumerate(zip(greedy, stochastic, strict=True)):
        means = dict(zip(("greedy", "stochastic"), map(_mean, pair), strict=True))
        scale = _scale(experiment.env, means["greedy"])
        rows.append({**names, "seed": seed, **means, **scale, **common})
    return rows


def _scale(env: str, greedy: float | None) -> Row:
    """Normalised score and anchors; empty where the environment has none."""
    try:
        scale = dataclasses.asdict(envs.anchors(env))
    except ValueError:
        return dict.fromkeys(("normalised", "random", "memoryless", "optimal"))
    score = None if greedy is None else round(envs.normalised_score(env, greedy), 6)
    anchors = {name: scale[name] for name in ("random", "memoryless", "optimal")}
    return {"normalised": score, **anchors}


def _mean(returns: np.ndarray) -> float | None:
    return plain(returns.mean()) if len(returns) else None


def _count(params: Any) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def _seconds(folder: Path) -> float:
    """Training time of all calls, without compilation and evaluation."""
    return round(sum(row["seconds"] for row in read_rows(RunFolder(folder).timing)), 3)


def _read(path: Path) -> Any:
    return json.loads(path.read_text()) if path.is_file() else None


def _write(path: Path, content: Any) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")
    os.replace(temporary, path)
