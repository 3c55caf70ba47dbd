"""Evaluation on complete episodes, one per lane."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, PRNGKeyArray

from ._network import AbstractNetwork
from ._rollout import init_rollout, next_start, step_environments, step_keys, task_reward
from ._state import Evaluation, RolloutState

_CHUNK = 64  # steps between two looks at whether every lane is finished


def play_episodes(
    network: AbstractNetwork,
    env: Any,
    params: Any,
    key: PRNGKeyArray,
    episodes: int,
    *,
    max_steps: int,
    greedy: bool,
) -> Evaluation:
    """Play one episode in each of `episodes` lanes, all side by side.

    Taking the first episodes to finish from a pool of lanes would prefer short ones; one per lane
    does not.

    Args:
        network: Acts.
        env: Auto-resetting environment with a flat observation.
        params: Its parameters.
        key: Random key.
        episodes: Number of lanes and of episodes.
        max_steps: Steps after which an episode that has not ended is reported as not complete;
            rounded up to a multiple of 64.
        greedy: Take the likeliest action; otherwise sample.

    Returns:
        Returns and lengths per episode.
    """
    reset_key, key = jax.random.split(key)
    state = init_rollout(network, env, params, episodes, reset_key)
    # A loop of fixed length whose chunks are skipped once all lanes are finished. A while_loop
    # under a vmap over seeds would select over every carry in every step.
    chunk = partial(_chunk, partial(_step, network, env, params, greedy))
    keys = jax.random.split(key, -(-max_steps // _CHUNK))
    (last, complete), _ = jax.lax.scan(chunk, (state, jnp.zeros(episodes, bool)), keys)
    return Evaluation(returns=last.episode_return, lengths=last.episode_length, complete=complete)


_Carry = tuple[RolloutState, Bool[Array, " N"]]


def _chunk(step: Any, carry: _Carry, key: PRNGKeyArray) -> tuple[_Carry, None]:
    return jax.lax.cond(jnp.all(carry[1]), _skip, partial(_play, step), carry, key), None


def _skip(carry: _Carry, key: PRNGKeyArray) -> _Carry:
    return carry


def _play(step: Any, carry: _Carry, key: PRNGKeyArray) -> _Carry:
    keys = step_keys(key, _CHUNK, carry[1].shape[0])
    return jax.lax.scan(step, carry, keys)[0]


def _step(
    network: AbstractNetwork,
    env: Any,
    params: Any,
    greedy: bool,
    carry: _Carry,
    keys: tuple[Array, Array],
) -> tuple[_Carry, None]:
    state, complete = carry
    action_key, env_keys = keys
    memory, policy, _ = jax.vmap(network.step)(state.memory, state.observation, state.start)
    action = policy.mode() if greedy else policy.sample(action_key)
    observation, env_state, reward, terminated, truncated, info = step_environments(
        env, params, env_keys, state.env_state, action
    )
    following = RolloutState(
        env_state=env_state,
        observation=observation,
        start=next_start(terminated, truncated),
        memory=memory,
        # A lane whose episode is over goes on (its environment has reset) but counts no more.
        episode_return=state.episode_return + jnp.where(complete, 0.0, task_reward(reward, info)),
        episode_length=state.episode_length + jnp.where(complete, 0, 1),
    )
    return (following, complete | terminated | truncated), None
