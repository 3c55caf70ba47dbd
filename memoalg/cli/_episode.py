"""One episode, step by step, with a picture of every state."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray, PyTree, UInt8

from memoalg import envs, rl

from . import _experiment
from ._errors import UsageError, told_as_usage

Act = Callable[[PRNGKeyArray, PyTree, PyTree, PyTree, Array], tuple[PyTree, PyTree]]
"""`(key, memory, observation, state, start) -> (memory, action)`."""


@dataclasses.dataclass(frozen=True)
class Player:
    """Who plays where.

    Attributes:
        env: The environment.
        params: Its parameters.
        act: Chooses actions.
        memory: What it holds in mind before the first step.
    """

    env: envs.AbstractEnvironment[Any, Any]
    params: Any
    act: Act
    memory: PyTree = None


@dataclasses.dataclass(frozen=True)
class Frame:
    """A state of the episode and how it was reached.

    Attributes:
        picture: Of the state.
        step: Steps so far.
        told: The action as text.
        reward: Of the step.
        total: The return so far.
        over: Whether the episode has ended.
    """

    picture: UInt8[np.ndarray, "height width 3"]
    step: int = 0
    told: str = ""
    reward: float = 0.0
    total: float = 0.0
    over: bool = False


def random_player(env: envs.AbstractEnvironment[Any, Any], params: Any) -> Player:
    """Draws actions uniformly."""
    space = env.action_space(params)
    return Player(env, params, lambda key, memory, *_: (memory, space.sample(key)))


def oracle_player(env: envs.AbstractEnvironment[Any, Any], params: Any) -> Player:
    """Sees the state."""
    return Player(
        env, params, lambda key, memory, seen, state, start: (memory, env.oracle(state, params))
    )


def agent_player(folder: Path, name: str) -> Player:
    """The first agent of a run, without exploration.

    Raises:
        UsageError: there is no such run, or it was trained on another environment.
    """
    experiment = _experiment.load(folder)
    if experiment.env != name:
        raise UsageError(f"the agent of {folder} was trained on {experiment.env}, not on {name}")
    algorithm = experiment.algorithm()
    with told_as_usage(FileNotFoundError, rl.CheckpointError):
        state = rl.load_run(folder, algorithm).state
    agent = jax.tree.map(lambda leaf: leaf[0], state.agent) if experiment.seeds > 1 else state.agent
    network = algorithm.network(agent)

    def act(key: Any, memory: Any, observation: Any, state: Any, start: Any) -> tuple[Any, Any]:
        memory, policy, _ = network.step(memory, observation, start)
        return memory, policy.mode()

    return Player(algorithm.env, algorithm.params, act, network.init_carry())


def play(player: Player, key: PRNGKeyArray, steps: int) -> list[Frame]:
    """Play until the episode ends, or for `steps` steps.

    Returns:
        The first state and one more for every step.
    """
    env, params = player.env, player.params
    key_reset, key = jax.random.split(key)
    observation, state = jax.jit(env.reset)(key_reset, params)
    act, transition = jax.jit(player.act), jax.jit(env.transition)
    frames, memory = [Frame(env.render(state))], player.memory
    for step in range(1, steps + 1):
        key_act, key_env = jax.random.split(jax.random.fold_in(key, step))
        memory, action = act(key_act, memory, observation, state, jnp.asarray(step == 1))
        observation, state, reward, *ends = transition(key_env, state, action, params)
        total, over = frames[-1].total + float(reward), any(map(bool, ends))
        told = np.array2string(np.asarray(action), precision=2)
        frames.append(Frame(env.render(state), step, told, float(reward), total, over))
        if over:
            break
    return frames
