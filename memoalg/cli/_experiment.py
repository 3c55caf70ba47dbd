"""From options to an algorithm, and from a run folder back to its options."""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

from memoalg import envs, rl

from ._errors import UsageError, told_as_usage

_FILE = "command.json"


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What is trained.

    Attributes:
        env: Id of the environment; `memoalg envs` lists them.
        memory: The agent's memory; `memoalg models` lists them, `mlp` has no memory.
        width: Hidden units of every part of the network.
        depth: Memory layers, one after the other.
        previous_action: Show the agent its last action beside the observation.
        episode_start: Show the agent whether an episode begins.
        seeds: Agents trained side by side, each from its own random key.
        seed: Random seed of the whole run.
        ppo: Hyper-parameters of PPO.
    """

    env: str = "popgym/RepeatPreviousEasy"
    memory: str = "lru"
    width: int = 128
    depth: int = 1
    previous_action: bool = False
    episode_start: bool = False
    seeds: int = 1
    seed: int = 0
    ppo: rl.PPOConfig = dataclasses.field(default_factory=rl.PPOConfig)

    @property
    def name(self) -> str:
        """Environment, memory and seed, as the name of a folder."""
        return f"{self.env.split('/')[-1]}-{self.memory}-seed{self.seed}"

    def algorithm(self) -> rl.PPO:
        """The algorithm on the environment.

        Raises:
            UsageError: a name is unknown, or the parts do not fit.
        """
        with told_as_usage():
            env, params = envs.make(self.env)
            if self.previous_action:
                env = envs.PreviousAction(env)
            if self.episode_start:
                env = envs.EpisodeStart(env)
            agent = rl.ActorCritic(memory=self.memory, width=self.width, depth=self.depth)
            return rl.PPO(env, params, agent, self.ppo)


def save(experiment: Any, folder: Path) -> None:
    """Writes options into a new run folder, atomically; those of a run that is there stay."""
    if (folder / _FILE).exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{_FILE}.{os.getpid()}.tmp"
    temporary.write_text(json.dumps(dataclasses.asdict(experiment), indent=2, default=str) + "\n")
    os.replace(temporary, folder / _FILE)


def load(folder: Path) -> Experiment:
    """Reads back what `save` wrote.

    Raises:
        UsageError: the folder was not made by `memoalg train`.
    """
    path = folder / _FILE
    if not path.is_file():
        what = "was not made by `memoalg train`" if folder.is_dir() else "does not exist"
        raise UsageError(f"{folder} {what}: it has no {_FILE}")
    fields = json.loads(path.read_text())
    with told_as_usage():
        return Experiment(**{**fields, "ppo": rl.PPOConfig(**fields["ppo"])})
