"""Rewards on the scale of the discounted return."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray, PyTree

from .._checks import float_in_range
from .._environment import AbstractEnvironment, Params, State, Transition
from ._normalise import AbstractNormaliser, Gathered, MomentsMonoid, Normalised, check_moments
from ._wrapper import Wrapped


class Return(eqx.Module):
    """What `NormaliseReward` carries over the steps of an episode.

    Args:
        discounted: the running discounted return, R.
        reward: the last one, as the task gave it; `step` reports it as `info["reward"]`.
    """

    discounted: Float[Array, ""]
    reward: Float[Array, ""]


Carry = Wrapped[State, Gathered[Return]]


class NormaliseReward(AbstractNormaliser[State, Return, Params]):
    r"""Divide rewards by the standard deviation of the running discounted return, and clip.

    $$R_t = \gamma R_{t-1} + r_t, \qquad r'_t = \mathrm{clip}(r_t / \sqrt{v_R + 10^{-8}}, \pm c),$$

    with $R = 0$ at an episode's start. The variance is the one in the parameters and changes by
    `absorb` only; while there are no statistics the reward is given as it is, and while no return
    ever varied it is not divided. The mean is not subtracted. The state gathers the moments of
    $R_t$ over all steps and episodes, and carries $R_t$. The reward in the task's own units is
    `info["reward"]`: training loops report returns in it.

    Args:
        env: the environment to wrap.
        moments: `memoalg.Moments()`, of scalars. In float32 it counts to 16,777,216 and is a moving
            mean from there on.
        discount: $\gamma$, 0 to 1; the agent's own.
        clip: c, greater than 0.

    Raises:
        TypeError: `moments` is no monoid of moments.
        ValueError: a number is out of range, `moments` is not of scalars, or the wrappers are in
            the wrong order.

    Source:
        Engstrom et al., Implementation Matters in Deep Policy Gradients (ICLR 2020), appendix A.1;
        gymnasium's NormalizeReward forgets the past one step too early at a termination, and
        never at a truncation.

    Example:
        >>> import jax, memoalg as ma
        >>> from memoalg.envs import RepeatFirst
        >>> from memoalg.envs import NormaliseReward
        >>> env = NormaliseReward(RepeatFirst(), ma.Moments(), discount=0.99)
        >>> obs, state = env.reset(jax.random.key(0), env.default_params())
        >>> float(state.own.running.discounted)
        0.0
    """

    env: AbstractEnvironment[State, Params]
    moments: MomentsMonoid
    discount: float = eqx.field(static=True)
    clip: float = eqx.field(static=True, default=10.0)

    def check(self) -> None:
        """Refuse numbers out of range, and moments that are not of scalars."""
        float_in_range(self.discount, "NormaliseReward(discount=...)", 0.0, 1.0)
        float_in_range(self.clip, "NormaliseReward(clip=...)", 1e-6, 1e6)
        check_moments(self.moments, (), "NormaliseReward(env, moments, discount)")

    def reset(
        self, key: PRNGKeyArray, params: Normalised[Params]
    ) -> tuple[PyTree[Array], Carry[State]]:
        """Begin an episode with nothing gathered."""
        observation, inner = self.env.reset(key, self.inner_params(params))
        own = Gathered(self.moments.identity(), _nothing())
        return observation, Wrapped(inner, own)

    def restart(
        self,
        key: PRNGKeyArray,
        state: Carry[State],
        over: Bool[Array, ""],
        params: Normalised[Params],
    ) -> tuple[PyTree[Array], Carry[State]]:
        """Begin the next episode: the return is 0 again, what was gathered is kept."""
        observation, inner = self.env.restart(key, state.inner, over, self.inner_params(params))
        own = Gathered(state.own.statistics, _nothing())
        return observation, Wrapped(inner, own)

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
        discounted = self.discount * state.own.running.discounted + reward
        gathered = self.gather(state.own.statistics, discounted)
        own = Gathered(gathered, Return(discounted, reward))
        scaled = self.normalise(reward, params.statistics, self.clip, centre=False)
        return observation, Wrapped(inner, own), scaled, terminated, truncated

    def report(self, state: Carry[State], params: Normalised[Params]) -> dict[str, PyTree[Array]]:
        """The reward as the task gave it, beside what the wrapped environment reports."""
        inner = self.env.report(state.inner, self.inner_params(params))
        return {"reward": state.own.running.reward, **inner}


def _nothing() -> Return:
    return Return(jnp.zeros((), float), jnp.zeros((), float))
