"""Small environments whose numbers a test can predict."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import memoalg.envs as envs


class SerialParams(eqx.Module):
    length: jax.Array


class SerialState(eqx.Module):
    episode: jax.Array
    time: jax.Array


class Serial(envs.AbstractEnvironment[SerialState, SerialParams]):
    """Shows (episode, time) and ends after `length` steps; the episode is counted over restarts.

    With `counts=False` a restart is a reset. The reward of action (a, b) is 3 a + b, so it says what
    was carried out.
    """

    length: int = eqx.field(static=True, default=3)
    counts: bool = eqx.field(static=True, default=True)
    actions: envs.AbstractSpace = eqx.field(static=True, default=envs.MultiDiscrete((2, 3)))

    @property
    def name(self):
        return "toys/Serial"

    def default_params(self):
        return SerialParams(jnp.asarray(self.length, jnp.int32))

    def reset(self, key, params):
        state = SerialState(jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32))
        return show(state), state

    def restart(self, key, state, over, params):
        episode = state.episode + (1 if self.counts else 0)
        state = SerialState(episode, jnp.zeros((), jnp.int32))
        return show(state), state

    def transition(self, key, state, action, params):
        state = SerialState(state.episode, state.time + 1)
        reward = (3 * action[0] + action[1]).astype(float)
        return show(state), state, reward, state.time >= params.length, jnp.zeros((), bool)

    def observation_space(self, params):
        return envs.Box(0.0, 1000.0, (2,))

    def action_space(self, params):
        return self.actions

    def report(self, state, params):
        return {"episode": state.episode}

    def oracle(self, state, params):
        parts = jnp.ones((), jnp.int32), 2 * jnp.ones((), jnp.int32)
        return parts if isinstance(self.actions, envs.Tuple) else jnp.stack(parts)

    def render(self, state):
        return np.full((4, 4, 3), int(state.time), np.uint8)


def show(state):
    return jnp.stack([state.episode, state.time]).astype(float)


PAIR = envs.Tuple((envs.Discrete(2), envs.Discrete(3)))


@jax.jit
def rollout(env, params, key):
    """40 random steps in a scan: the first observation, then per step what came in and went out."""
    key_reset, key = jax.random.split(key)
    first, begun = env.reset(key_reset, params)

    def body(state, key):
        key_action, key_step = jax.random.split(key)
        action = env.action_space(params).sample(key_action)
        out = env.step(key_step, state, action, params)
        return out[1], (state, action, key_step, out)

    _, steps = jax.lax.scan(body, begun, jax.random.split(key, 40))
    return first, begun, *steps


rollouts = jax.jit(jax.vmap(rollout, in_axes=(None, None, 0)))


def innermost(env, state) -> Any:
    """The state of the environment inside all wrappers."""
    while isinstance(env, envs.AbstractWrapper):
        env, state = env.env, env.inner_state(state)
    return state
