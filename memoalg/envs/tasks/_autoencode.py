"""Remember a whole deck and say it backwards."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray, UInt8

from ..._tree import tree_where
from .._checks import discrete_action, int_in_range
from .._environment import AbstractEnvironment, Transition
from ..spaces import Discrete, Tuple
from ._autoencode_picture import draw_autoencode
from ._dealer import DECK_SIZE, SUITS, AbstractDealer, LazyDealer, remove_card
from ._levels import level_name


class AutoencodeParams(eqx.Module):
    """What may vary without a change of shapes.

    Args:
        num_decks: int32, how many decks of 52 cards are dealt; at most the environment's
            `num_decks`, whose state has no place for more.
    """

    num_decks: Int[Array, ""]


class AutoencodeState(eqx.Module):
    """What is carried.

    Args:
        remaining: int32, how many cards of each suit are left in the deck; all 0 in the second half.
        pile: int8, the suits that are still to be said, newest first; 0 below the last one.
        height: int32, how many cards are on the pile.
    """

    remaining: Int[Array, " suits"]
    pile: Int[Array, " cards"]
    height: Int[Array, ""]


class Autoencode(AbstractEnvironment[AutoencodeState, AutoencodeParams]):
    r"""Watch all cards of a deck, then say their suits from the last one to the first.

    With $D = 52 \cdot$ `num_decks` cards $c_0, \dots, c_{D-1}$ an observation is `(mode, suit)`,
    mode 1 to watch and 0 to play. It begins as $(1, c_0)$. Step $t < D - 1$ shows $c_{t+1}$ and
    rewards 0, whatever the action; the last card comes with mode 0 already. Step $t = D - 1 + i$
    rewards $\pm 1/D$ for action $= c_{D-1-i}$ or not and shows $(0, 0)$. The episode terminates when
    the first card was asked for, after $2D-1$ steps. The best return is 1, the random one -1/2.

    Args:
        num_decks: decks in the game, 1 to 1000. Easy, Medium, Hard: 1, 2, 3.
        dealer: how cards are drawn.

    Raises:
        ValueError: `num_decks` is out of range.

    Source:
        Morad et al., POPGym (ICLR 2023), `popgym/envs/autoencode.py` of release 1.0.7.

    Example:
        >>> import jax
        >>> from memoalg.envs import Autoencode
        >>> env = Autoencode(num_decks=2)
        >>> env.name
        'popgym/AutoencodeMedium'
        >>> (mode, suit), state = env.reset(jax.random.key(0), env.default_params())
        >>> int(mode), int(suit) == int(state.pile[0]), state.pile.shape
        (1, True, (104,))
    """

    levels: ClassVar[tuple[tuple[int, ...], ...]] = ((1,), (2,), (3,))

    num_decks: int = eqx.field(static=True, default=1)
    dealer: AbstractDealer = LazyDealer()

    def __check_init__(self):
        int_in_range(self.num_decks, "Autoencode(num_decks=...)", 1, 1000)

    @property
    def name(self) -> str:
        """The id, or the constructor call."""
        return level_name("Autoencode", (self.num_decks,), self.levels)

    def default_params(self) -> AutoencodeParams:
        """The constructor's deck count."""
        return AutoencodeParams(jnp.asarray(self.num_decks, jnp.int32))

    def reset(
        self, key: PRNGKeyArray, params: AutoencodeParams
    ) -> tuple[tuple[Int[Array, ""], Int[Array, ""]], AutoencodeState]:
        """Deal the first card."""
        deck = jnp.broadcast_to(params.num_decks * (DECK_SIZE // SUITS), (SUITS,))
        empty = jnp.zeros((self.num_decks * DECK_SIZE,), jnp.int8)
        card, state = self._watch(key, AutoencodeState(deck, empty, jnp.zeros((), jnp.int32)))
        return (_mode(state), card), state

    def transition(
        self,
        key: PRNGKeyArray,
        state: AutoencodeState,
        action: Int[Array, ""],
        params: AutoencodeParams,
    ) -> Transition[AutoencodeState]:
        """Deal the next card; where none is left, reward the answer and take a card from the pile."""
        action = discrete_action(action, "Autoencode")
        watching = _mode(state) == 1
        scale = 1 / (params.num_decks * DECK_SIZE).astype(float)
        answer = jnp.where(action == _top(state), scale, -scale)
        reward = jnp.where(watching, 0.0, answer)
        card, watched = self._watch(key, state)
        state = tree_where(watching, watched, _say(state))
        suit = jnp.where(watching, card, 0)
        return (_mode(state), suit), state, reward, state.height == 0, jnp.zeros((), bool)

    def observation_space(self, params: AutoencodeParams) -> Tuple:
        """`(mode, suit)`: 1 to watch and 0 to play; the new card, 0 after all were shown."""
        return Tuple((Discrete(2), Discrete(SUITS)))

    def action_space(self, params: AutoencodeParams) -> Discrete:
        """A suit."""
        return Discrete(SUITS)

    def oracle(self, state: AutoencodeState, params: AutoencodeParams) -> Int[Array, ""]:
        """The suit that is asked for; while cards are dealt, the newest one."""
        return _top(state)

    def render(self, state: AutoencodeState) -> UInt8[np.ndarray, "height width 3"]:
        """The mode, the newest card, and the whole pile as coloured cells."""
        pile = np.asarray(state.pile)[: int(state.height)]
        return draw_autoencode(bool(_mode(state) == 1), pile, state.pile.shape[0])

    def _watch(
        self, key: PRNGKeyArray, state: AutoencodeState
    ) -> tuple[Int[Array, ""], AutoencodeState]:
        """Deal a card onto the pile."""
        card = self.dealer.deal(key, state.remaining)
        # Shifts instead of a cursor: no gather or scatter, and the card asked for is always first.
        pile = jnp.concatenate([card.astype(jnp.int8)[None], state.pile[:-1]])
        return card, AutoencodeState(remove_card(state.remaining, card), pile, state.height + 1)


def _say(state: AutoencodeState) -> AutoencodeState:
    """Take the newest card from the pile."""
    pile = jnp.concatenate([state.pile[1:], jnp.zeros((1,), jnp.int8)])
    return AutoencodeState(state.remaining, pile, state.height - 1)


def _mode(state: AutoencodeState) -> Int[Array, ""]:
    """1 while cards are left to watch, then 0."""
    return jnp.any(state.remaining > 0).astype(jnp.int32)


def _top(state: AutoencodeState) -> Int[Array, ""]:
    """The newest card on the pile."""
    return state.pile[0].astype(jnp.int32)
