"""`memoalg train`."""

import dataclasses
import math
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Generic

import jax

from memoalg import envs, rl
from memoalg.rl._experiment import Config, Experiment, algorithm_class

from ._errors import RunError, UsageError, told_as_usage
from ._experiment import build, given, load, without_prefix
from ._parse import parse


@dataclasses.dataclass(frozen=True)
class Train(Generic[Config]):
    """Train an agent with a memory, or continue a run.

    The hyper-parameters listed are those of the chosen algorithm: `memoalg train --algorithm pqn
    --help` lists another's. `--ppo.NAME` is `--NAME`, and is refused with another algorithm.

    Attributes:
        algorithm: Who learns: ppo, pqn or dqn.
        experiment: What is trained.
        steps: Environment steps of each seed, rounded up to whole updates.
        out: Run folder; by default a new one in `runs/`.
        resume: Run folder to continue, with its options; `--steps` is then the new total.
        evaluate_every: Environment steps between evaluations; None evaluates only in the end.
        evaluation_episodes: Complete greedy episodes per evaluation and seed.
        checkpoint_seconds: Least time between two checkpoints, in seconds.
        keep: Newest checkpoints that are kept.
        chunk: Updates per compiled call.
        quiet: Show no progress.
    """

    algorithm: str = "ppo"
    experiment: Experiment[Config] = dataclasses.field(
        default_factory=Experiment  # pyright: ignore[reportAssignmentType]
    )
    steps: int = 262_144
    out: Path | None = None
    resume: Path | None = None
    evaluate_every: int | None = 50_000
    evaluation_episodes: int = 128
    checkpoint_seconds: float = 30.0
    keep: int = 2
    chunk: int = 8
    quiet: bool = False

    def __post_init__(self) -> None:
        # `fit` says the same, but only after a folder was made for the run.
        rl.check_sizes({"steps": self.steps, "keep": self.keep, "chunk": self.chunk})
        rl.check_sizes({"evaluation_episodes": self.evaluation_episodes})
        rl.check_sizes({"seeds": self.experiment.seeds})


def run(argv: Sequence[str]) -> None:
    """Trains; progress goes to the standard error stream, the result to the standard output."""
    options = _options(argv)
    experiment = options.experiment
    algorithm = build(experiment)
    folder = options.resume or options.out or _new_folder(experiment)
    experiment.save(folder)
    result = _fit(options, algorithm, folder)
    print(result)
    _print_scale(experiment.env, result)


def _options(argv: Sequence[str]) -> Train[Any]:
    """The options; those of the run that is continued are the defaults."""
    default = _default(argv)
    options: Train[Any] = parse(
        # The class says which hyper-parameters there are.
        Train[type(default.experiment.config)],
        without_prefix(argv, default.algorithm),
        "train",
        default,
    )
    if options.resume is not None and options.out is not None:
        raise UsageError("train: --resume continues in the run's own folder; leave out --out")
    if options.out is not None and rl.RunFolder(options.out).exists():
        raise UsageError(
            f"train: {options.out} already holds a run: continue it with --resume {options.out}, "
            "or choose another --out"
        )
    return options


def _default(argv: Sequence[str]) -> Train[Any]:
    folder, name = given(argv, "--resume"), given(argv, "--algorithm")
    if folder is None:
        with told_as_usage():
            config = algorithm_class(name or "ppo", "train").config_kind()
        return Train(algorithm=name or "ppo", experiment=Experiment(config=config))
    experiment = load(Path(folder))
    if name not in (None, experiment.algorithm):
        raise UsageError(
            f"train: {folder} is a run of {experiment.algorithm}, it cannot go on with {name}; "
            "leave out --algorithm"
        )
    return Train(algorithm=experiment.algorithm, experiment=experiment, resume=Path(folder))


def _new_folder(experiment: Experiment[Any]) -> Path:
    """The first free folder of that name: a second run does not disturb the first one."""
    candidates = (Path("runs") / f"{experiment.name}{s}" for s in _suffixes())
    return next(path for path in candidates if not path.exists())


def _suffixes():
    yield ""
    number = 2
    while True:
        yield f"-{number}"
        number += 1


def _fit(options: Train[Any], algorithm: Any, folder: Path) -> rl.FitResult:
    experiment = options.experiment
    try:
        with told_as_usage(rl.FitArgumentError, rl.CheckpointError, FileExistsError):
            return rl.fit(
                algorithm,
                jax.random.key(experiment.seed),
                options.steps,
                seeds=experiment.seeds,
                checkpoint_dir=folder,
                checkpoint_seconds=options.checkpoint_seconds,
                keep=options.keep,
                evaluate_every=options.evaluate_every,
                evaluation_episodes=options.evaluation_episodes,
                chunk=options.chunk,
                progress=rl.NoProgress() if options.quiet else None,
                resume=options.resume is not None,
            )
    except (rl.NonFiniteLossError, OSError) as error:
        raise RunError(str(error)) from error
    except KeyboardInterrupt:
        again = shlex.join(["memoalg", "train", "--resume", str(folder)])
        print(f"to go on: {again} --steps {options.steps}", file=sys.stderr)
        raise


def _print_scale(name: str, result: rl.FitResult) -> None:
    """Says what the return is worth."""
    try:
        scale = envs.anchors(name)
    except ValueError:
        return
    returns = [float(r.mean()) for r in result.complete_returns() if len(r)]
    if not returns:
        print("no evaluation episode came to its end")
        return
    mean = math.fsum(returns) / len(returns)
    print(
        f"greedy evaluation return {mean:.3f}; optimum {scale.optimal:g}, random {scale.random:g}; "
        f"normalised score {float(envs.normalised_score(name, mean)):.3f}"
    )
