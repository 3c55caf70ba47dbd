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


# Left, right, up, down; the middle of the 3 x 3 view is cell 4.
_CELL = np.array([3, 5, 1, 7])
_TO_THE_RIGHT = np.array([2, 3, 1, 0])  # going left, the right hand is up
_BACK = np.array([1, 0, 3, 2])


def right_hand_on_the_wall(env: Any, params: Any) -> Reactive:
    """The last action is part of the observation: in a maze without cycles that is enough."""

    def act(key: Any, observation: Any) -> Any:
        view, last = observation[:9], observation[9]
        anywhere = jax.random.randint(key, (), 0, 4, jnp.int32)
        heading = jnp.where(last < 4, last, anywhere)
        right = jnp.asarray(_TO_THE_RIGHT, jnp.int32)[heading]
        back, left = jnp.asarray(_BACK)[heading], jnp.asarray(_BACK)[right]
        tries = jnp.stack([right, heading, left, back]).astype(jnp.int32)
        is_free = view[jnp.asarray(_CELL)[tries]] != 1
        chosen = tries[jnp.argmax(is_free)]
        # On the border the view is not centred, so nothing is known.
        return jnp.where((last == 4) | ~jnp.any(is_free), anywhere, chosen)

    return act


REACTIVE: dict[str, Callable[[Any, Any], Reactive]] = {
    "MultiarmedBandit": one_arm_after_a_payout,
    "MetaBandit": stay_if_it_paid,
    "Concentration": any_card_that_is_down,
    "LabyrinthExplore": right_hand_on_the_wall,
    "LabyrinthEscape": right_hand_on_the_wall,
}
