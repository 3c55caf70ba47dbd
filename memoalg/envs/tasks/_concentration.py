"""Turn cards over two at a time until all pairs are found."""

import math
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, PRNGKeyArray, UInt8

from .._checks import discrete_action, int_in_range
from .._environment import AbstractEnvironment, Transition
from ..spaces import Discrete, MultiDiscrete
from ._concentration_picture import draw_cards
from ._dealer import DECK_SIZE, AbstractDealer, LazyDealer, remove_card
from ._levels import level_name

NOBODY = -1


class ConcentrationParams(eqx.Module):
    """What may vary without a change of shapes.

    Args:
        max_steps: int32, the time limit L, which the penalties are divided by too.
    """

    max_steps: Int[Array, ""]


class ConcentrationState(eqx.Module):
    """What is carried; cards lie at the places 0..D-1.

    Args:
        faces: int8, each card's face; `num_types` where it was never turned, which the deal has not
            decided yet.
        remaining: int32, how many undecided cards have each face.
        up: int8, 1 where a card stays face up because its pair was found.
        in_play: int32, the place of the card that was turned and waits for a second one, or -1.
        time: int32, steps since the episode began.
    """

    faces: Int[Array, " cards"]
    remaining: Int[Array, " types"]
    up: Int[Array, " cards"]
    in_play: Int[Array, ""]
    time: Int[Array, ""]


class Concentration(AbstractEnvironment[ConcentrationState, ConcentrationParams]):
    r"""Find the pairs among cards that lie face down.

    $D = 52 \cdot$ `num_decks` cards with `num_types` equally frequent faces lie face down. An action
    turns one over. The observation has all $D$ cards: the face where a card is up or in play, this
    step's card too, else `num_types`. With $L = \lceil 2D - D/(2D-1) \rceil$ and $p$ cards in play,
    this one included:

    - a card that stays up already: reward $-p/L$, the cards in play are turned back;
    - $p = 2$ different places with equal faces: reward $2/D$, they stay up;
    - $p = 2$ otherwise, the same place twice too: reward $-2/L$, they are turned back;
    - $p = 1$: reward 0.

    Cards are turned back after they were shown. Terminates when all are up, truncates after $L$
    steps (both may be true). A perfect memory returns about 0.81, 0.81, 0.70 (Easy, Medium, Hard).

    A card's face is decided when it is first turned, with probability proportional to what is left:
    as cards are exchangeable, this is the law of a shuffled deck, and a new episode draws nothing.

    Args:
        num_decks: decks on the table, 1 to 20. Easy, Medium, Hard: 1, 2, 1.
        num_types: different faces: 2 (colours), 13 (ranks), or 4 (suits) where `num_decks` is even,
            as every face must have pairs. Easy, Medium, Hard: 2, 2, 13.
        dealer: how faces are drawn.

    Raises:
        ValueError: `num_decks` or `num_types` is out of range, or a face has an odd number of cards.

    Source:
        Morad et al., POPGym (ICLR 2023), `popgym/envs/concentration.py` of release 1.0.7.

    Example:
        >>> import jax
        >>> from memoalg.envs import Concentration
        >>> env = Concentration(num_decks=1, num_types=13)
        >>> env.name
        'popgym/ConcentrationHard'
        >>> obs, state = env.reset(jax.random.key(0), env.default_params())
        >>> obs.shape, int(obs.min())
        ((52,), 13)
    """

    levels: ClassVar[tuple[tuple[int, ...], ...]] = ((1, 2), (2, 2), (1, 13))

    num_decks: int = eqx.field(static=True, default=1)
    num_types: int = eqx.field(static=True, default=2)
    dealer: AbstractDealer = LazyDealer()

    def __check_init__(self):
        decks = int_in_range(self.num_decks, "Concentration(num_decks=...)", 1, 20)
        types = int_in_range(self.num_types, "Concentration(num_types=...)", 2, 13)
        if types not in (2, 4, 13) or DECK_SIZE * decks // types % 2:
            raise ValueError(
                f"Concentration(num_types=...) must be 2 (colours), 13 (ranks), or 4 (suits) with an "
                f"even num_decks, got num_types={types} with num_decks={decks}"
            )

    @property
    def name(self) -> str:
        """The id, or the constructor call."""
        return level_name("Concentration", (self.num_decks, self.num_types), self.levels)

    def default_params(self) -> ConcentrationParams:
        """The original's time limit for this many cards."""
        cards = self._cards
        limit = math.ceil(2 * cards - cards / (2 * cards - 1))
        return ConcentrationParams(jnp.asarray(limit, jnp.int32))

    def reset(
        self, key: PRNGKeyArray, params: ConcentrationParams
    ) -> tuple[Int[Array, " cards"], ConcentrationState]:
        """Lay all cards face down; nothing is random yet."""
        hidden = jnp.full((self._cards,), self.num_types, jnp.int32)
        per_type = jnp.full((self.num_types,), self._cards // self.num_types, jnp.int32)
        down = jnp.zeros((self._cards,), jnp.int8)
        nobody = jnp.full((), NOBODY, jnp.int32)
        faces = hidden.astype(jnp.int8)
        return hidden, ConcentrationState(faces, per_type, down, nobody, jnp.zeros((), jnp.int32))

    def transition(
        self,
        key: PRNGKeyArray,
        state: ConcentrationState,
        action: Int[Array, ""],
        params: ConcentrationParams,
    ) -> Transition[ConcentrationState]:
        """Turn one card over; compare, reward, and turn back what does not stay up."""
        action = discrete_action(action, "Concentration")
        here, waiting = self._at(action), self._at(state.in_play)
        faces, remaining = self._decide(key, state, here)
        was_up = jnp.any(here & (state.up == 1))
        shown = (state.up == 1) | here | waiting
        observation = jnp.where(shown, faces, self._down).astype(jnp.int32)

        second = state.in_play != NOBODY
        same_face = _face(faces, here) == _face(faces, waiting)
        pair = second & same_face & (action != state.in_play) & ~was_up
        in_play = jnp.where(second | was_up, NOBODY, action)
        up = jnp.where((here | waiting) & pair, jnp.ones((), jnp.int8), state.up)

        failure = -jnp.where(second, 2, 1).astype(float) / params.max_steps.astype(float)
        reward = jnp.where(pair, 2 / self._cards, jnp.where(second | was_up, failure, 0.0))
        state = ConcentrationState(faces, remaining, up, in_play, state.time + 1)
        truncated = state.time >= params.max_steps
        return observation, state, reward, jnp.all(up == 1), truncated

    def observation_space(self, params: ConcentrationParams) -> MultiDiscrete:
        """Every card's face, or `num_types` where it is face down."""
        return MultiDiscrete((self.num_types + 1,) * self._cards)

    def action_space(self, params: ConcentrationParams) -> Discrete:
        """A card's place."""
        return Discrete(self._cards)

    def oracle(self, state: ConcentrationState, params: ConcentrationParams) -> Int[Array, ""]:
        """Perfect memory: a pair where one is known, else a card that was never turned.

        It knows what was shown and no more: other faces are not decided yet.
        """
        down = state.up == 0
        known = down & (state.faces != self._down)
        waiting = self._at(state.in_play)
        partner = known & ~waiting & (state.faces == _face(state.faces, waiting))
        types = jnp.arange(self.num_types, dtype=jnp.int8)
        have = known[:, None] & (state.faces[:, None] == types[None, :])
        paired = jnp.sum(have, 0, dtype=jnp.int32) >= 2
        in_pair = jnp.any(have & paired[None, :], 1)
        wanted = jnp.where(state.in_play == NOBODY, in_pair, partner)
        unknown = down & (state.faces == self._down)
        return jnp.argmax(jnp.where(jnp.any(wanted), wanted, unknown)).astype(jnp.int32)

    def render(self, state: ConcentrationState) -> UInt8[np.ndarray, "height width 3"]:
        """The table: cards that are up, cards that were turned (pale), and backs."""
        return draw_cards(
            np.asarray(state.faces), np.asarray(state.up), int(state.in_play), self.num_types
        )

    @property
    def _cards(self) -> int:
        return DECK_SIZE * self.num_decks

    @property
    def _down(self) -> Int[Array, ""]:
        return jnp.asarray(self.num_types, jnp.int8)

    def _at(self, place: Int[Array, ""]) -> Bool[Array, " cards"]:
        return jnp.arange(self._cards, dtype=jnp.int32) == place

    def _decide(
        self, key: PRNGKeyArray, state: ConcentrationState, here: Bool[Array, " cards"]
    ) -> tuple[Int[Array, " cards"], Int[Array, " types"]]:
        """Faces and what is left, with a face for the card `here`."""
        new = here & (state.faces == self._down)
        face = self.dealer.deal(key, state.remaining)
        faces = jnp.where(new, face.astype(jnp.int8), state.faces)
        left = remove_card(state.remaining, face)
        return faces, jnp.where(jnp.any(new), left, state.remaining)


def _face(faces: Int[Array, " cards"], here: Bool[Array, " cards"]) -> Int[Array, ""]:
    """The face at one place."""
    return jnp.sum(jnp.where(here, faces, jnp.zeros((), jnp.int8)), dtype=jnp.int8)
