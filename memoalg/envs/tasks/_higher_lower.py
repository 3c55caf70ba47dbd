"""Guess whether the next card is higher or lower; who counts cards guesses better."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, PRNGKeyArray, UInt8

from .._checks import discrete_action, int_in_range
from .._environment import AbstractEnvironment, Transition
from ..spaces import Discrete
from ._dealer import DECK_SIZE, AbstractDealer, LazyDealer, remove_card
from ._higher_lower_picture import draw_higher_lower
from ._levels import level_name

RANKS = 13
HIGHER, LOWER = 0, 1


class HigherLowerParams(eqx.Module):
    """What may vary without a change of shapes.

    Args:
        num_decks: int32, how many decks of 52 cards are dealt.
    """

    num_decks: Int[Array, ""]


class HigherLowerState(eqx.Module):
    """What is carried.

    Args:
        remaining: int32, how many cards of each rank are left.
        card: int32, the rank on the table, 0 (ace) to 12 (king).
    """

    remaining: Int[Array, " ranks"]
    card: Int[Array, ""]


class HigherLower(AbstractEnvironment[HigherLowerState, HigherLowerParams]):
    r"""At every step, guess whether the next card's rank is higher (0) or lower (1).

    With $D = 52 \cdot$ `num_decks` cards of rank $c_0, c_1, \dots$ in 0..12 (ace to king): step $t$
    deals $c_{t+1}$ and rewards $1/D$ where the guess was right, $-1/D$ where it was wrong, and 0 where
    $c_{t+1} = c_t$. The episode terminates when the deck is empty, after $D-1$ steps.

    Memory is worth little here: the rank on the table alone gives 84/169 = 0.497, counting cards
    gives 0.528, 0.516, 0.511 with 1, 2, 3 decks. The random return is 0.

    Args:
        num_decks: decks in the game, 1 to 1000. Easy, Medium, Hard: 1, 2, 3.
        dealer: how cards are drawn.

    Raises:
        ValueError: `num_decks` is out of range.

    Source:
        Morad et al., POPGym (ICLR 2023), `popgym/envs/higher_lower.py` of release 1.0.7.

    Example:
        >>> import jax
        >>> from memoalg.envs import HigherLower
        >>> env = HigherLower(num_decks=3)
        >>> env.name
        'popgym/HigherLowerHard'
        >>> obs, state = env.reset(jax.random.key(0), env.default_params())
        >>> int(state.remaining[obs]), int(state.remaining.sum())
        (11, 155)
    """

    levels: ClassVar[tuple[tuple[int, ...], ...]] = ((1,), (2,), (3,))

    num_decks: int = eqx.field(static=True, default=1)
    dealer: AbstractDealer = LazyDealer()

    def __check_init__(self):
        int_in_range(self.num_decks, "HigherLower(num_decks=...)", 1, 1000)

    @property
    def name(self) -> str:
        """The id, or the constructor call."""
        return level_name("HigherLower", (self.num_decks,), self.levels)

    def default_params(self) -> HigherLowerParams:
        """The constructor's deck count."""
        return HigherLowerParams(jnp.asarray(self.num_decks, jnp.int32))

    def reset(
        self, key: PRNGKeyArray, params: HigherLowerParams
    ) -> tuple[Int[Array, ""], HigherLowerState]:
        """Deal the first card."""
        deck = jnp.broadcast_to(params.num_decks * (DECK_SIZE // RANKS), (RANKS,))
        card = self.dealer.deal(key, deck)
        return card, HigherLowerState(remove_card(deck, card), card)

    def transition(
        self,
        key: PRNGKeyArray,
        state: HigherLowerState,
        action: Int[Array, ""],
        params: HigherLowerParams,
    ) -> Transition[HigherLowerState]:
        """Deal the next card and reward the guess."""
        action = discrete_action(action, "HigherLower")
        scale = 1 / (params.num_decks * DECK_SIZE).astype(float)
        card = self.dealer.deal(key, state.remaining)
        right = (card > state.card) == (action == HIGHER)
        reward = jnp.where(card == state.card, 0.0, jnp.where(right, scale, -scale))
        remaining = remove_card(state.remaining, card)
        terminated = jnp.all(remaining == 0)
        return card, HigherLowerState(remaining, card), reward, terminated, jnp.zeros((), bool)

    def observation_space(self, params: HigherLowerParams) -> Discrete:
        """The rank of the card on the table, 0 (ace) to 12 (king)."""
        return Discrete(RANKS)

    def action_space(self, params: HigherLowerParams) -> Discrete:
        """0 guesses higher, 1 lower."""
        return Discrete(2)

    def oracle(self, state: HigherLowerState, params: HigherLowerParams) -> Int[Array, ""]:
        """What more of the remaining cards are: the best guess of a player who counts cards.

        It knows which cards are left, not their order. Guesses do not change what is dealt, so the
        best guess at every step is the best policy.
        """
        ranks = jnp.arange(RANKS, dtype=jnp.int32)
        higher = _count(state.remaining, ranks > state.card)
        lower = _count(state.remaining, ranks < state.card)
        return jnp.where(higher >= lower, HIGHER, LOWER).astype(jnp.int32)

    def render(self, state: HigherLowerState) -> UInt8[np.ndarray, "height width 3"]:
        """The card on the table, and how many cards of each rank are left."""
        most = self.num_decks * (DECK_SIZE // RANKS)
        return draw_higher_lower(int(state.card), np.asarray(state.remaining), most)


def _count(remaining: Int[Array, " ranks"], which: Bool[Array, " ranks"]) -> Int[Array, ""]:
    return jnp.sum(jnp.where(which, remaining, 0), dtype=jnp.int32)
