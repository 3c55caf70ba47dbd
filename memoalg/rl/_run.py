"""One run of `fit`: chunks sent off and received, and what happens between two of them."""

import time
from importlib.util import find_spec
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from . import _checkpoint
from ._curves import plot_runs
from ._errors import NonFiniteLossError
from ._evaluations import best_member, complete_values, evaluation_rows, interval_text, mean_score
from ._folder import RunFolder
from ._members import is_vital, start_members, state_shape, take_member
from ._memory import check_memory, state_use
from ._metrics import History, Row, member_returns, metric_rows
from ._outputs import Outputs
from ._plan import Plan
from ._population import label_text
from ._programs import Programs
from ._progress import AbstractProgress, Report
from ._restore import Beginning, restore
from ._result import FitResult
from ._state import Evaluation
from ._statistics import iqm

# Evaluation has its own stream: folded out of the run's key, never taken from the state's, so that
# evaluating more or less often changes nothing in training.
_EVALUATION_STREAM = 0x65766C


class Run:
    """One call of `fit`: where it stands, what is on its way, what is on the disk.

    Args:
        plan: what is asked for.
        folder: of the run, None for none.
        outputs: where rows go; opened by `fit`.
        progress: how it is shown.
        resume: whether the folder may hold a run already.
    """

    def __init__(
        self,
        plan: Plan,
        folder: RunFolder | None,
        outputs: Outputs,
        progress: AbstractProgress,
        resume: bool,
    ) -> None:
        self.plan = plan
        self.folder = folder
        self.outputs = outputs
        self.progress = progress
        self.interrupted = False
        self.labels = plan.population.labels()
        self.keys = plan.population.keys(plan.key)
        self.pending: tuple[int, int, Any] | None = None
        self.healthy = jnp.array(True)
        self.busy_seconds = 0.0
        self.busy_steps = 0
        self.score: float | None = None  # of the evaluation after update `scored_at`
        self.scored_at = -1
        self.stopped_with: Evaluation | None = None
        # Whatever speaks against the run is said before anything is compiled.
        check_memory(state_use(state_shape(plan.population, plan.layout), plan.layout), plan.layout)
        self._begin(restore(plan, folder, resume))

    def _begin(self, beginning: Beginning) -> None:
        self.update = beginning.update  # of the chunks sent off, those still running included
        self.end = beginning.update if beginning.stopped else self.plan.total
        self.best_score = beginning.best
        self.history = History(self.plan.members)
        self.history.append(beginning.rows)
        self._say_hello()
        self._compile(beginning.state)

    def _say_hello(self) -> None:
        where = "" if self.folder is None else f", run folder {self.folder.path}"
        if self.update:
            where += f", continued at {self.update * self.plan.frames:,}"
        devices = len(self.plan.layout.devices)
        on = f"{devices} {jax.default_backend()} devices" if devices else jax.default_backend()
        self.progress.message(f"{self.plan}, on {on}{where}")

    def _compile(self, state: Any) -> None:
        plan = self.plan
        self.progress.message("compiling")
        self.programs = Programs(plan.population, plan.layout, plan.chunk, plan.episodes)
        if state is None:
            state = start_members(plan.population, plan.layout, self.keys)
        self.state = state
        self.compile_seconds = self.programs.wait()
        self.mark = self.saved_at = time.monotonic()
        self.progress.message(f"compiled in {self.compile_seconds:.1f} s")
        self.progress.message(check_memory(self.programs.memory(), plan.layout))

    # The loop

    def go(self) -> FitResult:
        """Runs to the end."""
        while self.update < self.end:
            sent = self._send()
            self._receive()
            self.pending = sent
            if self._must_stop():
                self._receive()
                self._stop_over()
        self._receive()
        evaluation = self._evaluate() if self.stopped_with is None else self.stopped_with
        self._save()
        self._save_best_member(evaluation)
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
        ends = [self.update + self.plan.chunk, self.end]
        if period := self.plan.evaluation_period:
            ends.append((self.update // period + 1) * period)
        return min(ends) - self.update

    def _receive(self) -> None:
        """Waits for the chunk on its way, and writes down what it reports."""
        if self.pending is None:
            return
        (first, count, report), self.pending = self.pending, None
        metrics, done = jax.device_get(report)
        plan, done = self.plan, int(done)
        rows = metric_rows(metrics, first, done, plan.frames, self.labels)
        self.history.append(rows)
        seconds = self._lap()
        self.busy_seconds += seconds
        self.busy_steps += count * plan.frames * plan.members
        timing = {"update": first + done, "seconds": round(seconds, 4)}
        self.outputs.train(rows, {**timing, "steps_per_second": round(self.speed, 1)})
        self._report(first + done, rows)
        if done < count:
            self._fail(first + done, jax.tree.map(lambda x: x[done : done + 1], metrics))

    def _must_stop(self) -> bool:
        due = self.plan.evaluation_due(self.update) or self._checkpoint_due()
        return self.interrupted or due

    def _stop_over(self) -> None:
        """Between two chunks, with nothing on its way: evaluate, save, or end."""
        better = False
        if self.plan.evaluation_due(self.update) and self.update < self.plan.total:
            before = self.best_score
            evaluation = self._evaluate()
            better = self.score is not None and self.score >= before
            self._stop_early(evaluation)
        if self.interrupted or better or self._checkpoint_due():
            self._save()
        if self.interrupted:
            where = "nothing was saved: there is no checkpoint_dir"
            if self.folder is not None:
                where = f"saved in {self.folder.path}; continue with resume"
            raise KeyboardInterrupt(f"stopped after update {self.update}; {where}")
        self._lap()

    def _stop_early(self, evaluation: Evaluation) -> None:
        stop_at = self.plan.stop_at
        if stop_at is None or self.score is None or self.score < stop_at:
            return
        self.end, self.stopped_with = self.update, evaluation
        self.progress.message(
            f"ends early: the mean evaluation return {self.score:.3f} reached stop_at={stop_at:g}"
        )

    def _checkpoint_due(self) -> bool:
        late = time.monotonic() - self.saved_at >= self.plan.checkpoint_seconds
        return self.folder is not None and late

    # What it does between chunks

    def _evaluate(self) -> Evaluation:
        fold = jax.vmap(jax.random.fold_in, in_axes=(0, None))
        keys = fold(fold(self.keys, _EVALUATION_STREAM), self.update)
        result = jax.device_get(self.programs.evaluate(self.state, keys))
        steps = self.update * self.plan.frames
        rows = evaluation_rows(result, self.update, steps, self.labels)
        self.outputs.evaluation(rows)
        self.score, self.scored_at = mean_score(rows), self.update
        self.best_score = max(self.best_score, -np.inf if self.score is None else self.score)
        text = interval_text(complete_values(result, "returns"))
        self.progress.message(f"{steps:,} steps: greedy {text}")
        return result

    def _save(self) -> None:
        if self.folder is None:
            return
        # The rows first: a checkpoint counts on every row before it.
        self.outputs.sync()
        _checkpoint.save_checkpoint(
            self.folder.checkpoints,
            self.state,
            update=self.update,
            config=self.plan.config(),
            keep=self.plan.keep,
            score=self.score if self.scored_at == self.update else None,
        )
        self.saved_at = time.monotonic()

    def _save_best_member(self, evaluation: Evaluation) -> None:
        plan, index = self.plan, best_member(evaluation)
        if self.folder is None or plan.members == 1:
            return
        _checkpoint.save_checkpoint(
            self.folder.best,
            take_member(self.state, plan.members, index),
            update=self.update,
            config={**plan.config(), "of": self.labels[index]},
            keep=1,
        )

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
        bad = metric_rows(metrics, update, 1, self.plan.frames, self.labels)
        names = [
            f"{name} of {label_text(label)}"
            for row, label in zip(bad, self.labels, strict=True)
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
        """Steps per second of all members."""
        return self.busy_steps / max(self.busy_seconds, 1e-9)

    def _lap(self) -> float:
        now = time.monotonic()
        seconds, self.mark = now - self.mark, now
        return seconds

    def _report(self, update: int, rows: list[Row]) -> None:
        plan = self.plan
        known = member_returns(rows, plan.members)
        left = (plan.total - update) * plan.frames * plan.members
        self.progress.report(
            Report(
                steps=update * plan.frames,
                total_steps=plan.total * plan.frames,
                steps_per_second=self.speed,
                episode_return=float(np.mean(known)) if known else None,
                seconds_left=left / self.speed,
                iqm=float(iqm(np.array(known))) if known and plan.members > 1 else None,
                compile_seconds=self.compile_seconds,
            )
        )

    def _result(self, evaluation: Evaluation) -> FitResult:
        return FitResult(
            state=self.state,
            evaluation=evaluation,
            metrics=self.history.arrays(),
            steps=self.update * self.plan.frames,
            steps_per_second=self.speed,
            compile_seconds=self.compile_seconds,
            folder=None if self.folder is None else self.folder.path,
            population=self.plan.population,
        )
