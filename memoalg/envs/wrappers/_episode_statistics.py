"""Report the return and the length of the running episode."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from .._environment import AbstractEnvironment, Params, State, Transition
from ._wrapper import AbstractEpisodeWrapper, Wrapped


class Totals(eqx.Module):
    """What `EpisodeStatistics` carries.

    Args:
        episode_return: the sum of the rewards since the episode began, undiscounted.
        length: int32, the steps since then.
    """

    episode_return: Float[Array, ""]
    length: Int[Array, ""]


class EpisodeStatistics(AbstractEpisodeWrapper[State, Totals, Params]):
    """Add `info["episode_return"]` and `info["episode_length"]`, the totals of the running episode.

    The step that ends an episode reports that episode's totals: select by
    `terminated | truncated`.

    Args:
        env: the environment to wrap; not one whose rewards are normalised.

    Raises:
        ValueError: the wrappers are in the wrong order.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from memoalg.envs import RepeatFirst
        >>> from memoalg.envs import EpisodeStatistics
        >>> env = EpisodeStatistics(RepeatFirst())
        >>> params, key = env.default_params(), jax.random.key(0)
        >>> obs, state = env.reset(key, params)
        >>> *_, info = env.step(key, state, env.oracle(state, params), params)
        >>> int(info["episode_length"]), round(float(info["episode_return"] * 51), 3)
        (1, 1.0)
    """

    env: AbstractEnvironment[State, Params]

    def begin(self, params: Params) -> Totals:
        """Zeros."""
        return Totals(jnp.zeros((), float), jnp.zeros((), jnp.int32))

    def transition(
        self,
        key: PRNGKeyArray,
        state: Wrapped[State, Totals],
        action: PyTree[Array],
        params: Params,
    ) -> Transition[Wrapped[State, Totals]]:
        """Advance one step and add it up."""
        observation, inner, reward, terminated, truncated = self.env.transition(
            key, state.inner, action, params
        )
        totals = Totals(state.own.episode_return + reward, state.own.length + 1)
        return observation, Wrapped(inner, totals), reward, terminated, truncated

    def report(self, state: Wrapped[State, Totals], params: Params) -> dict[str, PyTree[Array]]:
        """The totals, beside what the wrapped environment reports."""
        return {
            **self.env.report(state.inner, params),
            "episode_return": state.own.episode_return,
            "episode_length": state.own.length,
        }
