"""From options to an experiment, and from a run folder back to it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from memoalg.rl._experiment import ALGORITHMS, Experiment, load_experiment

from ._errors import UsageError, told_as_usage


def load(folder: Path) -> Experiment[Any]:
    """Reads back what `memoalg train` wrote.

    Raises:
        UsageError: the folder was not made by `memoalg train`.
    """
    with told_as_usage():
        return load_experiment(folder)


def build(experiment: Experiment[Any]) -> Any:
    """The algorithm on the environment.

    Raises:
        UsageError: a name is unknown, or the parts do not fit.
    """
    with told_as_usage():
        return experiment.build()


def given(argv: Sequence[str], option: str) -> str | None:
    """The value after an option that is needed before the others can be read.

    >>> given(["--seed", "1", "--algorithm=pqn"], "--algorithm")
    'pqn'
    """
    for i, argument in enumerate(argv):
        if argument == option and i + 1 < len(argv) and argv[i + 1] != "None":
            return argv[i + 1]
        if argument.startswith(f"{option}="):
            return argument.removeprefix(f"{option}=")
    return None


def without_prefix(argv: Sequence[str], algorithm: str) -> list[str]:
    """Arguments with `--ppo.NAME` as `--NAME`, where PPO is the algorithm.

    Raises:
        UsageError: a prefix is that of another algorithm.

    >>> without_prefix(["--ppo.discount", "0.9"], "ppo")
    ['--discount', '0.9']
    """
    arguments = []
    for argument in argv:
        prefix, point, rest = argument.partition(".")
        name = prefix.removeprefix("--")
        if point and prefix.startswith("--") and name in ALGORITHMS:
            if name != algorithm:
                raise UsageError(
                    f"train: {argument} is for {name}, but this run is one of {algorithm}; write "
                    f"--algorithm {name}, or --{algorithm}.{rest}"
                )
            argument = f"--{rest}"
        arguments.append(argument)
    return arguments
