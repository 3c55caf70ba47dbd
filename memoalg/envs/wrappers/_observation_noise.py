"""Noisy observations."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from .._checks import float_in_range
from .._environment import AbstractEnvironment, Params, State, Transition
from ..spaces import Box
from ._box_only import require_box
from ._streams import NOISE
from ._wrapper import AbstractWrapper


class ObservationNoise(AbstractWrapper[State, Params]):
    r"""Add Gaussian noise to every entry of every observation: $y = x + \sigma \epsilon$, clipped.

    The result is clipped to the observation space. The wrapped environment gets the same keys as
    without the noise, so with the same actions its states and rewards are the same.

    Args:
        env: the environment to wrap; its observations are arrays of floats (`Box`).
        std: the standard deviation, 0 to 1e6, in the observation's units.

    Raises:
        TypeError: the observations are no array of floats.
        ValueError: `std` is out of range, or the wrappers are in the wrong order.

    Example:
        >>> import jax
        >>> from memoalg.envs import PositionOnlyCartPole
        >>> from memoalg.envs import ObservationNoise
        >>> env = ObservationNoise(PositionOnlyCartPole(), 0.1)
        >>> obs, state = env.reset(jax.random.key(0), env.default_params())
        >>> bool(abs(obs[0] - state.position) > 0)
        True
    """

    env: AbstractEnvironment[State, Params]
    std: float = eqx.field(static=True)

    def check(self) -> None:
        """Refuse observations that are no floats."""
        float_in_range(self.std, "ObservationNoise(std=...)", 0.0, 1e6)
        self.observation_space(self.default_params())

    def observation_space(self, params: Params) -> Box:
        """The wrapped environment's."""
        return require_box(self.env.observation_space(params), "ObservationNoise(env, std)")

    def reset(self, key: PRNGKeyArray, params: Params) -> tuple[Float[Array, "*shape"], State]:
        """Begin an episode."""
        observation, state = self.env.reset(key, params)
        return self._blur(key, observation, params), state

    def restart(
        self, key: PRNGKeyArray, state: State, over: Bool[Array, ""], params: Params
    ) -> tuple[Float[Array, "*shape"], State]:
        """Begin the next episode as the wrapped environment does."""
        observation, state = self.env.restart(key, state, over, params)
        return self._blur(key, observation, params), state

    def transition(
        self, key: PRNGKeyArray, state: State, action: Array, params: Params
    ) -> Transition[State]:
        """Advance one step."""
        observation, state, reward, terminated, truncated = self.env.transition(
            key, state, action, params
        )
        return self._blur(key, observation, params), state, reward, terminated, truncated

    def _blur(
        self, key: PRNGKeyArray, observation: Float[Array, "*shape"], params: Params
    ) -> Float[Array, "*shape"]:
        space, dtype = self.observation_space(params), observation.dtype
        noise = jax.random.normal(jax.random.fold_in(key, NOISE), observation.shape, dtype)
        return jnp.clip(
            observation + self.std * noise, space.low.astype(dtype), space.high.astype(dtype)
        )
