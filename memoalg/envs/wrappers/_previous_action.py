"""Show the last action beside the observation."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from .._environment import AbstractEnvironment, Params, State
from ..spaces import AbstractSpace
from ._wrapper import AbstractObservationWrapper, append_space, append_value


class PreviousAction(AbstractObservationWrapper[State, Params]):
    """Append the action that led to an observation; the first observation has the null action.

    An observation `x` becomes `(x, action)`, a tuple gets one more entry, a dict the key
    `"prev_action"`. The null action is 0 (the lower bound where 0 is not an action); the flag of
    `EpisodeStart` tells it from a real 0.

    Args:
        env: the environment to wrap; not one that is wrapped in `EpisodeStart` or `Flatten`.

    Raises:
        ValueError: the wrappers are in the wrong order.

    Source:
        `popgym/wrappers/previous_action.py` of release 1.0.7.

    Example:
        >>> import jax
        >>> from memoalg.envs import PreviousAction, RepeatFirst
        >>> env = PreviousAction(RepeatFirst())
        >>> obs, state = env.reset(jax.random.key(0), env.default_params())
        >>> int(obs[1])
        0
    """

    env: AbstractEnvironment[State, Params]

    def show(
        self, observation: PyTree[Array], action: PyTree[Array] | None, state: State, params: Params
    ) -> PyTree[Array]:
        """Append the action; the null action where there is none."""
        shown = self.action_space(params).null()
        if action is not None:
            # In the null action's dtype: observations of reset and transition must agree.
            shown = jax.tree.map(_like, action, shown)
        return append_value(observation, "prev_action", shown)

    def observation_space(self, params: Params) -> AbstractSpace:
        """The wrapped space and the action space."""
        actions = self.action_space(params)
        return append_space(self.env.observation_space(params), "prev_action", actions)


def _like(action: Array, null: Array) -> Array:
    return jnp.asarray(action).astype(null.dtype).reshape(null.shape)
