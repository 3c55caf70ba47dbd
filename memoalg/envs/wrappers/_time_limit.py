"""Cut episodes at a number of steps."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray, PyTree

from .._checks import int_in_range
from .._environment import AbstractEnvironment, Params, State, Transition
from ._wrapper import AbstractEpisodeWrapper, Wrapped


class TimeLimit(AbstractEpisodeWrapper[State, Int[Array, ""], Params]):
    """Truncate an episode after some number of steps.

    `terminated` is the wrapped environment's, `truncated` is true where its own is or the limit is
    reached; both may be true. The state's `own` counts the episode's steps.

    Args:
        env: the environment to wrap.
        max_steps: the limit, 1 to 2**31 - 1.

    Raises:
        ValueError: `max_steps` is out of range, or the wrappers are in the wrong order.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from memoalg.envs import RepeatFirst
        >>> from memoalg.envs import TimeLimit
        >>> env = TimeLimit(RepeatFirst(), 1)
        >>> params, key = env.default_params(), jax.random.key(0)
        >>> obs, state = env.reset(key, params)
        >>> _, _, _, terminated, truncated, _ = env.step(key, state, jnp.array(0), params)
        >>> bool(terminated), bool(truncated)
        (False, True)
    """

    env: AbstractEnvironment[State, Params]
    max_steps: int = eqx.field(static=True)

    def check(self) -> None:
        """Refuse what is no number of steps."""
        int_in_range(self.max_steps, "TimeLimit(max_steps=...)", 1, 2**31 - 1)

    def begin(self, params: Params) -> Int[Array, ""]:
        """No steps yet."""
        return jnp.zeros((), jnp.int32)

    def transition(
        self,
        key: PRNGKeyArray,
        state: Wrapped[State, Int[Array, ""]],
        action: PyTree[Array],
        params: Params,
    ) -> Transition[Wrapped[State, Int[Array, ""]]]:
        """Advance one step and count it."""
        observation, inner, reward, terminated, truncated = self.env.transition(
            key, state.inner, action, params
        )
        time = state.own + 1
        truncated = truncated | (time >= self.max_steps)
        return observation, Wrapped(inner, time), reward, terminated, truncated
