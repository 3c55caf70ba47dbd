"""Remember the first card of an episode."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray, UInt8

from .._checks import discrete_action, int_in_range
from .._environment import AbstractEnvironment, Transition
from ..spaces import Discrete
from ._dealer import DECK_SIZE, SUITS, AbstractDealer, LazyDealer, remove_card
from ._levels import level_name
from ._recall_picture import draw_recall


class RepeatFirstParams(eqx.Module):
    """What may vary without a change of shapes.

    Args:
        num_decks: int32, how many decks of 52 cards are dealt.
    """

    num_decks: Int[Array, ""]


class RepeatFirstState(eqx.Module):
    """What is carried.

    Args:
        remaining: int32, how many cards of each suit are left.
        target: int32, the suit of the first card.
        card: int32, the suit on the table.
    """

    remaining: Int[Array, " suits"]
    target: Int[Array, ""]
    card: Int[Array, ""]


class RepeatFirst(AbstractEnvironment[RepeatFirstState, RepeatFirstParams]):
    r"""At every step, say the suit of the episode's first card.

    With $D = 52 \cdot$ `num_decks` cards: the first observation is the suit $c_0$; each step
    rewards $\pm 1/(D-1)$ for action $= c_0$ or not, then shows the next card. The episode
    terminates when the deck is empty, after $D-1$ steps. The best return is 1, the random one -1/2.

    Args:
        num_decks: decks in the game, 1 to 1000. Easy, Medium, Hard: 1, 8, 16.
        dealer: how cards are drawn.

    Raises:
        ValueError: `num_decks` is out of range.

    Source:
        Morad et al., POPGym (ICLR 2023), `popgym/envs/repeat_first.py` of release 1.0.7.

    Example:
        >>> import jax
        >>> from memoalg.envs import RepeatFirst
        >>> env = RepeatFirst(num_decks=8)
        >>> env.name
        'popgym/RepeatFirstMedium'
        >>> obs, state = env.reset(jax.random.key(0), env.default_params())
        >>> bool(obs == state.target)
        True
    """

    levels: ClassVar[tuple[tuple[int, ...], ...]] = ((1,), (8,), (16,))

    num_decks: int = eqx.field(static=True, default=1)
    dealer: AbstractDealer = LazyDealer()

    def __check_init__(self):
        int_in_range(self.num_decks, "RepeatFirst(num_decks=...)", 1, 1000)

    @property
    def name(self) -> str:
        """The id, or the constructor call."""
        return level_name("RepeatFirst", (self.num_decks,), self.levels)

    def default_params(self) -> RepeatFirstParams:
        """The constructor's deck count."""
        return RepeatFirstParams(jnp.asarray(self.num_decks, jnp.int32))

    def reset(
        self, key: PRNGKeyArray, params: RepeatFirstParams
    ) -> tuple[Int[Array, ""], RepeatFirstState]:
        """Deal the first card."""
        deck = jnp.broadcast_to(params.num_decks * (DECK_SIZE // SUITS), (SUITS,))
        card = self.dealer.deal(key, deck)
        return card, RepeatFirstState(remove_card(deck, card), card, card)

    def transition(
        self,
        key: PRNGKeyArray,
        state: RepeatFirstState,
        action: Int[Array, ""],
        params: RepeatFirstParams,
    ) -> Transition[RepeatFirstState]:
        """Reward the answer, then deal the next card."""
        action = discrete_action(action, "RepeatFirst")
        scale = 1 / (params.num_decks * DECK_SIZE - 1).astype(float)
        reward = jnp.where(action == state.target, scale, -scale)
        card = self.dealer.deal(key, state.remaining)
        remaining = remove_card(state.remaining, card)
        terminated = jnp.all(remaining == 0)
        state = RepeatFirstState(remaining, state.target, card)
        return card, state, reward, terminated, jnp.zeros((), bool)

    def observation_space(self, params: RepeatFirstParams) -> Discrete:
        """The suit of the card on the table."""
        return Discrete(SUITS)

    def action_space(self, params: RepeatFirstParams) -> Discrete:
        """A suit."""
        return Discrete(SUITS)

    def oracle(self, state: RepeatFirstState, params: RepeatFirstParams) -> Int[Array, ""]:
        """The first card's suit."""
        return state.target

    def render(self, state: RepeatFirstState) -> UInt8[np.ndarray, "height width 3"]:
        """The first card, small, and the card on the table."""
        return draw_recall(int(state.card), int(state.target), "first card", state.remaining)
