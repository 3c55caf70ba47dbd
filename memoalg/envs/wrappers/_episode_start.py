"""Show whether an observation is the first of its episode."""

import jax.numpy as jnp
from jaxtyping import Array, PyTree

from .._environment import AbstractEnvironment, Params, State
from ..spaces import AbstractSpace, Discrete
from ._wrapper import AbstractObservationWrapper, append_space, append_value


class EpisodeStart(AbstractObservationWrapper[State, Params]):
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

    def show(
        self, observation: PyTree[Array], action: PyTree[Array] | None, state: State, params: Params
    ) -> PyTree[Array]:
        """Append 1 where no action led here, else 0."""
        return append_value(observation, "is_t0", jnp.asarray(action is None, jnp.int32))

    def observation_space(self, params: Params) -> AbstractSpace:
        """The wrapped space and `Discrete(2)`."""
        return append_space(self.env.observation_space(params), "is_t0", Discrete(2))
