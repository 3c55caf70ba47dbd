"""Find the best arm of a bandit that is new in every episode."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from .._checks import discrete_action, int_in_range
from .._environment import AbstractEnvironment, Transition
from ..spaces import Box, Discrete, Tuple
from ._levels import level_name
from ._meta_bandit_picture import draw_bandit

KINDS = ("bernoulli", "gaussian")


class MetaBanditParams(eqx.Module):
    """What may vary without a change of shapes.

    Args:
        length: int32, the number of pulls of an episode.
    """

    length: Int[Array, ""]


class MetaBanditState(eqx.Module):
    """What is carried.

    Args:
        means: float, each arm's mean payout.
        arm: int32, the arm that was pulled last; the number of arms before the first pull.
        payout: float, what it paid; 0 before the first pull.
        time: int32, pulls since the episode began.
    """

    means: Float[Array, " arms"]
    arm: Int[Array, ""]
    payout: Float[Array, ""]
    time: Int[Array, ""]


class MetaBandit(AbstractEnvironment[MetaBanditState, MetaBanditParams]):
    r"""Pull the arms of a bandit whose payouts are drawn anew for each episode.

    The dials are `arms`, how many counts must be kept apart, and `length`, over how many pulls they
    are collected: what is remembered is no single event but a statistic of the whole episode.
    All that the agent sees is its last action and what it paid, so learning within an episode
    happens in its memory ("learning to reinforcement learn").

    With $A$ = `arms` and $L$ = `length`: `kind="bernoulli"` draws means $\mu_a \sim U(0, 1)$ and
    pays $x \sim$ Bernoulli($\mu_a$); `kind="gaussian"` draws $\mu_a \sim N(0, 1)$ and pays
    $x \sim N(\mu_a, 1)$. The observation is (the last arm, what it paid), at first $(A, 0)$; the
    reward is $x/L$, so a return is a mean payout. The episode terminates after $L$ pulls.

    Returns: random 1/2 (bernoulli), 0 (gaussian). The best arm throughout, which no agent can know,
    gives $A/(A+1)$ (bernoulli), $E \max_a \mu_a$ (gaussian); the best that an agent can do is less,
    0.6492 for 2 Bernoulli arms and 100 pulls. "Stay if it paid, else the next arm" uses the last
    observation only and gives 0.5897 there, the best of such policies without chance.

    Args:
        arms: A, 2 to 1000. Easy, Medium, Hard: 2, 5, 10.
        length: L, 1 to 1,000,000. Easy, Medium, Hard: 100, 200, 500.
        kind: "bernoulli" or "gaussian".

    Raises:
        ValueError: an argument is out of range.

    Source:
        Wang et al., Learning to reinforcement learn (2016); Duan et al., RL² (2016).

    Example:
        >>> import jax
        >>> from memoalg.envs import MetaBandit
        >>> env = MetaBandit(arms=5, length=200)
        >>> env.name
        'memory/MetaBanditMedium'
        >>> (arm, payout), state = env.reset(jax.random.key(0), env.default_params())
        >>> int(arm), float(payout)
        (5, 0.0)
    """

    levels: ClassVar[tuple[tuple[int, ...], ...]] = ((2, 100), (5, 200), (10, 500))

    arms: int = eqx.field(static=True, default=2)
    length: int = eqx.field(static=True, default=100)
    kind: str = eqx.field(static=True, default="bernoulli")

    def __check_init__(self):
        int_in_range(self.arms, "MetaBandit(arms=...)", 2, 1000)
        int_in_range(self.length, "MetaBandit(length=...)", 1, 1_000_000)
        if self.kind not in KINDS:
            raise ValueError(
                f'MetaBandit(kind=...) must be "bernoulli" or "gaussian", got {self.kind!r}'
            )

    @property
    def name(self) -> str:
        """The id, or the constructor call."""
        arguments = (self.arms, self.length)
        full = arguments if self.kind == "bernoulli" else (*arguments, self.kind)
        return level_name("MetaBandit", full, self.levels, "memory")

    def default_params(self) -> MetaBanditParams:
        """The constructor's number of pulls."""
        return MetaBanditParams(jnp.asarray(self.length, jnp.int32))

    def reset(
        self, key: PRNGKeyArray, params: MetaBanditParams
    ) -> tuple[tuple[Int[Array, ""], Float[Array, ""]], MetaBanditState]:
        """Draw the arms' means."""
        draw = jax.random.uniform if self.kind == "bernoulli" else jax.random.normal
        means = draw(key, (self.arms,), float)
        none, zero = jnp.asarray(self.arms, jnp.int32), jnp.zeros((), jnp.int32)
        state = MetaBanditState(means, none, jnp.zeros((), float), zero)
        return (state.arm, state.payout), state

    def transition(
        self,
        key: PRNGKeyArray,
        state: MetaBanditState,
        action: Int[Array, ""],
        params: MetaBanditParams,
    ) -> Transition[MetaBanditState]:
        """Pull an arm."""
        action = discrete_action(action, "MetaBandit")
        pulled = jnp.arange(self.arms, dtype=jnp.int32) == action
        mean = jnp.sum(jnp.where(pulled, state.means, 0.0))
        if self.kind == "bernoulli":
            payout = (jax.random.uniform(key, (), float) < mean).astype(float)
        else:
            payout = mean + jax.random.normal(key, (), float)
        state = MetaBanditState(state.means, action, payout, state.time + 1)
        reward = payout / params.length.astype(float)
        over = state.time >= params.length
        return (state.arm, state.payout), state, reward, over, jnp.zeros((), bool)

    def observation_space(self, params: MetaBanditParams) -> Tuple:
        """The last arm (the number of arms: none yet) and what it paid."""
        payout = Box(0.0, 1.0, ()) if self.kind == "bernoulli" else Box(-np.inf, np.inf, ())
        return Tuple((Discrete(self.arms + 1), payout))

    def action_space(self, params: MetaBanditParams) -> Discrete:
        """An arm."""
        return Discrete(self.arms)

    def oracle(self, state: MetaBanditState, params: MetaBanditParams) -> Int[Array, ""]:
        """The arm with the highest mean."""
        return jnp.argmax(state.means).astype(jnp.int32)

    def render(self, state: MetaBanditState) -> UInt8[np.ndarray, "height width 3"]:
        """The arms' means as bars, the last pull and what it paid."""
        means = np.asarray(state.means)
        heights = means if self.kind == "bernoulli" else np.clip((means + 3) / 6, 0, 1)
        return draw_bandit(heights, int(state.arm), float(state.payout), int(state.time))
