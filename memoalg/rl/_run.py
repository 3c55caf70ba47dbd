"""One run of `fit`: chunks sent off and received, and what happens between two of them."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from . import _checkpoint
from ._curves import plot_runs
from ._describe import differences
from ._errors import FitArgumentError, NonFiniteLossError
from ._folder import RunFolder
from ._metrics import Row, RowFile, metric_rows, plain, stack_rows
from ._programs import Programs
from ._progress import AbstractProgress, Report
from ._result import FitResult, complete_values, interval_text
from ._seeds import is_vital, start_seeds, state_shape
from ._state import Evaluation

# Evaluation has its own stream: folded out of the run's key, never taken from the state's, so that
# evaluating more or less often changes nothing in training.
_EVALUATION_STREAM = 0x65766C


@dataclass(frozen=True)
class Plan:
    """The arguments of `fit`, checked, in updates instead of steps."""

    algorithm: Any
    keys: Key[Array, " seeds"]
    seeds: int
    total: int
    chunk: int
    evaluation_period: int | None
    episodes: int
    checkpoint_seconds: float
    keep: int
    config: Any

    @property
    def frames(self) -> int:
        return self.algorithm.frames_per_update


class Run:
    """One call of `fit`: where it stands, what is on its way, what is on the disk."""

    def __init__(
        self, plan: Plan, folder: RunFolder | None, progress: AbstractProgress, resume: bool
    ) -> None:
        self.plan = plan
        self.folder = folder
        self.progress = progress
        self.interrupted = False
        self.update = 0  # of the chunks sent off, those still running included
        self.rows: list[Row] = []
        self.pending: tuple[int, int, Any] | None = None
        self.healthy = jnp.array(True)
        self.busy_seconds = 0.0
        self.busy_steps = 0
        self._sinks: dict[str, RowFile] = {}
        # Whatever speaks against the run is said before anything is compiled.
        self.state = self._restore(resume)
        self._say_hello()
        progress.message("compiling")
        self.programs = Programs(plan.algorithm, plan.keys, plan.chunk, plan.episodes)
        if self.state is None:
            self.state = start_seeds(plan.algorithm, plan.keys)
        self.compile_seconds = self.programs.wait()
        self.mark = self.saved_at = time.monotonic()
        progress.message(f"compiled in {self.compile_seconds:.1f} s")

    # Beginning

    def _say_hello(self) -> None:
        plan = self.plan
        seeds = "1 seed" if plan.seeds == 1 else f"{plan.seeds} seeds"
        where = "" if self.folder is None else f", run folder {self.folder.path}"
        if self.update:
            where += f", continued at {self.update * plan.frames:,}"
        self.progress.message(
            f"{plan.total * plan.frames:,} steps = {plan.total:,} updates of {plan.frames:,}, "
            f"{seeds}, on {jax.default_backend()}{where}"
        )

    def _restore(self, resume: bool) -> Any:
        """The state to continue from, or None for a fresh beginning."""
        folder = self.folder
        if folder is None:
            return None
        if folder.exists() and not resume:
            raise FileExistsError(
                f"{folder.path} already holds a run: continue it with resume=True, "
                "or choose another checkpoint_dir"
            )
        if folder.exists():
            _refuse_other_config(folder, self.plan.config)
        if not _checkpoint.checkpoint_paths(folder.checkpoints):
            folder.begin(self.plan.config)
            return None
        like = state_shape(self.plan.algorithm, self.plan.keys)
        found = _checkpoint.load_checkpoint(folder.checkpoints, like, config=self.plan.config)
        if found.update > self.plan.total:
            raise FitArgumentError(
                f"{folder.path} holds a run of {found.update * self.plan.frames:,} steps, more "
                f"than the {self.plan.total * self.plan.frames:,} asked for: raise steps"
            )
        self.rows = folder.rewind(found.update, self.plan.evaluation_period, self.plan.total)
        self.update = found.update
        return found.state

    @contextlib.contextmanager
    def files(self) -> Iterator[None]:
        """Keeps the row files of the folder open."""
        folder = self.folder
        if folder is not None:
            paths = (folder.metrics, folder.evaluation, folder.timing)
            self._sinks = {path.stem: RowFile(path) for path in paths}
        try:
            yield
        finally:
            for sink in self._sinks.values():
                sink.close()

    # The loop

    def go(self) -> FitResult:
        """Runs to the end."""
        while self.update < self.plan.total:
            sent = self._send()
            self._receive()
            self.pending = sent
            if self._must_stop():
                self._receive()
                self._stop_over()
        self._receive()
        evaluation = self._evaluate()
        self._save()
        self._plot()
        return self._result(evaluation)

    def _send(self) -> tuple[int, int, Any]:
        """Sends the next chunk off, and returns at once."""
        count = self._next_count()
        self.state, *report, self.healthy = self.programs.chunk(count, self.healthy, self.state)
        first = self.update
        self.update += count
        return first, count, report

    def _next_count(self) -> int:
        """Updates of the next chunk: it ends where an evaluation is due."""
        ends = [self.update + self.plan.chunk, self.plan.total]
        if period := self.plan.evaluation_period:
            ends.append((self.update // period + 1) * period)
        return min(ends) - self.update

    def _receive(self) -> None:
        """Waits for the chunk on its way, and writes down what it reports."""
        if self.pending is None:
            return
        (first, count, report), self.pending = self.pending, None
        metrics, done = jax.device_get(report)
        plan = self.plan
        rows = metric_rows(metrics, first, int(done), plan.frames)
        self.rows += rows
        self._write("metrics", rows)
        seconds = self._lap()
        self.busy_seconds += seconds
        self.busy_steps += count * plan.frames * plan.seeds
        update = first + int(done)
        timing = {"update": update, "seconds": round(seconds, 4)}
        self._write("timing", [{**timing, "steps_per_second": round(self.speed, 1)}])
        self._report(update)
        if done < count:
            self._fail(update, jax.tree.map(lambda x: x[int(done)], metrics))

    def _must_stop(self) -> bool:
        return self.interrupted or self._evaluation_due() or self._checkpoint_due()

    def _stop_over(self) -> None:
        """Between two chunks, with nothing on its way: evaluate, save, or end."""
        if self._evaluation_due() and self.update < self.plan.total:
            self._evaluate()
        if self.interrupted or self._checkpoint_due():
            self._save()
        if self.interrupted:
            where = "nothing was saved: there is no checkpoint_dir"
            if self.folder is not None:
                where = f"saved in {self.folder.path}; continue with resume"
            raise KeyboardInterrupt(f"stopped after update {self.update}; {where}")
        self._lap()

    def _evaluation_due(self) -> bool:
        period = self.plan.evaluation_period
        return period is not None and self.update % period == 0

    def _checkpoint_due(self) -> bool:
        late = time.monotonic() - self.saved_at >= self.plan.checkpoint_seconds
        return self.folder is not None and late

    # What it does between chunks

    def _evaluate(self) -> Evaluation:
        plan = self.plan
        fold = jax.vmap(jax.random.fold_in, in_axes=(0, None))
        keys = fold(fold(plan.keys, _EVALUATION_STREAM), self.update)
        result = jax.device_get(self.programs.evaluate(self.state, keys))
        returns, lengths = complete_values(result, "returns"), complete_values(result, "lengths")
        steps = self.update * plan.frames
        self._write("evaluation", _evaluation_rows(self.update, steps, returns, lengths))
        self.progress.message(f"{steps:,} steps: greedy {interval_text(returns)}")
        return result

    def _save(self) -> None:
        if self.folder is None:
            return
        # The rows first: a checkpoint counts on every row before it.
        for sink in self._sinks.values():
            sink.sync()
        _checkpoint.save_checkpoint(
            self.folder.checkpoints,
            self.state,
            update=self.update,
            config=self.plan.config,
            keep=self.plan.keep,
        )
        self.saved_at = time.monotonic()

    def _plot(self) -> None:
        if self.folder is None:
            return
        if find_spec("matplotlib") is None:
            self.progress.message(
                'no picture: pip install "memoalg[plot]" draws the learning curve'
            )
            return
        plot_runs([self.folder.path])

    def _fail(self, update: int, metrics: Any) -> None:
        """Stops at a loss that is not finite. The state in hand is still the one before it."""
        self.update = update
        bad = metric_rows(jax.tree.map(lambda x: x[None], metrics), update, 1, self.plan.frames)
        names = [
            f"{name} of seed {row['seed']}"
            for row in bad
            for name, value in row.items()
            if is_vital(name) and value is None
        ]
        self._save()
        where = "is carried by this error"
        if self.folder is not None:
            where = f"is in {self.folder.checkpoints}"
        raise NonFiniteLossError(
            f"update {update + 1}: {', '.join(names)} is not finite; the last good state, after "
            f"update {update}, {where}. Lower learning_rate or max_grad_norm, or look at rewards "
            "and observations",
            self.state,
            update + 1,
        )

    # Small things

    @property
    def speed(self) -> float:
        """Steps per second of all seeds."""
        return self.busy_steps / max(self.busy_seconds, 1e-9)

    def _lap(self) -> float:
        now = time.monotonic()
        seconds, self.mark = now - self.mark, now
        return seconds

    def _write(self, name: str, rows: list[Row]) -> None:
        if self.folder is not None:
            self._sinks[name].append(rows)

    def _report(self, update: int) -> None:
        plan = self.plan
        known = [row["return"] for row in self.rows[-plan.chunk * plan.seeds :]]
        known = [value for value in known if value is not None]
        left = (plan.total - update) * plan.frames * plan.seeds
        self.progress.report(
            Report(
                steps=update * plan.frames,
                total_steps=plan.total * plan.frames,
                steps_per_second=self.speed,
                episode_return=float(np.mean(known)) if known else None,
                seconds_left=left / self.speed,
            )
        )

    def _result(self, evaluation: Evaluation) -> FitResult:
        names = self.rows[0] if self.rows else ()
        return FitResult(
            state=self.state,
            evaluation=evaluation,
            metrics={name: stack_rows(self.rows, name, self.plan.seeds) for name in names},
            steps=self.update * self.plan.frames,
            steps_per_second=self.speed,
            compile_seconds=self.compile_seconds,
            folder=None if self.folder is None else self.folder.path,
        )


def _evaluation_rows(
    update: int, steps: int, returns: list[np.ndarray], lengths: list[np.ndarray]
) -> list[Row]:
    return [
        {
            "update": update,
            "steps": steps,
            "seed": seed,
            "mean": plain(r.mean()) if len(r) else None,
            "returns": [plain(x) for x in r],
            "lengths": [plain(x) for x in n],
        }
        for seed, (r, n) in enumerate(zip(returns, lengths, strict=True))
    ]


def _refuse_other_config(folder: RunFolder, config: Any) -> None:
    """Said before the checkpoint is opened, which a run killed early does not have yet."""
    lines = differences(folder.read_config(), config)
    if lines:
        raise _checkpoint.CheckpointError(
            f"{folder.path} holds a run of another configuration: {'; '.join(lines[:8])}"
        )
