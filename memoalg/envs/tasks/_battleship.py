"""Sink ships on a board that is never shown."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, PRNGKeyArray, PyTree, UInt8

from .._checks import int_in_range, vector_action
from .._environment import AbstractEnvironment, Transition
from ..spaces import Discrete, MultiDiscrete
from ._battleship_picture import draw_battle
from ._fleet import Fleet, add_ship, always_fits, cells_of, complete, empty_fleet
from ._grid import bit, first_cell
from ._levels import level_name

SHIPS = (2, 3, 3, 4)


class BattleshipParams(eqx.Module):
    """What may vary without a change of shapes.

    Args:
        max_steps: int32, the time limit L, more than the ships have cells; the board's number of
            cells by default.
    """

    max_steps: Int[Array, ""]


class BattleshipState(eqx.Module):
    """What is carried.

    Args:
        ships: int32, one word for each row: bit c of word r is set where the cell (r, c) is a ship's.
        guesses: int32, likewise where a shot was fired.
        hits: int32, how many cells of ships were hit.
        time: int32, steps since the episode began.
        following: the ships of the next episode, placed one a step while this one is played.
    """

    ships: Int[Array, " size"]
    guesses: Int[Array, " size"]
    hits: Int[Array, ""]
    time: Int[Array, ""]
    following: Fleet


class Battleship(AbstractEnvironment[BattleshipState, BattleshipParams]):
    r"""Fire at a hidden board until every ship is sunk; hit or miss is all that is shown.

    Ships are placed one after the other, each uniformly over the placements (across or down) that
    overlap no earlier one; they may touch. With $H$ cells of ships in all and $L$ = `size`$^2$: the
    first shot at a cell of a ship is a hit and rewards $1/H$; every other shot, a repeated one too,
    rewards $-1/(L - H)$. The observation is 1 after a hit, else 0 (not where: see
    `PreviousAction`). Terminates with the last hit, truncates after $L$ steps (both may be true).
    A policy that knows the board returns 1; firing once at every cell returns at least 0.

    Args:
        size: rows and columns, 2 to 30. Easy, Medium, Hard: 8, 10, 12.
        ship_sizes: the ships' lengths in the order in which they are placed.

    Raises:
        TypeError: `ship_sizes` is not a tuple.
        ValueError: `size` or a length is out of range, or the ships may not fit.

    Source:
        Morad et al., POPGym (ICLR 2023), `popgym/envs/battleship.py` of release 1.0.7.

    Example:
        >>> import jax
        >>> from memoalg.envs import Battleship
        >>> env = Battleship(size=10)
        >>> env.name
        'popgym/BattleshipMedium'
        >>> obs, state = env.reset(jax.random.key(0), env.default_params())
        >>> int(obs), int(jax.lax.population_count(state.ships).sum())
        (0, 12)
    """

    levels: ClassVar[tuple[tuple[int, tuple[int, ...]], ...]] = (
        (8, SHIPS),
        (10, SHIPS),
        (12, SHIPS),
    )

    size: int = eqx.field(static=True, default=8)
    ship_sizes: tuple[int, ...] = eqx.field(static=True, default=SHIPS)

    def __check_init__(self):
        size = int_in_range(self.size, "Battleship(size=...)", 2, 30)
        if not isinstance(self.ship_sizes, tuple) or not self.ship_sizes:
            raise TypeError(
                f"Battleship(ship_sizes=...) must be a tuple of lengths like {SHIPS}, got "
                f"{self.ship_sizes!r}"
            )
        for length in self.ship_sizes:
            int_in_range(length, "Battleship(ship_sizes=...): every length", 1, size)
        if not always_fits(size, self.ship_sizes) or sum(self.ship_sizes) >= size**2:
            raise ValueError(
                f"Battleship: ships of lengths {self.ship_sizes} may leave no place for the next "
                f"one on a board of {size} x {size}; take a larger board, or fewer or shorter ships"
            )

    @property
    def name(self) -> str:
        """The id, or the constructor call."""
        return level_name("Battleship", (self.size, self.ship_sizes), self.levels)

    def default_params(self) -> BattleshipParams:
        """As many steps as the board has cells."""
        return BattleshipParams(jnp.asarray(self.size**2, jnp.int32))

    def reset(
        self, key: PRNGKeyArray, params: BattleshipParams
    ) -> tuple[Int[Array, ""], BattleshipState]:
        """Place the ships."""
        fleet = complete(key, empty_fleet(self.size), self.ship_sizes, jnp.ones((), bool))
        return self._begin(fleet)

    def restart(
        self,
        key: PRNGKeyArray,
        state: BattleshipState,
        over: Bool[Array, ""],
        params: BattleshipParams,
    ) -> tuple[Int[Array, ""], BattleshipState]:
        """Take the ships that were placed meanwhile."""
        # An episode has more steps than there are ships, so only one that was cut is short of some.
        return self._begin(complete(key, state.following, self.ship_sizes, over))

    def transition(
        self,
        key: PRNGKeyArray,
        state: BattleshipState,
        action: Int[Array, " 2"],
        params: BattleshipParams,
    ) -> Transition[BattleshipState]:
        """Fire at one cell."""
        here = bit(vector_action(action, "Battleship", 2), self.size)
        hit = jnp.any(here & state.ships & ~state.guesses != 0)
        goal = sum(self.ship_sizes)
        miss = -1 / (params.max_steps - goal).astype(float)
        reward = jnp.where(hit, 1 / goal, miss).astype(float)
        shown = hit.astype(jnp.int32)
        uniform = jax.random.uniform(key, (), jnp.float32)
        state = BattleshipState(
            ships=state.ships,
            guesses=state.guesses | here,
            hits=state.hits + shown,
            time=state.time + 1,
            following=add_ship(uniform, state.following, self.ship_sizes),
        )
        return shown, state, reward, state.hits >= goal, state.time >= params.max_steps

    def observation_space(self, params: BattleshipParams) -> Discrete:
        """1 after a hit, else 0."""
        return Discrete(2)

    def action_space(self, params: BattleshipParams) -> MultiDiscrete:
        """Row and column."""
        return MultiDiscrete((self.size, self.size))

    def oracle(self, state: BattleshipState, params: BattleshipParams) -> Int[Array, " 2"]:
        """The first cell of a ship that was not hit."""
        return first_cell(cells_of(state.ships & ~state.guesses) == 1)

    def describe(self, state: BattleshipState) -> PyTree[Array]:
        """Ships and guesses as cells, hits and time; the next episode's ships are left out."""
        return cells_of(state.ships), cells_of(state.guesses), state.hits, state.time

    def render(self, state: BattleshipState) -> UInt8[np.ndarray, "height width 3"]:
        """The board: ships, hits and misses."""
        return draw_battle(np.asarray(cells_of(state.ships)), np.asarray(cells_of(state.guesses)))

    def _begin(self, fleet: Fleet) -> tuple[Int[Array, ""], BattleshipState]:
        """The first observation of an episode with these ships."""
        zero, none = jnp.zeros((), jnp.int32), empty_fleet(self.size)
        return zero, BattleshipState(fleet.board, none.board, zero, zero, none)
