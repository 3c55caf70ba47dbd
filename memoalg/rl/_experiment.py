"""One experiment by names: environment, memory, algorithm; saved in a run folder as JSON."""

import dataclasses
import difflib
import json
import os
from pathlib import Path
from typing import Any, Generic, TypeVar

import jax.numpy as jnp

from memoalg import envs
from memoalg.algebra import Moments

from ._config import PPOConfig
from ._dqn import DQN
from ._ppo import PPO
from ._pqn import PQN

ALGORITHMS: dict[str, Any] = {"ppo": PPO, "pqn": PQN, "dqn": DQN}
"""Every algorithm by its name; each class says what its agent and its configuration are."""

FILE = "command.json"

Config = TypeVar("Config")
"""The hyper-parameters of one algorithm."""


@dataclasses.dataclass(frozen=True)
class Experiment(Generic[Config]):
    """What is trained, by names and numbers only.

    Attributes:
        env: Id of the environment; `memoalg envs` lists them.
        memory: The agent's memory; `memoalg models` lists them, `mlp` has no memory.
        width: Hidden units of every part of the network.
        depth: Memory layers, one after the other.
        separate: Give the value a torso and a memory of its own (ppo).
        dueling: Give a state's value and the actions' advantages a head each (pqn, dqn).
        previous_action: Show the agent its last action beside the observation.
        episode_start: Show the agent whether an episode begins.
        normalise_observations: Bring observations to mean 0 and deviation 1 by running statistics.
        normalise_rewards: Divide rewards by the running deviation of the discounted return.
        seeds: Agents trained side by side, each from its own random key.
        seed: Random seed of the whole run.
        config: Hyper-parameters; their class says which algorithm it is.

    Example:
        >>> import memoalg as ma
        >>> small = ma.rl.PPOConfig(num_envs=4, num_steps=8)
        >>> experiment = ma.rl.Experiment(memory="gru", width=8, config=small)
        >>> experiment.algorithm, experiment.build().frames_per_update
        ('ppo', 32)
    """

    env: str = "popgym/RepeatPreviousEasy"
    memory: str = "lru"
    width: int = 128
    depth: int = 1
    separate: bool = False
    dueling: bool = False
    previous_action: bool = False
    episode_start: bool = False
    normalise_observations: bool = False
    normalise_rewards: bool = False
    seeds: int = 1
    seed: int = 0
    config: Config = dataclasses.field(default_factory=PPOConfig)  # pyright: ignore[reportAssignmentType]

    @property
    def algorithm(self) -> str:
        """The algorithm's name, which its configuration says."""
        for name, kind in ALGORITHMS.items():
            if isinstance(self.config, kind.config_kind):
                return name
        raise TypeError(
            f"Experiment: config must be one of {_config_names()}, not "
            f"{type(self.config).__name__}; write config=ma.rl.PPOConfig(...)"
        )

    @property
    def name(self) -> str:
        """Environment, memory, algorithm (but for PPO) and seed, as the name of a folder."""
        parts = [self.env.split("/")[-1], self.memory, self.algorithm, f"seed{self.seed}"]
        return "-".join(part for part in parts if part != "ppo")

    def build(self) -> Any:
        """The algorithm on the environment.

        Raises:
            ValueError: a name is unknown, or a number is out of range.
            TypeError: the parts do not fit, such as continuous actions and action values.
        """
        kind = ALGORITHMS[self.algorithm]
        env, params = envs.make(self.env)
        wrapped = self._wrapped(env)
        params = params if wrapped is env else wrapped.default_params()
        return kind(wrapped, params, self._agent(kind.agent_kind), self.config)

    def save(self, folder: Path) -> None:
        """Writes this into a new run folder, atomically; what is there already stays."""
        if (folder / FILE).exists():
            return
        folder.mkdir(parents=True, exist_ok=True)
        fields = dataclasses.asdict(self)
        fields |= {"algorithm": self.algorithm, self.algorithm: fields.pop("config")}
        temporary = folder / f".{FILE}.{os.getpid()}.tmp"
        temporary.write_text(json.dumps(fields, indent=2, default=str) + "\n")
        os.replace(temporary, folder / FILE)

    @property
    def agent_fields(self) -> frozenset[str]:
        """What the recipe of the algorithm's network takes."""
        kind = ALGORITHMS[self.algorithm].agent_kind
        return frozenset(field.name for field in dataclasses.fields(kind))

    def _agent(self, kind: Any) -> Any:
        own = self.agent_fields
        for name in ("separate", "dueling"):
            if getattr(self, name) and name not in own:
                raise ValueError(f"{self.algorithm} has no agent with {name}; leave {name} out")
        common = own & {field.name for field in dataclasses.fields(self)}
        return kind(**{name: getattr(self, name) for name in common})

    def _wrapped(self, env: Any) -> Any:
        if self.previous_action:
            env = envs.PreviousAction(env)
        if self.episode_start:
            env = envs.EpisodeStart(env)
        if self.normalise_observations:
            env = _flat(env)
            shape = env.observation_space(env.default_params()).shape
            env = envs.NormaliseObservation(env, Moments(shape))
        if self.normalise_rewards:
            config: Any = self.config
            env = envs.NormaliseReward(env, Moments(), discount=config.discount)
        return env


def load_experiment(folder: Path) -> Experiment[Any]:
    """Reads back what `Experiment.save` wrote.

    Args:
        folder: a run folder of `memoalg train` or of a study.

    Returns:
        The experiment; of a folder from before there were several algorithms, one of PPO.

    Raises:
        FileNotFoundError: the folder was not made by `memoalg train`.
        ValueError: it was written by another version whose options this one does not have.
    """
    path = folder / FILE
    if not path.is_file():
        what = "was not made by `memoalg train`" if folder.is_dir() else "does not exist"
        raise FileNotFoundError(f"{folder} {what}: it has no {FILE}")
    fields = json.loads(path.read_text())
    name = fields.pop("algorithm", "ppo")
    config = make_config(name, _modern(fields.pop(name)), str(path))
    known = {field.name for field in dataclasses.fields(Experiment)}
    if unknown := sorted(set(fields) - known):
        raise ValueError(f"{path} is of another version: it says {', '.join(unknown)}")
    return Experiment(**fields, config=config)


def _modern(fields: dict[str, Any]) -> dict[str, Any]:
    """Hyper-parameters as they are spelt now: `normalize_advantages` was a bool."""
    if isinstance(fields.get("normalize_advantages"), bool):
        word = "minibatch" if fields["normalize_advantages"] else "none"
        return {**fields, "normalize_advantages": word}
    return fields


def algorithm_class(name: str, where: str) -> Any:
    """The algorithm of this name.

    Args:
        name: as in `ALGORITHMS`.
        where: for the message.

    Raises:
        ValueError: there is none.
    """
    if name not in ALGORITHMS:
        raise ValueError(f"{where}: unknown algorithm {name!r}; {nearest(name, ALGORITHMS)}")
    return ALGORITHMS[name]


def make_config(name: str, fields: dict[str, Any], where: str) -> Any:
    """The configuration of an algorithm from named values.

    Args:
        name: of the algorithm.
        fields: its hyper-parameters; those left out have their defaults.
        where: for the message.

    Raises:
        ValueError: the algorithm or a hyper-parameter is unknown, or a value is out of range.
    """
    kind = algorithm_class(name, where).config_kind
    known = [field.name for field in dataclasses.fields(kind)]
    for field in fields:
        if field not in known:
            raise ValueError(f"{where}: {name} has no {field!r}; {nearest(field, known)}")
    return kind(**fields)


def nearest(word: str, known: Any) -> str:
    """What to say about a word that is not among the known ones.

    >>> nearest("gruu", ["gru", "lru"]), nearest("x", ["gru", "lru"])
    ('did you mean gru?', 'there are gru, lru')
    """
    found = difflib.get_close_matches(word, list(known), 1, 0.6)
    return f"did you mean {found[0]}?" if found else f"there are {', '.join(known)}"


def _config_names() -> str:
    return ", ".join(kind.config_kind.__name__ for kind in ALGORITHMS.values())


def _flat(env: Any) -> Any:
    """The environment with an array of floats as observation, which is what has moments."""
    space = env.observation_space(env.default_params())
    floats = isinstance(space, envs.Box) and jnp.issubdtype(space.dtype, jnp.floating)
    return env if floats else envs.Flatten(env)
