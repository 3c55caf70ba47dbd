"""Remember the card of a few steps ago."""

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


class RepeatPreviousParams(eqx.Module):
    """What may vary without a change of shapes.

    Args:
        num_decks: int32, how many decks of 52 cards are dealt; there must be more cards than the
            environment's `lag`.
    """

    num_decks: Int[Array, ""]


class RepeatPreviousState(eqx.Module):
    """What is carried.

    Args:
        remaining: int32, how many cards of each suit are left.
        hand: int8, the suits of the last `lag` cards, newest first; 0 where no card was dealt yet.
    """

    remaining: Int[Array, " suits"]
    hand: Int[Array, " lag"]


class RepeatPrevious(AbstractEnvironment[RepeatPreviousState, RepeatPreviousParams]):
    r"""At every step, say the suit of the card that was shown `lag - 1` cards ago.

    With $D = 52 \cdot$ `num_decks` cards and $k$ = `lag`: the first observation is the suit $c_0$.
    Step $t = 0, 1, \dots$ comes after $t + 1$ cards: it rewards $\pm 1/(D-k)$ for
    action $= c_{t-k+1}$ or not where $t + 1 \ge k$, and 0 before, then shows the next card. (The
    card on the table counts: k = 1 asks for the card that is shown now.) The episode terminates
    when the deck is empty, after $D-1$ steps. The best return is 1, the random one -1/2.

    Args:
        num_decks: decks in the game, 1 to 1000. Easy, Medium, Hard: 1, 2, 3.
        lag: k, the number of cards to hold in mind, 1 to 52 `num_decks` - 1.
            Easy, Medium, Hard: 4, 32, 64.
        dealer: how cards are drawn.

    Raises:
        ValueError: `num_decks` or `lag` is out of range.

    Source:
        Morad et al., POPGym (ICLR 2023), `popgym/envs/repeat_previous.py` of release 1.0.7.

    Example:
        >>> import jax
        >>> from memoalg.envs import RepeatPrevious
        >>> env = RepeatPrevious(num_decks=1, lag=4)
        >>> env.name
        'popgym/RepeatPreviousEasy'
        >>> obs, state = env.reset(jax.random.key(0), env.default_params())
        >>> int(state.remaining.sum()), state.hand.shape
        (51, (4,))
    """

    levels: ClassVar[tuple[tuple[int, ...], ...]] = ((1, 4), (2, 32), (3, 64))

    num_decks: int = eqx.field(static=True, default=1)
    lag: int = eqx.field(static=True, default=4)
    dealer: AbstractDealer = LazyDealer()

    def __check_init__(self):
        decks = int_in_range(self.num_decks, "RepeatPrevious(num_decks=...)", 1, 1000)
        int_in_range(self.lag, "RepeatPrevious(lag=...)", 1, decks * DECK_SIZE - 1)

    @property
    def name(self) -> str:
        """The id, or the constructor call."""
        return level_name("RepeatPrevious", (self.num_decks, self.lag), self.levels)

    def default_params(self) -> RepeatPreviousParams:
        """The constructor's deck count."""
        return RepeatPreviousParams(jnp.asarray(self.num_decks, jnp.int32))

    def reset(
        self, key: PRNGKeyArray, params: RepeatPreviousParams
    ) -> tuple[Int[Array, ""], RepeatPreviousState]:
        """Deal the first card."""
        deck = jnp.broadcast_to(params.num_decks * (DECK_SIZE // SUITS), (SUITS,))
        card = self.dealer.deal(key, deck)
        hand = _take_up(jnp.zeros((self.lag,), jnp.int8), card)
        return card, RepeatPreviousState(remove_card(deck, card), hand)

    def transition(
        self,
        key: PRNGKeyArray,
        state: RepeatPreviousState,
        action: Int[Array, ""],
        params: RepeatPreviousParams,
    ) -> Transition[RepeatPreviousState]:
        """Reward the answer where enough cards were seen, then deal the next card."""
        action = discrete_action(action, "RepeatPrevious")
        cards = params.num_decks * DECK_SIZE
        seen = cards - jnp.sum(state.remaining, dtype=jnp.int32)
        scale = 1 / (cards - self.lag).astype(float)
        right = action == state.hand[-1].astype(jnp.int32)
        reward = jnp.where(seen >= self.lag, jnp.where(right, scale, -scale), 0.0)
        card = self.dealer.deal(key, state.remaining)
        remaining = remove_card(state.remaining, card)
        terminated = jnp.all(remaining == 0)
        state = RepeatPreviousState(remaining, _take_up(state.hand, card))
        return card, state, reward, terminated, jnp.zeros((), bool)

    def observation_space(self, params: RepeatPreviousParams) -> Discrete:
        """The suit of the card on the table."""
        return Discrete(SUITS)

    def action_space(self, params: RepeatPreviousParams) -> Discrete:
        """A suit."""
        return Discrete(SUITS)

    def oracle(self, state: RepeatPreviousState, params: RepeatPreviousParams) -> Int[Array, ""]:
        """The suit that is asked for; 0 while no card is."""
        return state.hand[-1].astype(jnp.int32)

    def render(self, state: RepeatPreviousState) -> UInt8[np.ndarray, "height width 3"]:
        """The card that is asked for, small, and the card on the table."""
        dealt = self.num_decks * DECK_SIZE - int(state.remaining.sum())
        asked = int(state.hand[-1]) if dealt >= self.lag else None
        title = f"{self.lag - 1} cards ago"
        return draw_recall(int(state.hand[0]), asked, title, state.remaining)


def _take_up(hand: Int[Array, " lag"], card: Int[Array, ""]) -> Int[Array, " lag"]:
    """Put a card in front and drop the oldest."""
    # A shift instead of a ring with a cursor: no gather or scatter, and `hand` reads in order.
    return jnp.concatenate([card.astype(hand.dtype)[None], hand[:-1]])
