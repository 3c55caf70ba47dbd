"""Show observations as flat vectors of floats."""

from jaxtyping import Array, Float, PyTree

from .._environment import AbstractEnvironment, Params, State
from ..spaces import Box
from ._wrapper import AbstractObservationWrapper


class Flatten(AbstractObservationWrapper[State, Params]):
    """Encode every observation as one vector: one-hot for discrete parts, concatenated.

    Order and values are those of `gymnasium.spaces.flatten`. A vector of floats stays as it is.
    (The reference's Flatten leaves a lone Discrete or MultiDiscrete observation an index; this one
    encodes it too.)

    Args:
        env: the environment to wrap.

    Example:
        >>> import jax
        >>> from memoalg.envs import EpisodeStart, Flatten, PreviousAction, RepeatFirst
        >>> env = Flatten(EpisodeStart(PreviousAction(RepeatFirst())))
        >>> obs, state = env.reset(jax.random.key(0), env.default_params())
        >>> obs.shape  # suit (4), last action (4), flag (2)
        (10,)
    """

    env: AbstractEnvironment[State, Params]

    def show(
        self, observation: PyTree[Array], action: PyTree[Array] | None, state: State, params: Params
    ) -> Float[Array, " flat_size"]:
        """Encode the observation."""
        return self.env.observation_space(params).flatten(observation)

    def observation_space(self, params: Params) -> Box:
        """A vector; entries of discrete parts are in 0..1."""
        low, high = self.env.observation_space(params).flat_bounds()
        return Box(low, high, low.shape)
