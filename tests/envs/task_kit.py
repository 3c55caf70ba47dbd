"""What the tests of single tasks share: replay of any original, planted faults, whole episodes."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import memoalg.envs as envs

from .replay import Episode, differences, play


class Faulty(envs.AbstractEnvironment):
    """An environment with a planted fault: `fault` stands in for `transition`."""

    env: Any
    fault: Callable = eqx.field(static=True)

    @property
    def name(self):
        return self.env.name

    def default_params(self):
        return self.env.default_params()

    def reset(self, key, params):
        return self.env.reset(key, params)

    def transition(self, key, state, action, params):
        return self.fault(self.env, key, state, action, params)

    def observation_space(self, params):
        return self.env.observation_space(params)

    def action_space(self, params):
        return self.env.action_space(params)


def one_step_longer(env, key, state, action, params):
    """Ends when the deck was already empty before the step."""
    was_empty = jnp.all(state.remaining == 0)
    observation, state, reward, _, truncated = env.transition(key, state, action, params)
    return observation, state, reward, was_empty, truncated


def truncation_as_termination(env, key, state, action, params):
    """Has one flag for both ends."""
    *rest, terminated, truncated = env.transition(key, state, action, params)
    return *rest, terminated | truncated, jnp.zeros_like(truncated)


def play_like(env: Any, params: Any, actions: np.ndarray) -> Episode:
    """Our episode for the original's actions."""
    first, steps = play(env, params, actions)
    return Episode(first, *steps)


def found(expected: Episode, actual: Episode, part: str) -> bool:
    """Whether the comparison saw a difference in this part of the episode."""
    return any(line.startswith(part) for line in differences(expected, actual))


class RandomActions:
    """A uniformly random player of an original."""

    def __init__(self, seed: int):
        self.generator = np.random.default_rng(seed)

    def __call__(self, original: Any, observation: Any) -> int:
        return int(self.generator.integers(original.action_space.n))


@eqx.filter_jit
def oracle_episodes(env: Any, params: Any, steps: int, keys: Any) -> tuple:
    """Let the oracle play `steps` steps without restarts, once per key.

    Returns:
        First observations, and the stacked `(observation, state, reward, terminated, truncated)` of
        every step: leaves of shape `(keys, ...)` and `(keys, steps, ...)`.
    """

    def one(key):
        key_reset, key = jax.random.split(key)
        first, state = env.reset(key_reset, params)

        def body(state, key):
            out = env.transition(key, state, env.oracle(state, params), params)
            return out[1], out

        return first, jax.lax.scan(body, state, jax.random.split(key, steps))[1]

    return jax.vmap(one)(keys)


def pictures(env: Any, states: Any, moments: list[int]) -> list[np.ndarray]:
    """The first episode's pictures after these steps."""
    first = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), states)
    return [env.render(jax.tree.map(lambda leaf, t=t: leaf[t], first)) for t in moments]


def chi_squared(draws: np.ndarray, probabilities: np.ndarray) -> float:
    """Distance of draws in `0..n-1` from a law; about n - 1 where it is the law."""
    counts = np.bincount(np.ravel(draws), minlength=len(probabilities))
    expected = np.size(draws) * probabilities
    return float(np.sum((counts - expected) ** 2 / expected))


def pair_law(types: int, decks: int) -> np.ndarray:
    """Probabilities of the types of two cards of one shuffled deck, as `types * first + second`."""
    cards = 52 * decks
    each = cards // types
    same, other = each * (each - 1), each * each
    return np.where(np.eye(types), same, other).reshape(-1) / (cards * (cards - 1))


def limit(degrees: int) -> float:
    """A chi-squared value that is exceeded less than once in 10,000 (Wilson and Hilferty)."""
    spread = 2 / (9 * degrees)
    return degrees * (1 - spread + 3.72 * spread**0.5) ** 3


def with_replacement(types: int) -> np.ndarray:
    """What dealing with replacement would give, a wrong law: `(4000, 52)`."""
    return np.random.default_rng(0).integers(types, size=(4000, 52))
