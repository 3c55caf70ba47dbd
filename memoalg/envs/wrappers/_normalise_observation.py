"""Observations of mean 0 and variance 1."""

import equinox as eqx
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray, PyTree

from .._checks import float_in_range
from .._environment import AbstractEnvironment, Params, State, Transition
from ..spaces import Box
from ._box_only import require_box
from ._normalise import AbstractNormaliser, Gathered, MomentsMonoid, Normalised, check_moments
from ._wrapper import Wrapped

Carry = Wrapped[State, Gathered[None]]


class NormaliseObservation(AbstractNormaliser[State, None, Params]):
    r"""Show $\mathrm{clip}((x - \mu) / \sqrt{v + 10^{-8}}, \pm c)$, entry by entry.

    Mean and variance are those in the parameters and change by `absorb` only; while they are empty
    the observation is shown as it is. An entry that never varied is not divided. The state gathers
    the moments of every raw observation, the first and the final ones of episodes included.

    Args:
        env: the environment to wrap; its observations are an array of floats (`Box`), for instance
            because it is wrapped in `Flatten`.
        moments: `memoalg.Moments(shape)` with the observation's shape. In float32 it counts to
            16,777,216 and is a moving mean from there on.
        clip: c, greater than 0.

    Raises:
        TypeError: the observations are no array of floats, or `moments` is no monoid of moments.
        ValueError: `clip` is out of range, the shapes differ, or the wrappers are in the wrong order.

    Example:
        >>> import jax, memoalg as ma
        >>> from memoalg.envs import PositionOnlyCartPole
        >>> from memoalg.envs import NormaliseObservation
        >>> env = NormaliseObservation(PositionOnlyCartPole(), ma.Moments(2))
        >>> params, keys = env.default_params(), jax.random.split(jax.random.key(0), 64)
        >>> reset = jax.vmap(env.reset, in_axes=(0, None))
        >>> params, _ = env.absorb(params, reset(keys, params)[1])
        >>> print(abs(reset(keys, params)[0].mean()) < 1e-5)
        True
    """

    env: AbstractEnvironment[State, Params]
    moments: MomentsMonoid
    clip: float = eqx.field(static=True, default=10.0)

    def check(self) -> None:
        """Refuse other observations, and moments that do not fit them."""
        float_in_range(self.clip, "NormaliseObservation(clip=...)", 1e-6, 1e6)
        shape = self._inner_space(self.env.default_params()).shape
        check_moments(self.moments, shape, "NormaliseObservation(env, moments)")

    def observation_space(self, params: Normalised[Params]) -> Box:
        """The clipped range, and the wrapped space, which is shown while there are no statistics."""
        space = self._inner_space(self.inner_params(params))
        low, high = np.minimum(space.low, -self.clip), np.maximum(space.high, self.clip)
        return Box(low, high, space.shape, space.dtype)

    def reset(
        self, key: PRNGKeyArray, params: Normalised[Params]
    ) -> tuple[Float[Array, "*shape"], Carry[State]]:
        """Begin an episode with nothing gathered but its first observation."""
        observation, inner = self.env.reset(key, self.inner_params(params))
        return self._see(observation, inner, self.moments.identity(), params)

    def restart(
        self,
        key: PRNGKeyArray,
        state: Carry[State],
        over: Bool[Array, ""],
        params: Normalised[Params],
    ) -> tuple[Float[Array, "*shape"], Carry[State]]:
        """Begin the next episode and keep what was gathered."""
        observation, inner = self.env.restart(key, state.inner, over, self.inner_params(params))
        return self._see(observation, inner, state.own.statistics, params)

    def transition(
        self,
        key: PRNGKeyArray,
        state: Carry[State],
        action: PyTree[Array],
        params: Normalised[Params],
    ) -> Transition[Carry[State]]:
        """Advance one step."""
        observation, inner, reward, terminated, truncated = self.env.transition(
            key, state.inner, action, self.inner_params(params)
        )
        shown, carried = self._see(observation, inner, state.own.statistics, params)
        return shown, carried, reward, terminated, truncated

    def _see(
        self,
        observation: Float[Array, "*shape"],
        inner: State,
        statistics: PyTree[Array],
        params: Normalised[Params],
    ) -> tuple[Float[Array, "*shape"], Carry[State]]:
        gathered = self.gather(statistics, observation)
        shown = self.normalise(observation, params.statistics, self.clip, centre=True)
        return shown, Wrapped(inner, Gathered(gathered, None))

    def _inner_space(self, params: Params) -> Box:
        space = self.env.observation_space(params)
        return require_box(space, "NormaliseObservation(env, moments)")
