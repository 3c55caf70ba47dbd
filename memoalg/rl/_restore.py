"""Where a run begins: afresh, or at the newest checkpoint of its folder."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from . import _checkpoint
from ._describe import differences
from ._errors import FitArgumentError
from ._evaluations import mean_score
from ._folder import RunFolder
from ._members import state_shape
from ._metrics import Row
from ._plan import Plan


@dataclass(frozen=True)
class Beginning:
    """Where a run begins.

    Attributes:
        state: to go on from; None for a fresh beginning.
        update: of that state.
        rows: of the metrics before it.
        best: the best mean evaluation return among the checkpoints.
        stopped: whether the run had reached `stop_at` here.
    """

    state: Any = None
    update: int = 0
    rows: tuple[Row, ...] = ()
    best: float = -np.inf
    stopped: bool = False


def restore(plan: Plan, folder: RunFolder | None, resume: bool) -> Beginning:
    """Looks into the folder, and brings its files back to the checkpoint that is continued.

    Args:
        plan: what is asked for.
        folder: of the run.
        resume: whether it may hold a run already.

    Raises:
        FileExistsError: it holds one, and `resume` is False.
        CheckpointError: it holds one of another configuration.
        FitArgumentError: it holds a longer one.
    """
    if folder is None:
        return Beginning()
    if folder.exists() and not resume:
        raise FileExistsError(
            f"{folder.path} already holds a run: continue it with resume=True, "
            "or choose another checkpoint_dir"
        )
    config = plan.config()
    if folder.exists():
        _refuse_other_config(folder, config)
    if not _checkpoint.checkpoint_paths(folder.checkpoints):
        folder.begin(config)
        return Beginning()
    like = state_shape(plan.population, plan.layout)
    found = _checkpoint.load_checkpoint(folder.checkpoints, like, config=config)
    if found.update > plan.total:
        raise FitArgumentError(
            f"{folder.path} holds a run of {found.update * plan.frames:,} steps, more "
            f"than the {plan.total * plan.frames:,} asked for: raise steps"
        )
    stopped = _stopped(plan, folder, found.update)
    end = found.update if stopped else plan.total
    rows = folder.rewind(found.update, plan.evaluation_period, end)
    best = _checkpoint.best_checkpoint(folder.checkpoints)
    return Beginning(
        state=plan.layout.place(found.state),
        update=found.update,
        rows=tuple(rows),
        best=-np.inf if best is None else best[1],
        stopped=stopped,
    )


def _stopped(plan: Plan, folder: RunFolder, update: int) -> bool:
    """Whether the run had reached `stop_at` at an update, where it would be looked at."""
    if plan.stop_at is None or not plan.evaluation_due(update):
        return False
    score = mean_score([row for row in folder.evaluation_rows() if row["update"] == update])
    return score is not None and score >= plan.stop_at


def _refuse_other_config(folder: RunFolder, config: Any) -> None:
    """Said before the checkpoint is opened, which a run killed early does not have yet."""
    lines = differences(folder.read_config(), config)
    if lines:
        raise _checkpoint.CheckpointError(
            f"{folder.path} holds a run of another configuration: {'; '.join(lines[:8])}"
        )
