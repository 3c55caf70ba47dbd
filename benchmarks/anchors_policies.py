"""Policies that see the last observation only, written by hand where a search would not find them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Reactive = Callable[[Any, Any], Any]
"""`(key, observation) -> action`."""


def one_arm_after_a_payout(env: Any, params: Any) -> Reactive:
    """After a payout arm 0, else one of the others: arm 0 is held for as long as it pays."""
    arms = env.action_space(params).n

    def act(key: Any, observation: Any) -> Any:
        other = jax.random.randint(key, (), 1, arms, jnp.int32)
        return jnp.where(observation == 1, 0, other)

    return act


def stay_if_it_paid(env: Any, params: Any) -> Reactive:
    """The last arm again if it paid, else the next one."""
    arms = env.action_space(params).n

    def act(key: Any, observation: Any) -> Any:
        arm, payout = observation
        return jnp.where(arm == arms, 0, jnp.where(payout > 0, arm, (arm + 1) % arms))

    return act


def any_card_that_is_down(env: Any, params: Any) -> Reactive:
    """Never touches a card that is up."""
    space = env.observation_space(params)
    down = np.asarray(space.nvec) - 1

    def act(key: Any, observation: Any) -> Any:
        logits = jnp.where(observation == down, 0.0, -jnp.inf)
        return jax.random.categorical(key, logits).astype(jnp.int32)

    return act


# Left, right, up, down, as rows and columns.
_WAYS = np.array([(0, -1), (0, 1), (-1, 0), (1, 0)], np.int32)
_LEFT, _UP, _NONE, _WALL, _START = 0, 2, 4, 1, 2
# By heading: to the right of it, ahead, to the left, back; without one, any.
_BY_HAND = np.array([(2, 0, 3, 1), (3, 1, 2, 0), (1, 2, 0, 3), (0, 3, 1, 2), (0, 1, 2, 3)])


def right_hand_on_the_wall(env: Any, params: Any) -> Reactive:
    """The last action is part of the observation: in a maze without cycles that is enough."""

    def act(key: Any, observation: Any) -> Any:
        view, heading = jnp.reshape(observation[:9], (3, 3)), observation[9]
        ways = jnp.asarray(_BY_HAND, jnp.int32)[heading]
        cells = _place(view, heading) + jnp.asarray(_WAYS)[ways]
        inside = jnp.all((cells >= 0) & (cells < 3), axis=1)
        is_free = inside & (view[tuple(jnp.clip(cells, 0, 2).T)] != _WALL)
        return ways[jnp.argmax(is_free)]

    return act


def _place(view: Any, heading: Any) -> Any:
    """Where the window shows the walker: in the middle, but at a start in the upper or left border."""
    above = (view[0, 1] == _START) & jnp.all(view[2] == _WALL)
    beside = (view[1, 0] == _START) & jnp.all(view[:, 2] == _WALL)
    above &= (heading == _UP) | (heading == _NONE)
    beside &= (heading == _LEFT) | (heading == _NONE)
    row, column = jnp.where(above, 0, 1), jnp.where(beside & ~above, 0, 1)
    return jnp.stack([row, column])


REACTIVE: dict[str, Callable[[Any, Any], Reactive]] = {
    "MultiarmedBandit": one_arm_after_a_payout,
    "MetaBandit": stay_if_it_paid,
    "Concentration": any_card_that_is_down,
    "LabyrinthExplore": right_hand_on_the_wall,
    "LabyrinthEscape": right_hand_on_the_wall,
}
