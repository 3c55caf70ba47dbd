"""Replay from an injected state, our own policies' returns, and faults that a comparison must see."""

from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from memoalg.envs.tasks._noise import AbstractNoise

from .replay import Episode


class Faulty(eqx.Module):
    """An environment whose transitions are changed: `change(env, state, outcome, params)`."""

    env: Any
    change: Callable = eqx.field(static=True)

    def default_params(self):
        return self.env.default_params()

    def reset(self, key, params):
        return self.env.reset(key, params)

    def transition(self, key, state, action, params):
        outcome = self.env.transition(key, state, action, params)
        return self.change(self.env, state, outcome, params)


def truncation_as_termination(env, state, outcome, params):
    """One flag for both ends, as ports have."""
    *rest, terminated, truncated = outcome
    return *rest, terminated | truncated, jnp.zeros_like(truncated)


class ScriptedNoise(AbstractNoise):
    """Numbers that a test chose."""

    numbers: Array

    def draw(self, key, size):
        return self.numbers


@jax.jit
def first_observation(env, params):
    return env.reset(jax.random.key(0), params)[0]


@jax.jit
def _play(env, params, state, actions):
    def body(state, action):
        observation, state, *rest = env.transition(jax.random.key(0), state, action, params)
        return state, (observation, *rest)

    return jax.lax.scan(body, state, actions)[1]


def play_from(env: Any, params: Any, state: Any, actions: np.ndarray, limit: int) -> Episode:
    """Our episode from this state; all are played for `limit` steps, so that one program serves."""
    length = len(actions)
    padded = np.zeros((limit, *actions.shape[1:]), np.int32)
    padded[:length] = actions
    steps = _play(env, params, state, padded)
    cut = jax.tree.map(lambda leaf: np.asarray(leaf)[:length], steps)
    return Episode(first_observation(env, params), *cut)


@partial(jax.jit, static_argnums=(0, 3))
def oracle_returns(env, params, keys, limit):
    """Returns of `env.oracle`, episode lengths, and whether each ended, for episodes of our own."""

    def one(key):
        key_reset, key = jax.random.split(key)
        _, state = env.reset(key_reset, params)

        def body(carry, key):
            state, running, total, length = carry
            action = env.oracle(state, params)
            _, state, reward, terminated, truncated = env.transition(key, state, action, params)
            total = jnp.where(running, total + reward, total)
            length = jnp.where(running, length + 1, length)
            return (state, running & ~(terminated | truncated), total, length), None

        start = (state, jnp.ones((), bool), jnp.zeros(()), jnp.zeros((), jnp.int32))
        (_, running, total, length), _ = jax.lax.scan(body, start, jax.random.split(key, limit))
        return total, length, ~running

    return jax.vmap(one)(keys)


def chi_squared(counts: np.ndarray, expected: np.ndarray) -> float:
    """Pearson's statistic of counts against expected counts."""
    return float(np.sum((counts - expected) ** 2 / expected))


def check_picture(env: Any, states: list) -> None:
    """Images of one size, of bytes, small, different for different states, the same for equal ones."""
    images = [env.render(state) for state in states]
    assert all(image.dtype == np.uint8 and image.shape == images[0].shape for image in images)
    assert max(images[0].shape) <= 240
    for i, image in enumerate(images):
        assert np.array_equal(image, env.render(states[i]))
        assert all(not np.array_equal(image, other) for other in images[:i])
