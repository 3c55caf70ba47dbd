"""The training driver: the only host loop. Everything it runs is a jitted chunk of updates."""

import contextlib
import math
import signal
import threading
from collections.abc import Iterator, Sequence
from os import PathLike
from typing import Any

from jaxtyping import Array, Key, UInt32

from . import _checkpoint
from ._errors import FitArgumentError, check_sizes
from ._folder import RunFolder
from ._layout import choose_layout
from ._loggers import AbstractLogger
from ._outputs import Outputs
from ._plan import Plan
from ._population import Population
from ._progress import AbstractProgress, default_progress
from ._result import FitResult
from ._run import Run
from ._seeds import Algorithm, seed_keys


def fit(
    algo: Algorithm | Population,
    key: Key[Array, ""] | UInt32[Array, " 2"],
    steps: int,
    *,
    seeds: int = 1,
    checkpoint_dir: str | PathLike[str] | None = None,
    checkpoint_seconds: float = 30.0,
    keep: int = 2,
    evaluate_every: int | None = None,
    evaluation_episodes: int = 128,
    stop_at: float | None = None,
    chunk: int = 8,
    progress: AbstractProgress | None = None,
    loggers: Sequence[AbstractLogger] = (),
    resume: bool = False,
) -> FitResult:
    """Trains: jitted chunks of updates, with progress, metrics, checkpoints and evaluation.

    Nothing here changes what is learned: for one seed the final state is bit for bit that of
    `algo.train(key, steps)` on a CPU, whatever the chunk, the checkpoints, the evaluations and
    however often the run was interrupted. What the programs will take in memory is said before the
    first step, and refused if it is more than there is.

    Args:
        algo: such as `PPO(env, params, agent, config)`; or a `Population` of one, with seeds and
            swept hyper-parameters.
        key: random key of the whole run, typed or old.
        steps: environment steps of each member, rounded up to whole updates; when resuming, the
            total and not what is added.
        seeds: how many agents to train side by side, each on its own split of `key`:
            `fit(algo, key, steps, seeds=n)` is `fit(Population(algo, n), key, steps)`. One after
            another within one program on a CPU, vmapped on an accelerator, divided over several
            devices.
        checkpoint_dir: the run folder (see `RunFolder`); None keeps everything in memory.
        checkpoint_seconds: least time between two checkpoints, in seconds; one more is written
            after an evaluation that is the best so far, at the end and on Ctrl-C (SIGINT). 0
            writes one after every chunk.
        keep: newest checkpoints that are kept, at least 1; that with the best mean evaluation
            return is kept besides.
        evaluate_every: environment steps between evaluations, rounded to whole updates; None
            evaluates only in the end.
        evaluation_episodes: complete greedy episodes per evaluation and member.
        stop_at: end early when the mean evaluation return of all members is at least this; needs
            `evaluate_every`. Resuming without it, or with a higher one, goes on.
        chunk: updates per compiled call. The host looks at a chunk's metrics while the next runs.
        progress: how to show it; None picks a bar on a terminal and plain lines elsewhere.
        loggers: get every row as well, such as `TensorBoard(folder)` or `WandB(project)`.
        resume: continue the run in `checkpoint_dir` from its newest whole checkpoint; where there
            is none yet, begin.

    Returns:
        The last state, the metrics and the final evaluation.

    Raises:
        FitArgumentError: an argument is out of range, or the run does not fit into memory (a
            ValueError).
        CheckpointError: the run in `checkpoint_dir` has another configuration (a ValueError); the
            message names what differs.
        FileExistsError: `checkpoint_dir` holds a run and `resume` is False.
        NonFiniteLossError: a loss became NaN; the error carries the last good state.
        OSError: the disk is full; the last good checkpoint is untouched.
        KeyboardInterrupt: on Ctrl-C, after the state was saved.
    """
    sizes = {"steps": steps, "seeds": seeds, "keep": keep, "chunk": chunk}
    check_sizes({**sizes, "evaluation_episodes": evaluation_episodes})
    _check_evaluation(evaluate_every, stop_at)
    if not checkpoint_seconds >= 0:
        raise FitArgumentError(f"checkpoint_seconds must be at least 0, got {checkpoint_seconds!r}")
    if resume and checkpoint_dir is None:
        raise FitArgumentError("resume=True needs checkpoint_dir: the folder of the run")
    population = _population(algo, seeds)
    frames = population.algo.frames_per_update
    plan = Plan(
        population=population,
        layout=choose_layout(population.size),
        key=seed_keys(key, 1)[0],
        total=-(-steps // frames),
        chunk=chunk,
        evaluation_period=evaluate_every and max(1, round(evaluate_every / frames)),
        episodes=evaluation_episodes,
        stop_at=stop_at,
        checkpoint_seconds=checkpoint_seconds,
        keep=keep,
    )
    folder = RunFolder(checkpoint_dir) if checkpoint_dir is not None else None
    shown = default_progress() if progress is None else progress
    outputs = Outputs(folder, loggers)
    try:
        run = Run(plan, folder, outputs, shown, resume)
        begun = outputs.open(plan.config(), run.update * frames)
        with begun, _catch_interrupt(run), _disk_errors(folder):
            return run.go()
    finally:
        shown.close()


def _population(algo: Algorithm | Population, seeds: int) -> Population:
    if not isinstance(algo, Population):
        return Population(algo, seeds)
    if seeds != 1:
        raise FitArgumentError(
            f"seeds={seeds} beside a Population, which has its own: write "
            f"Population(algo, seeds={seeds}, sweep=...)"
        )
    return algo


def _check_evaluation(evaluate_every: int | None, stop_at: float | None) -> None:
    if evaluate_every is not None:
        check_sizes({"evaluate_every": evaluate_every})
    if stop_at is None:
        return
    if math.isnan(stop_at):
        raise FitArgumentError("stop_at must be a return, not nan")
    if evaluate_every is None:
        raise FitArgumentError(
            f"stop_at={stop_at!r} needs evaluate_every: the environment steps between evaluations"
        )


@contextlib.contextmanager
def _catch_interrupt(run: Run) -> Iterator[None]:
    """The first Ctrl-C asks for an end between two chunks, the second one ends at once."""

    def ask(signum: int, frame: Any) -> None:
        if run.interrupted:
            raise KeyboardInterrupt
        run.interrupted = True
        run.progress.message("stopping after this chunk; press Ctrl-C again to stop at once")

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _disk_errors(folder: RunFolder | None) -> Iterator[None]:
    """Says after a failed write what is still there."""
    try:
        yield
    except OSError as error:
        if folder is None:
            raise
        good = _checkpoint.checkpoint_paths(folder.checkpoints)
        last = f"the last good checkpoint is {good[-1]}" if good else "there is no checkpoint yet"
        raise OSError(
            error.errno, f"could not write to {folder.path} ({error.strerror}); {last}"
        ) from error
