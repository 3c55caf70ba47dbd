"""Show the last action beside the observation."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray, PyTree

from .._environment import AbstractEnvironment, Params, State, Transition
from ..spaces import AbstractSpace
from ._wrapper import AbstractWrapper, append_space, append_value


class PreviousAction(AbstractWrapper[State, Params]):
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

    def reset(self, key: PRNGKeyArray, params: Params) -> tuple[PyTree[Array], State]:
        """Begin with the null action."""
        observation, state = self.env.reset(key, params)
        return append_value(observation, "prev_action", self._null(params)), state

    def transition(
        self, key: PRNGKeyArray, state: State, action: PyTree[Array], params: Params
    ) -> Transition[State]:
        """Append this step's action."""
        observation, state, reward, terminated, truncated = self.env.transition(
            key, state, action, params
        )
        # In the null action's dtype: observations of reset and transition must agree.
        shown = jax.tree.map(_like, action, self._null(params))
        observation = append_value(observation, "prev_action", shown)
        return observation, state, reward, terminated, truncated

    def observation_space(self, params: Params) -> AbstractSpace:
        """The wrapped space and the action space."""
        actions = self.env.action_space(params)
        return append_space(self.env.observation_space(params), "prev_action", actions)

    def action_space(self, params: Params) -> AbstractSpace:
        """The wrapped environment's."""
        return self.env.action_space(params)

    def _null(self, params: Params) -> PyTree[Array]:
        return self.env.action_space(params).null()


def _like(action: Array, null: Array) -> Array:
    return jnp.asarray(action).astype(null.dtype).reshape(null.shape)
