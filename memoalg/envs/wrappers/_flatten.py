"""Show observations as flat vectors of floats."""

from jaxtyping import Array, Float, PRNGKeyArray

from .._environment import AbstractEnvironment, Params, State, Transition
from ..spaces import AbstractSpace, Box
from ._wrapper import AbstractWrapper


class Flatten(AbstractWrapper[State, Params]):
    """Encode every observation as one vector: one-hot for discrete parts, concatenated.

    Order and values are those of `gymnasium.spaces.flatten`. A vector of floats stays as it is.
    (The reference's Flatten leaves a lone Discrete or MultiDiscrete observation an index; this one
    encodes it too.)

    Args:
        env: the environment to wrap; this is the outermost wrapper.

    Example:
        >>> import jax
        >>> from memoalg.envs import EpisodeStart, Flatten, PreviousAction, RepeatFirst
        >>> env = Flatten(EpisodeStart(PreviousAction(RepeatFirst())))
        >>> obs, state = env.reset(jax.random.key(0), env.default_params())
        >>> obs.shape  # suit (4), last action (4), flag (2)
        (10,)
    """

    env: AbstractEnvironment[State, Params]

    def reset(self, key: PRNGKeyArray, params: Params) -> tuple[Float[Array, " flat_size"], State]:
        """Encode the first observation."""
        observation, state = self.env.reset(key, params)
        return self.env.observation_space(params).flatten(observation), state

    def transition(
        self, key: PRNGKeyArray, state: State, action: Array, params: Params
    ) -> Transition[State]:
        """Encode the observation."""
        observation, state, reward, terminated, truncated = self.env.transition(
            key, state, action, params
        )
        observation = self.env.observation_space(params).flatten(observation)
        return observation, state, reward, terminated, truncated

    def observation_space(self, params: Params) -> Box:
        """A vector; entries of discrete parts are in 0..1."""
        low, high = self.env.observation_space(params).flat_bounds()
        return Box(low, high, low.shape)

    def action_space(self, params: Params) -> AbstractSpace:
        """The wrapped environment's."""
        return self.env.action_space(params)
