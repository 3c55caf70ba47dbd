"""`memoalg eval`."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax
import numpy as np
from tyro.conf import Positional

from memoalg import rl

from . import _experiment
from ._errors import told_as_usage
from ._parse import parse
from ._table import table


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """Play complete episodes with the newest checkpoint of a run.

    Attributes:
        run: Run folder.
        episodes: Complete episodes per seed.
        seed: Random seed of the evaluation.
        stochastic: Sample actions instead of taking the likeliest.
    """

    run: Positional[Path]
    episodes: int = 1000
    seed: int = 0
    stochastic: bool = False


def run(argv: Sequence[str]) -> None:
    """Prints returns and lengths of each seed."""
    options = parse(Evaluate, argv, "eval")
    experiment = _experiment.load(options.run)
    algorithm = experiment.algorithm()
    with told_as_usage(FileNotFoundError, rl.CheckpointError):
        loaded = rl.load_run(options.run, algorithm)
    with told_as_usage(rl.FitArgumentError):
        result = rl.evaluate_run(
            algorithm,
            loaded.state,
            jax.random.key(options.seed),
            options.episodes,
            seeds=experiment.seeds,
            greedy=not options.stochastic,
        )
    print(f"{options.run}, update {loaded.update}: {options.episodes} episodes per seed")
    print(table(["seed", "complete", "return", "95 % interval", "length"], list(_rows(result))))


def _rows(result: rl.Evaluation) -> Iterator[list[str]]:
    parts = zip(*map(np.asarray, (result.returns, result.lengths, result.complete)), strict=True)
    for seed, (returns, lengths, complete) in enumerate(parts):
        mean, low, high = rl.summary_interval([returns[complete].tolist()])
        length = f"{lengths[complete].mean():.1f}" if complete.any() else ""
        interval = f"{low:.3f} to {high:.3f}"
        yield [str(seed), str(complete.sum()), f"{mean:.3f}", interval, length]
