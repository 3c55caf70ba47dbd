"""Count every type of card, and answer how many of one type were seen."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray, UInt8

from .._checks import discrete_action, int_in_range
from .._environment import AbstractEnvironment, Transition
from ..spaces import Discrete, MultiDiscrete
from ._count_recall_picture import draw_counts
from ._dealer import DECK_SIZE, AbstractDealer, LazyDealer, remove_card
from ._levels import level_name

COLOURS, SUITS, RANKS = 2, 4, 13


class CountRecallParams(eqx.Module):
    """What may vary without a change of shapes.

    Args:
        num_decks: int32, how many decks of 52 cards values and queries are dealt from; at most the
            environment's `num_decks`, whose action space has no larger counts.
    """

    num_decks: Int[Array, ""]


class CountRecallState(eqx.Module):
    """What is carried.

    Args:
        remaining: int32, how many values of each type are left.
        remaining_queries: int32, how many queries of each type are left.
        value: int32, the type that is shown.
        query: int32, the type that is asked for.
    """

    remaining: Int[Array, " types"]
    remaining_queries: Int[Array, " types"]
    value: Int[Array, ""]
    query: Int[Array, ""]


class CountRecall(AbstractEnvironment[CountRecallState, CountRecallParams]):
    r"""At every step, say how many cards of the queried type were shown so far.

    Values $v_0, v_1, \dots$ and queries $q_0, q_1, \dots$ are types of cards from two separate decks
    of $D = 52 \cdot$ `num_decks` cards each. The observation before step $t$ is $(v_t, q_t)$; the
    right action is $|\{i \le t : v_i = q_t\}|$, the value on the table included. The step rewards
    $\pm 1/(D-1)$, then shows the next pair. The episode terminates when the decks are empty, after
    $D-1$ steps. The best return is 1, the random one $2/(D/n + 1) - 1$ for $n$ = `num_types`.

    Args:
        num_decks: decks in each of the two piles, 1 to 1000. Easy, Medium, Hard: 1, 2, 4.
        num_types: what is told apart: 2 colours, 4 suits or 13 ranks. Easy, Medium, Hard: 2, 4, 13.
        dealer: how values are drawn.
        query_dealer: how queries are drawn.

    Raises:
        ValueError: `num_decks` is out of range, or `num_types` is not 2, 4 or 13.

    Source:
        Morad et al., POPGym (ICLR 2023), `popgym/envs/count_recall.py` of release 1.0.7.

    Example:
        >>> import jax
        >>> from memoalg.envs import CountRecall
        >>> env = CountRecall(num_decks=2, num_types=4)
        >>> env.name
        'popgym/CountRecallMedium'
        >>> params = env.default_params()
        >>> env.action_space(params).n  # 0 to 26 cards of one suit
        27
        >>> obs, state = env.reset(jax.random.key(0), params)
        >>> int(env.oracle(state, params)) == int(obs[0] == obs[1])
        True
    """

    levels: ClassVar[tuple[tuple[int, ...], ...]] = ((1, COLOURS), (2, SUITS), (4, RANKS))

    num_decks: int = eqx.field(static=True, default=1)
    num_types: int = eqx.field(static=True, default=COLOURS)
    dealer: AbstractDealer = LazyDealer()
    query_dealer: AbstractDealer = LazyDealer()

    def __check_init__(self):
        int_in_range(self.num_decks, "CountRecall(num_decks=...)", 1, 1000)
        if int_in_range(self.num_types, "CountRecall(num_types=...)", 2, 13) not in (2, 4, 13):
            raise ValueError(
                f"CountRecall(num_types=...) must be 2 (colours), 4 (suits) or 13 (ranks), "
                f"got {self.num_types!r}"
            )

    @property
    def name(self) -> str:
        """The id, or the constructor call."""
        return level_name("CountRecall", (self.num_decks, self.num_types), self.levels)

    def default_params(self) -> CountRecallParams:
        """The constructor's deck count."""
        return CountRecallParams(jnp.asarray(self.num_decks, jnp.int32))

    def reset(
        self, key: PRNGKeyArray, params: CountRecallParams
    ) -> tuple[Int[Array, " 2"], CountRecallState]:
        """Deal the first value and the first query."""
        deck = jnp.broadcast_to(self._cards_per_type(params), (self.num_types,))
        return self._deal(key, deck, deck)

    def transition(
        self,
        key: PRNGKeyArray,
        state: CountRecallState,
        action: Int[Array, ""],
        params: CountRecallParams,
    ) -> Transition[CountRecallState]:
        """Reward the count, then deal the next value and the next query."""
        action = discrete_action(action, "CountRecall")
        scale = 1 / (params.num_decks * DECK_SIZE - 1).astype(float)
        reward = jnp.where(action == self.oracle(state, params), scale, -scale)
        observation, state = self._deal(key, state.remaining, state.remaining_queries)
        terminated = jnp.all(state.remaining == 0)
        return observation, state, reward, terminated, jnp.zeros((), bool)

    def observation_space(self, params: CountRecallParams) -> MultiDiscrete:
        """`(value, query)`: the type on the table and the type that is asked for."""
        return MultiDiscrete((self.num_types, self.num_types))

    def action_space(self, params: CountRecallParams) -> Discrete:
        """A count, from 0 to all cards of one type."""
        return Discrete(self.num_decks * DECK_SIZE // self.num_types + 1)

    def oracle(self, state: CountRecallState, params: CountRecallParams) -> Int[Array, ""]:
        """How many cards of the queried type were shown."""
        # Compare and sum, not an index: under vmap that is a gather, slow on a CPU.
        asked = jnp.arange(self.num_types, dtype=jnp.int32) == state.query
        left = jnp.sum(jnp.where(asked, state.remaining, 0), dtype=jnp.int32)
        return self._cards_per_type(params) - left

    def render(self, state: CountRecallState) -> UInt8[np.ndarray, "height width 3"]:
        """The value, the query, and the count of every type."""
        most = self.num_decks * DECK_SIZE // self.num_types
        counts = most - np.asarray(state.remaining)
        return draw_counts(int(state.value), int(state.query), counts, most)

    def _cards_per_type(self, params: CountRecallParams) -> Int[Array, ""]:
        return params.num_decks * (DECK_SIZE // self.num_types)

    def _deal(
        self, key: PRNGKeyArray, values: Int[Array, " types"], queries: Int[Array, " types"]
    ) -> tuple[Int[Array, " 2"], CountRecallState]:
        """Draw one card from each of the two decks."""
        # Two keys: with one, the two decks would be dealt in the same order.
        keys = jax.random.split(key)
        value = self.dealer.deal(keys[0], values)
        query = self.query_dealer.deal(keys[1], queries)
        state = CountRecallState(
            remove_card(values, value), remove_card(queries, query), value, query
        )
        return jnp.stack([value, query]), state
