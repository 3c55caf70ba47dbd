"""Whole episodes of the memory tasks, played once for all tests of a setting."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from memoalg.envs import AbstractEnvironment


class Played(NamedTuple):
    """Episodes without restarts: leaves `(episodes, steps, ...)`; `first` has no steps."""

    first: Any
    before: Any
    actions: Any
    observations: Any
    after: Any
    rewards: Any
    terminated: Any
    truncated: Any

    @property
    def inside(self) -> np.ndarray:
        """Which steps belong to the episode."""
        ends = self.terminated | self.truncated
        return np.cumsum(ends, 1) - ends == 0

    @property
    def returns(self) -> np.ndarray:
        assert (self.terminated | self.truncated).any(1).all()
        return np.where(self.inside, self.rewards, 0).sum(1, dtype=np.float64)

    @property
    def lengths(self) -> np.ndarray:
        return self.inside.sum(1)


@functools.lru_cache
def play(env: AbstractEnvironment, steps: int, count: int = 2048) -> tuple[Played, Played]:
    """Play `count` episodes at random, and 64 by the oracle, in one program."""
    params = env.default_params()

    def one(key, at_random):
        key_reset, key = jax.random.split(key)
        first, state = env.reset(key_reset, params)

        def body(state, key):
            key_action, key_step = jax.random.split(key)
            chance = env.action_space(params).sample(key_action)
            action = jnp.where(at_random, chance, env.oracle(state, params))
            seen, after, *rest = env.transition(key_step, state, action, params)
            return after, (state, action, seen, after, *rest)

        return first, *jax.lax.scan(body, state, jax.random.split(key, steps))[1]

    keys = jax.random.split(jax.random.key(11), count + 64)
    out = jax.jit(jax.vmap(one))(keys, jnp.arange(count + 64) < count)
    out = Played(*jax.tree.map(np.asarray, out))
    return jax.tree.map(lambda leaf: leaf[:count], out), jax.tree.map(
        lambda leaf: leaf[count:], out
    )


def agrees(returns: np.ndarray, expected: float) -> bool:
    """Whether the mean is within four standard errors of what is expected."""
    error = returns.std() / np.sqrt(returns.size)
    return bool(abs(returns.mean() - expected) <= 4 * error + 1e-6)
