"""One episode, step by step, with a picture of every state."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray, PyTree, UInt8

from memoalg import envs, rl

from ._errors import UsageError, told_as_usage
from ._experiment import build, load
from ._thought import Thought, thought_of

Act = Callable[[PRNGKeyArray, PyTree, PyTree, PyTree, Array], tuple[PyTree, PyTree, PyTree]]
"""`(key, memory, observation, state, start) -> (memory, action, (policy, value) or None)`."""


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
        thought: What the agent makes of it; None for the last state, and for others than agents.
    """

    picture: UInt8[np.ndarray, "height width 3"]
    step: int = 0
    told: str = ""
    reward: float = 0.0
    total: float = 0.0
    over: bool = False
    thought: Thought | None = None


def random_player(env: envs.AbstractEnvironment[Any, Any], params: Any) -> Player:
    """Draws actions uniformly."""
    space = env.action_space(params)
    return Player(env, params, lambda key, memory, *_: (memory, space.sample(key), None))


def oracle_player(env: envs.AbstractEnvironment[Any, Any], params: Any) -> Player:
    """Sees the state."""
    return Player(
        env,
        params,
        lambda key, memory, seen, state, start: (memory, env.oracle(state, params), None),
    )


def agent_player(
    folder: Path,
    *,
    member: int = 0,
    which: Literal["newest", "best"] = "newest",
    greedy: bool = True,
) -> Player:
    """An agent of a run, with the statistics it had gathered.

    Args:
        folder: of the run.
        member: which of several agents, from 0.
        which: the newest checkpoint, or the one with the best evaluation.
        greedy: without exploration.

    Raises:
        UsageError: there is no such run, checkpoint or agent.
    """
    algorithm = build(load(folder))
    with told_as_usage(FileNotFoundError, IndexError, rl.CheckpointError):
        state = rl.load_run(folder, algorithm, member=member, which=which).state
    network = algorithm.actor(state.agent, state.shared)

    def act(
        key: Any, memory: Any, observation: Any, state: Any, start: Any
    ) -> tuple[Any, Any, Any]:
        memory, policy, value = network.step(memory, observation, start)
        return memory, policy.mode() if greedy else policy.sample(key), (policy, value)

    return Player(algorithm.env, algorithm.env_params(state.agent), act, network.init_carry())


def require_same(folder: Path, name: str) -> None:
    """Refuses an agent that was trained elsewhere.

    Raises:
        UsageError: the run is on another environment, or there is no such run.
    """
    experiment = load(folder)
    if experiment.env != name:
        raise UsageError(f"the agent of {folder} was trained on {experiment.env}, not on {name}")


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
        memory, action, mind = act(key_act, memory, observation, state, jnp.asarray(step == 1))
        if mind is not None:
            frames[-1] = dataclasses.replace(
                frames[-1], thought=thought_of(mind[0], mind[1], action)
            )
        observation, state, reward, *ends = transition(key_env, state, action, params)
        # In the task's own units, where a wrapper gives the agent a scaled one.
        reward = float(env.report(state, params).get("reward", reward))
        told = np.array2string(np.asarray(action), precision=2)
        over = any(map(bool, ends))
        frames.append(Frame(env.render(state), step, told, reward, frames[-1].total + reward, over))
        if over:
            break
    return frames


def summary(frames: Sequence[Frame]) -> str:
    """How long the episode was, what it was worth, and whether it ended."""
    last = frames[-1]
    end = "ended" if last.over else "was cut by --steps"
    return f"{len(frames) - 1} steps, return {last.total:.3f}; the episode {end}"
