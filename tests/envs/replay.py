"""Replay of the reference's episodes on our environments: same hidden state, same actions."""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PyTree

import memoalg.envs as envs


class ScriptedDealer(envs.AbstractDealer):
    """Deals a given order; how many cards are gone says which is next."""

    order: Int[Array, " cards"]

    def deal(self, key, remaining):
        return self.order[self.order.shape[0] - jnp.sum(remaining, dtype=jnp.int32)]


@dataclasses.dataclass(frozen=True)
class Episode:
    """One whole episode, arrays over its T steps; the first observation has a field of its own."""

    first: PyTree
    observations: PyTree
    rewards: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray


def stack(trees: list) -> PyTree:
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


def record(
    original: Any, seed: int, policy: Callable[[Any, Any], int], look: Callable[[Any], np.ndarray]
) -> tuple[Episode, np.ndarray, np.ndarray]:
    """Play one episode of the reference.

    Args:
        original: an environment of popgym.
        seed: its seed.
        policy: gives an action from the environment (hidden state and all) and the observation.
        look: gives the hidden state that a replay needs; it is asked before every step.

    Returns:
        The episode, its actions and the hidden states before each step.
    """
    first, _ = original.reset(seed=seed)
    observation, over, steps, actions, hidden = first, False, [], [], []
    while not over:
        actions.append(policy(original, observation))
        hidden.append(look(original))
        observation, reward, terminated, truncated, _ = original.step(actions[-1])
        steps.append((observation, np.float64(reward), np.bool_(terminated), np.bool_(truncated)))
        over = terminated or truncated
    return Episode(first, *stack(steps)), np.array(actions, np.int32), np.stack(hidden)


def deck_order(original: Any) -> np.ndarray:
    """The suits of the reference's deck in the order in which they are dealt."""
    deck = original.unwrapped.deck
    return deck.suits_idx[deck.idx[::-1]].astype(np.int32)


def with_order(env: Any, order: np.ndarray) -> Any:
    """The same environment (wrapped or not) with a forced order of cards."""
    dealer = ScriptedDealer(jnp.asarray(order))
    return eqx.tree_at(find_dealer, env, dealer, is_leaf=lambda x: isinstance(x, envs.LazyDealer))


def find_dealer(env: Any) -> Any:
    return env.dealer if isinstance(env, CARD_GAMES) else find_dealer(env.env)


CARD_GAMES = (envs.RepeatFirst, envs.RepeatPrevious)


@jax.jit
def play(env, params, actions) -> tuple[PyTree, tuple]:
    """Play these actions on our environment, without restarts."""
    key = jax.random.key(0)
    first, state = env.reset(key, params)

    def body(state, action):
        observation, state, reward, terminated, truncated = env.transition(
            key, state, action, params
        )
        return state, (observation, reward, terminated, truncated)

    return first, jax.lax.scan(body, state, actions)[1]


def replay_cards(env: Any, hidden: np.ndarray, actions: np.ndarray) -> Episode:
    """Our episode for the reference's deck and actions."""
    env = with_order(env, hidden[0])
    first, steps = play(env, env.default_params(), actions)
    return Episode(first, *steps)


@jax.jit
def _push_all(env, params, physics, times, actions):
    def push(row, time, action):
        state = envs.CartPoleState(row[0], row[1], row[2], row[3], time)
        observation, _, *outcome = env.transition(jax.random.key(0), state, action, params)
        return observation, *outcome

    return jax.vmap(push)(physics, times, actions)


def replay_physics(env: Any, hidden: np.ndarray, actions: np.ndarray) -> Episode:
    """Our outcome of every single step from the reference's state before it.

    Numbers are put back after each step: rounding grows without bound along an episode.
    """
    length, limit = len(actions), 600  # one length for all: one program
    rows = np.zeros((limit, 5))
    rows[:length] = hidden
    padded = np.zeros(limit, np.int32)
    padded[:length] = actions
    physics, times = jnp.asarray(rows[:, :4], float), rows[:, 4].astype(np.int32)
    outcome = _push_all(env, env.default_params(), physics, times, padded)
    first = rows[0, [0, 2]].astype(np.float32)
    return Episode(first, *jax.tree.map(lambda leaf: np.asarray(leaf)[:length], outcome))


def cart_pole_state(original: Any) -> np.ndarray:
    return np.append(original.state, original.num_steps)


COMPARED: list[int] = []
"""How many steps each comparison had: what `tests.envs.replay_table` counts."""


def differences(expected: Episode, actual: Episode, tolerance: float = 1e-6) -> list[str]:
    """Say which parts of two episodes differ, and where first; empty where they are equal."""
    COMPARED.append(len(expected.rewards))
    found = []
    for field in dataclasses.fields(Episode):
        wanted = jax.tree.leaves(getattr(expected, field.name))
        got = jax.tree.leaves(getattr(actual, field.name))
        assert len(wanted) == len(got)
        for want, have in zip(wanted, got, strict=True):
            want, have = np.asarray(want, np.float64), np.asarray(have, np.float64)
            assert want.shape == have.shape
            wrong = np.flatnonzero(~np.isclose(want, have, rtol=0, atol=tolerance))
            if wrong.size:
                found.append(f"{field.name}: {wrong.size} wrong, the first at {wrong[0]}")
    return found
