"""Acting: `T` steps of `E` environments, with everything learning needs written down.

Three flags that must never be mixed up. `start[t]`: observation t is the first of its episode; the
memory forgets *before* seeing it. `terminated[t]`: step t reached an end; nothing follows, nothing
is bootstrapped. `truncated[t]`: step t hit a limit; the episode would have gone on from the final
observation, whose value stands for the rest.
"""

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from memoalg.envs import Box

from ._network import AbstractNetwork
from ._state import RolloutState


class Rollout(eqx.Module):
    """A record of `T` steps of `E` environments; observations and values have one more.

    Attributes:
        carry: The memory before step 0, under the parameters that acted.
        actions: Sampled, before any clipping to the action space.
        rewards: For the step.
        terminated: Whether the step ended the episode.
        truncated: Whether the step was the last because of a limit.
        log_probs: Of the actions.
        final_values: Where truncated, the value of the observation that followed within the
            episode; 0 elsewhere.
        observations: What was acted on, and the last one, still to be acted on.
        start: Whether each observation is the first of its episode.
        values: Of the observations.
        final_observations: What each step would have returned without the reset; None unless
            asked for.
        carries: The memory before each step; None unless asked for.
    """

    carry: PyTree[Array]
    actions: Array
    rewards: Float[Array, "T E"]
    terminated: Bool[Array, "T E"]
    truncated: Bool[Array, "T E"]
    log_probs: Float[Array, "T E"]
    final_values: Float[Array, "T E"]
    observations: Float[Array, "T+1 E F"]
    start: Bool[Array, "T+1 E"]
    values: Float[Array, "T+1 E"]
    final_observations: Float[Array, "T E F"] | None
    carries: PyTree[Array] | None


class EpisodeSums(eqx.Module):
    """Sums over the episodes that ended, per environment.

    Attributes:
        episodes: How many.
        return_sum: Their undiscounted returns, in the task's own units (`task_reward`).
        length_sum: Their lengths in steps.
    """

    episodes: Int[Array, " E"]
    return_sum: Float[Array, " E"]
    length_sum: Int[Array, " E"]


def init_rollout(
    network: AbstractNetwork, env: Any, params: Any, num_envs: int, key: PRNGKeyArray
) -> RolloutState:
    """Reset all environments; memories are fresh and every start flag is up.

    Args:
        network: Its memory's first carry is what each environment gets.
        env: Auto-resetting environment with a flat observation.
        params: Its parameters.
        num_envs: `E`.
        key: Random key.

    Returns:
        What `collect` goes on from.
    """
    keys = jax.random.split(key, num_envs)
    observation, env_state = jax.vmap(env.reset, in_axes=(0, None))(keys, params)
    return RolloutState(
        env_state=env_state,
        observation=observation,
        start=jnp.ones(num_envs, bool),
        memory=fresh_memories(network, num_envs),
        episode_return=jnp.zeros(num_envs),
        episode_length=jnp.zeros(num_envs, jnp.int32),
    )


def fresh_memories(network: AbstractNetwork, num_envs: int) -> PyTree[Array]:
    """`num_envs` fresh carries, stacked on a new first axis."""
    carry = network.init_carry()
    return jax.tree.map(lambda x: jnp.broadcast_to(x, (num_envs, *jnp.shape(x))), carry)


def bounded(action: Array, space: Any) -> Array:
    """The action as the environment gets it: a `Box` action is clipped, others pass.

    Only the environment sees the clipped action: the log probability is that of the sampled one.
    """
    if not isinstance(space, Box):
        return action
    shaped = action.reshape(*action.shape[:-1], *space.shape)
    low = jnp.broadcast_to(jnp.asarray(space.low, action.dtype), shaped.shape)
    high = jnp.broadcast_to(jnp.asarray(space.high, action.dtype), shaped.shape)
    return jnp.clip(shaped, low, high)


def collect(
    network: AbstractNetwork,
    env: Any,
    params: Any,
    state: RolloutState,
    key: PRNGKeyArray,
    num_steps: int,
    *,
    final_observations: bool = False,
    carries: bool = False,
) -> tuple[RolloutState, Rollout, EpisodeSums]:
    """Act for `num_steps` steps in every environment.

    Args:
        network: Acts; it does not change.
        env: Auto-resetting environment with a flat observation.
        params: Its parameters.
        state: Where acting stopped last time.
        key: Random key.
        num_steps: `T`.
        final_observations: Whether to keep them: as many numbers as the observations have.
        carries: Whether to keep the memory before every step: as many times its size.

    Returns:
        Where acting stopped now, the record, and sums over the episodes that ended.
    """
    num_envs = state.start.shape[0]
    keys = step_keys(key, num_steps, num_envs)
    body = partial(_step, network, env, params, final_observations, carries)
    (last, sums), steps = jax.lax.scan(body, (state, _no_episodes(num_envs)), keys)
    _, _, last_value = jax.vmap(network.step)(last.memory, last.observation, last.start)
    record = Rollout(
        carry=state.memory,
        observations=_append(steps.observation, last.observation),
        start=_append(steps.start, last.start),
        actions=steps.action,
        rewards=steps.reward,
        terminated=steps.terminated,
        truncated=steps.truncated,
        log_probs=steps.log_prob,
        values=_append(steps.value, last_value),
        final_values=steps.final_value,
        final_observations=steps.final_observation,
        carries=steps.carry,
    )
    return last, record, sums


def step_keys(key: PRNGKeyArray, num_steps: int, num_envs: int) -> tuple[Array, Array]:
    """All keys of a rollout from one split: `(T,)` for actions and `(T, E)` for environments.

    Every split, however small, is a kernel of its own: a fifth of a CPU-second to compile, and in
    the loop more to run than a step of a small task.
    """
    keys = jax.random.split(key, (num_steps, num_envs + 1))
    return keys[:, 0], keys[:, 1:]


class _Transition(eqx.Module):
    """One step of all environments, as the loop stacks it."""

    observation: Float[Array, "E F"]
    start: Bool[Array, " E"]
    action: Array
    reward: Float[Array, " E"]
    terminated: Bool[Array, " E"]
    truncated: Bool[Array, " E"]
    log_prob: Float[Array, " E"]
    value: Float[Array, " E"]
    final_value: Float[Array, " E"]
    final_observation: Float[Array, "E F"] | None
    carry: PyTree[Array] | None


def _step(
    network: AbstractNetwork,
    env: Any,
    params: Any,
    final_observations: bool,
    carries: bool,
    carry: tuple[RolloutState, EpisodeSums],
    keys: tuple[Array, Array],
) -> tuple[tuple[RolloutState, EpisodeSums], _Transition]:
    """The body of the loop over time."""
    state, sums = carry
    action_key, env_keys = keys
    memory, policy, value = jax.vmap(network.step)(state.memory, state.observation, state.start)
    action = policy.sample(action_key)
    observation, env_state, reward, terminated, truncated, info = step_environments(
        env, params, env_keys, state.env_state, action
    )
    transition = _Transition(
        observation=state.observation,
        start=state.start,
        action=action,
        reward=reward,
        terminated=terminated,
        truncated=truncated,
        log_prob=policy.log_prob(action),
        value=value,
        final_value=final_values(network, memory, info["final_observation"], truncated, value),
        final_observation=info["final_observation"] if final_observations else None,
        carry=state.memory if carries else None,
    )
    ended = terminated | truncated
    total = state.episode_return + task_reward(reward, info)
    length = state.episode_length + 1
    following = RolloutState(
        env_state=env_state,
        observation=observation,
        start=next_start(terminated, truncated),
        memory=memory,
        episode_return=jnp.where(ended, 0.0, total),
        episode_length=jnp.where(ended, 0, length),
    )
    return (following, _count(sums, ended, total, length)), transition


def step_environments(
    env: Any, params: Any, keys: Array, env_state: PyTree[Array], action: Array
) -> tuple[Array, PyTree[Array], Array, Array, Array, dict[str, Any]]:
    """One step of `E` environments.

    Args:
        env: Auto-resetting environment.
        params: Its parameters.
        keys: One random key per environment.
        env_state: Leading `E`.
        action: As sampled, leading `E`; clipped here if the action space is a `Box`.

    Returns:
        What `env.step` returns, each with a leading `E`.
    """
    stepped = jax.vmap(env.step, in_axes=(0, 0, 0, None))
    return stepped(keys, env_state, bounded(action, env.action_space(params)), params)


def next_start(terminated: Bool[Array, " E"], truncated: Bool[Array, " E"]) -> Bool[Array, " E"]:
    """Whether the observation that an auto-resetting step returned is the first of an episode."""
    return terminated | truncated


def task_reward(reward: Float[Array, " E"], info: dict[str, Any]) -> Float[Array, " E"]:
    """The reward in the task's own units, where a wrapper gave the agent a scaled one."""
    return info.get("reward", reward)


def final_values(
    network: AbstractNetwork,
    memory: PyTree[Array],
    final_observation: Float[Array, "E F"],
    truncated: Bool[Array, " E"],
    like: Float[Array, " E"],
) -> Float[Array, " E"]:
    """Values of the observations behind a limit; 0 where there was none.

    Args:
        network: Values them.
        memory: After the step that was truncated, before anything is reset.
        final_observation: What that step would have returned without the reset.
        truncated: Where the value is wanted.
        like: Any values, for their dtype.

    Returns:
        The values.
    """
    # Outside the map over environments, so that it stays a branch: most steps truncate nothing.
    value = partial(_value_where, network)
    operands = memory, final_observation, truncated, like
    return jax.lax.cond(jnp.any(truncated), value, _no_value, *operands)


def _value_where(
    network: AbstractNetwork, memory: PyTree, observation: Array, truncated: Array, like: Array
) -> Array:
    _, _, value = jax.vmap(network.step)(memory, observation, jnp.zeros_like(truncated))
    return jnp.where(truncated, value, jnp.zeros_like(like))


def _no_value(memory: PyTree, observation: Array, truncated: Array, like: Array) -> Array:
    return jnp.zeros_like(like)


def _no_episodes(num_envs: int) -> EpisodeSums:
    zeros = jnp.zeros(num_envs, jnp.int32)
    return EpisodeSums(episodes=zeros, return_sum=jnp.zeros(num_envs), length_sum=zeros)


def _count(sums: EpisodeSums, ended: Array, total: Array, length: Array) -> EpisodeSums:
    return EpisodeSums(
        episodes=sums.episodes + ended.astype(jnp.int32),
        return_sum=sums.return_sum + jnp.where(ended, total, 0.0),
        length_sum=sums.length_sum + jnp.where(ended, length, 0),
    )


def _append(steps: Array, last: Array) -> Array:
    return jnp.concatenate([steps, last[None]])
