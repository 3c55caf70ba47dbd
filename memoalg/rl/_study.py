"""A study: a grid of experiments, by names and numbers only."""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

from ._config import PPOConfig
from ._experiment import Experiment


class StudyError(ValueError):
    """A study that cannot be run as it is written; the message says what to write."""


@dataclasses.dataclass(frozen=True)
class Study:
    """Every memory on every environment by every algorithm, with several seeds each.

    Attributes:
        environments: Ids of environments (`ma.envs.names()`).
        memories: Names of memories (`ma.nn.names()`).
        configs: Hyper-parameters; their classes say which algorithms they are. Several of one
            class make a sweep.
        steps: Environment steps of each seed, rounded up to whole updates.
        seeds: Agents of each cell, trained side by side.
        seed: Random seed of every cell: each is the run that `memoalg train --seed` makes.
        width: Hidden units of every part of the network.
        depth: Memory layers, one after the other.
        separate: As in `Experiment`; for the algorithms that know it.
        dueling: As in `Experiment`; for the algorithms that know it.
        previous_action: Show agents their last action beside the observation.
        episode_start: Show agents whether an episode begins.
        normalise_observations: As in `Experiment`.
        normalise_rewards: As in `Experiment`.
        evaluate_every: Environment steps between evaluations; None evaluates only in the end.
        evaluation_episodes: Complete episodes per evaluation and seed.

    Raises:
        StudyError: A list is empty or names something twice, or a number is not positive.

    Example:
        >>> import memoalg as ma
        >>> tasks = ("popgym/RepeatFirstEasy", "popgym/RepeatPreviousEasy")
        >>> study = ma.rl.Study(environments=tasks, memories=("lru", "gru"), steps=1000)
        >>> [cell.name for cell in study.cells()][:2]
        ['RepeatFirstEasy-lru-ppo', 'RepeatFirstEasy-gru-ppo']
    """

    environments: tuple[str, ...]
    memories: tuple[str, ...]
    configs: tuple[Any, ...] = (PPOConfig(),)
    steps: int = 262_144
    seeds: int = 3
    seed: int = 0
    width: int = 128
    depth: int = 1
    separate: bool = False
    dueling: bool = False
    previous_action: bool = False
    episode_start: bool = False
    normalise_observations: bool = False
    normalise_rewards: bool = False
    evaluate_every: int | None = None
    evaluation_episodes: int = 128

    def __post_init__(self) -> None:
        for name in ("environments", "memories", "configs"):
            _check_list(name, getattr(self, name))
        for name in ("steps", "seeds", "evaluation_episodes"):
            _check_size(name, getattr(self, name))
        if self.evaluate_every is not None:
            _check_size("evaluate_every", self.evaluate_every)

    def cells(self) -> tuple["Cell", ...]:
        """One experiment per environment, algorithm and memory, in this order.

        Raises:
            StudyError: an entry of `configs` is no configuration.
        """
        for config in self.configs:
            if not dataclasses.is_dataclass(config):
                raise StudyError(
                    f"a study's configs are hyper-parameters, got {config!r}; write "
                    "configs=(ma.rl.PPOConfig(...),)"
                )
        swept = [_swept(config, self.configs) for config in self.configs]
        prefixes = _prefixes(self.environments)
        cells = []
        for env, (config, differing) in itertools.product(
            self.environments, zip(self.configs, swept, strict=True)
        ):
            for memory in self.memories:
                experiment = self._experiment(env, memory, config)
                parts = [prefixes[env], memory, experiment.algorithm]
                parts += [f"{name}={value}" for name, value in differing.items()]
                cells.append(Cell("-".join(parts), experiment, differing))
        return tuple(cells)

    def _experiment(self, env: str, memory: str, config: Any) -> Experiment[Any]:
        own = {f.name for f in dataclasses.fields(Experiment)}
        common = [f.name for f in dataclasses.fields(self) if f.name in own]
        fields = {name: getattr(self, name) for name in common}
        experiment = Experiment(**{**fields, "env": env, "memory": memory, "config": config})
        unknown = {n: False for n in ("separate", "dueling") if n not in experiment.agent_fields}
        return dataclasses.replace(experiment, **unknown)


@dataclasses.dataclass(frozen=True)
class Cell:
    """One experiment of a study.

    Attributes:
        name: Of its folder.
        experiment: What is trained.
        swept: The hyper-parameters in which it differs from others of its algorithm.
    """

    name: str
    experiment: Experiment[Any]
    swept: dict[str, Any]


def _prefixes(environments: Sequence[str]) -> dict[str, str]:
    """Short names of environments; the whole id where two suites share one."""
    short = [env.rpartition("/")[2] for env in environments]
    return {
        env: name if short.count(name) == 1 else env.replace("/", "-")
        for env, name in zip(environments, short, strict=True)
    }


def _swept(config: Any, configs: Sequence[Any]) -> dict[str, Any]:
    """The fields in which a configuration differs from another one of its class."""
    same = [other for other in configs if type(other) is type(config)]
    return {
        field.name: getattr(config, field.name)
        for field in dataclasses.fields(config)
        if any(getattr(other, field.name) != getattr(config, field.name) for other in same)
    }


def _check_list(name: str, values: Any) -> None:
    if isinstance(values, str) or not isinstance(values, Sequence) or not values:
        raise StudyError(f"a study's {name} must be a list with entries, got {values!r}")
    twice = [value for i, value in enumerate(values) if value in values[:i]]
    if twice:
        raise StudyError(f"a study's {name} name {twice[0]!r} twice; once is enough")


def _check_size(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise StudyError(f"a study's {name} must be an int of at least 1, got {value!r}")
