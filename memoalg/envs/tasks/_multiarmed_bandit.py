"""Find the arm that pays most often."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from .._checks import discrete_action, int_in_range
from .._environment import AbstractEnvironment, Transition
from ..spaces import Discrete
from ._coin import AbstractCoin, RandomCoin
from ._levels import level_name
from ._multiarmed_bandit_picture import draw_bandit


class MultiarmedBanditParams(eqx.Module):
    """What may vary without a change of shapes.

    Args:
        max_steps: int32, the time limit in pulls.
    """

    max_steps: Int[Array, ""]


class MultiarmedBanditState(eqx.Module):
    """What is carried.

    Args:
        chances: each arm's probability of a payout; the default float dtype.
        arm: int32, the arm that was pulled last; 0 before the first pull.
        payout: int32, 1 where it paid.
        time: int32, pulls since the episode began.
    """

    chances: Float[Array, " arms"]
    arm: Int[Array, ""]
    payout: Int[Array, ""]
    time: Int[Array, ""]


class MultiarmedBandit(AbstractEnvironment[MultiarmedBanditState, MultiarmedBanditParams]):
    r"""Pull one of several arms at every step; which one pays best is new in every episode.

    At the beginning of an episode every arm's chance is drawn, $p_i \sim U(0, 1)$, and 0 is shown. A
    step pulls arm $a$: with probability $p_a$ it shows 1 and rewards $1/L$, else it shows 0 and
    rewards $-1/L$. Nothing terminates; the episode is truncated at $L$ = `max_steps` steps.

    Who knows the chances pulls the best arm and gets $(n-1)/(n+1)$ on average for $n$ = `num_arms`;
    the random return is 0. The observation does not say which arm was pulled: wrap the environment
    in `PreviousAction`, as the original asks for.

    Args:
        num_arms: n, 1 to 1000. Easy, Medium, Hard: 10, 20, 30.
        max_steps: L, 1 to 1,000,000. Easy, Medium, Hard: 200, 400, 600.
        coin: how payouts are drawn.

    Raises:
        ValueError: `num_arms` or `max_steps` is out of range.

    Source:
        Morad et al., POPGym (ICLR 2023), `popgym/envs/multiarmed_bandit.py` of release 1.0.7.

    Example:
        >>> import jax
        >>> from memoalg.envs import MultiarmedBandit
        >>> env = MultiarmedBandit(num_arms=20, max_steps=400)
        >>> env.name
        'popgym/MultiarmedBanditMedium'
        >>> params = env.default_params()
        >>> obs, state = env.reset(jax.random.key(0), params)
        >>> int(obs), bool(state.chances[env.oracle(state, params)] == state.chances.max())
        (0, True)
    """

    levels: ClassVar[tuple[tuple[int, ...], ...]] = ((10, 200), (20, 400), (30, 600))

    num_arms: int = eqx.field(static=True, default=10)
    max_steps: int = eqx.field(static=True, default=200)
    coin: AbstractCoin = RandomCoin()

    def __check_init__(self):
        int_in_range(self.num_arms, "MultiarmedBandit(num_arms=...)", 1, 1000)
        int_in_range(self.max_steps, "MultiarmedBandit(max_steps=...)", 1, 1_000_000)

    @property
    def name(self) -> str:
        """The id, or the constructor call."""
        return level_name("MultiarmedBandit", (self.num_arms, self.max_steps), self.levels)

    def default_params(self) -> MultiarmedBanditParams:
        """The constructor's time limit."""
        return MultiarmedBanditParams(jnp.asarray(self.max_steps, jnp.int32))

    def reset(
        self, key: PRNGKeyArray, params: MultiarmedBanditParams
    ) -> tuple[Int[Array, ""], MultiarmedBanditState]:
        """Draw every arm's chance."""
        # float32 whatever x64 says: the same key draws the same chances.
        chances = jax.random.uniform(key, (self.num_arms,), jnp.float32).astype(float)
        zero = jnp.zeros((), jnp.int32)
        return zero, MultiarmedBanditState(chances, zero, zero, zero)

    def transition(
        self,
        key: PRNGKeyArray,
        state: MultiarmedBanditState,
        action: Int[Array, ""],
        params: MultiarmedBanditParams,
    ) -> Transition[MultiarmedBanditState]:
        """Pull an arm."""
        action = discrete_action(action, "MultiarmedBandit")
        # Compare and sum, not an index: under vmap that is a gather, slow on a CPU.
        pulled = jnp.arange(self.num_arms, dtype=jnp.int32) == action
        chance = jnp.sum(jnp.where(pulled, state.chances, 0.0))
        pays = self.coin.toss(key, chance, state.time)
        scale = 1 / params.max_steps.astype(float)
        reward = jnp.where(pays, scale, -scale)
        payout = pays.astype(jnp.int32)
        state = MultiarmedBanditState(state.chances, action, payout, state.time + 1)
        return payout, state, reward, jnp.zeros((), bool), state.time >= params.max_steps

    def observation_space(self, params: MultiarmedBanditParams) -> Discrete:
        """Whether the arm paid: 1 or 0; 0 at the beginning."""
        return Discrete(2)

    def action_space(self, params: MultiarmedBanditParams) -> Discrete:
        """An arm."""
        return Discrete(self.num_arms)

    def oracle(
        self, state: MultiarmedBanditState, params: MultiarmedBanditParams
    ) -> Int[Array, ""]:
        """The arm with the highest chance."""
        return jnp.argmax(state.chances).astype(jnp.int32)

    def render(self, state: MultiarmedBanditState) -> UInt8[np.ndarray, "height width 3"]:
        """Every arm's chance, and what the last pull gave."""
        pulled = int(state.arm) if int(state.time) else None
        return draw_bandit(np.asarray(state.chances), pulled, bool(state.payout), int(state.time))
