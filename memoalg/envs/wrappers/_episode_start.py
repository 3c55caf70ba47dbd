"""Show whether an observation is the first of its episode."""

import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray, PyTree

from .._environment import AbstractEnvironment, Params, State, Transition
from ..spaces import AbstractSpace, Discrete
from ._wrapper import AbstractWrapper, append_space, append_value


class EpisodeStart(AbstractWrapper[State, Params]):
    """Append 1 to the first observation of an episode and 0 to all others.

    An observation `x` becomes `(x, flag)`, a tuple gets one more entry, a dict the key `"is_t0"`.
    The reference calls this Antialias: it tells the null action of `PreviousAction` from an action.

    Args:
        env: the environment to wrap; not one that is wrapped in `Flatten`.

    Raises:
        ValueError: the wrappers are in the wrong order.

    Source:
        `popgym/wrappers/antialias.py` of release 1.0.7.

    Example:
        >>> import jax
        >>> from memoalg.envs import EpisodeStart, RepeatFirst
        >>> env = EpisodeStart(RepeatFirst())
        >>> obs, state = env.reset(jax.random.key(0), env.default_params())
        >>> int(obs[1])
        1
    """

    env: AbstractEnvironment[State, Params]

    def reset(self, key: PRNGKeyArray, params: Params) -> tuple[PyTree[Array], State]:
        """Append 1."""
        observation, state = self.env.reset(key, params)
        return append_value(observation, "is_t0", jnp.ones((), jnp.int32)), state

    def transition(
        self, key: PRNGKeyArray, state: State, action: PyTree[Array], params: Params
    ) -> Transition[State]:
        """Append 0."""
        observation, state, reward, terminated, truncated = self.env.transition(
            key, state, action, params
        )
        observation = append_value(observation, "is_t0", jnp.zeros((), jnp.int32))
        return observation, state, reward, terminated, truncated

    def observation_space(self, params: Params) -> AbstractSpace:
        """The wrapped space and `Discrete(2)`."""
        return append_space(self.env.observation_space(params), "is_t0", Discrete(2))

    def action_space(self, params: Params) -> AbstractSpace:
        """The wrapped environment's."""
        return self.env.action_space(params)
