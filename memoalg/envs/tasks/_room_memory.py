"""See an object in a room, walk a corridor, go to the same object at the fork."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, PRNGKeyArray, UInt8

from .._checks import discrete_action, int_in_range
from .._environment import AbstractEnvironment, Transition
from ..spaces import Discrete, MultiDiscrete
from ._levels import level_name
from ._room_memory_picture import draw_room

WALL, FLOOR, KEY, BALL = range(4)
ROOM = 3  # the room's width and height in cells
NORTH, EAST, SOUTH, WEST = 0, 1, 2, 3


class RoomMemoryParams(eqx.Module):
    """What may vary without a change of shapes.

    Args:
        size: int32, the corridor's length in cells.
        max_steps: int32, the time limit.
    """

    size: Int[Array, ""]
    max_steps: Int[Array, ""]


class RoomMemoryState(eqx.Module):
    """What is carried.

    Args:
        row: int32, the agent's, -1 to 1 from north to south.
        column: int32, the agent's; 0 to 2 is the room.
        cue: bool, whether the object in the room is a key (else a ball).
        north: bool, whether the fork's north end holds the key (else the ball).
        time: int32, steps since the episode began.
    """

    row: Int[Array, ""]
    column: Int[Array, ""]
    cue: Bool[Array, ""]
    north: Bool[Array, ""]
    time: Int[Array, ""]


class RoomMemory(AbstractEnvironment[RoomMemoryState, RoomMemoryParams]):
    r"""Look at the object in the room, walk the corridor, go to the same object at the fork.

    The dial `size` is the corridor's length: how many steps lie between the last sight of the
    object and the first sight of the fork. Unlike in the T-maze what is remembered must be *compared*
    with what is seen (the objects' sides change), it must be looked for first, and the way must be
    found in a picture. `view` is how far the agent sees.

    ```text
    #####      #
    #o  ########?#      o  the object in the room: key or ball
    #                #      ?  the fork's ends: one key, one ball
    #   ########?#
    #####      #
    ```

    In cells (row, column): the room is rows -1, 0, 1 and columns 0, 1, 2; its object stands at
    (-1, 0) and blocks the way. The corridor is row 0, columns 3 to $2 + S$ with $S$ = `size`. The fork is
    column $3 + S$, rows -1, 0, 1; (-1, 3+S) and (1, 3+S) hold a key and a ball. Which object is in the
    room, and which end holds the key, are independent fair coins; the agent starts on one of the 8
    free cells of the room, uniformly. Actions are north, east, south, west = 0, 1, 2, 3 and move by
    one cell, or not where a wall or the room's object is. (Moves instead of MiniGrid's turns: the
    view needs no direction.) The observation is the `view` x `view` square around the agent, row by
    row: wall 0, floor 1, key 2, ball 3; walls do not hide what is behind them. Stepping onto an end
    of the fork terminates the episode, with reward 1 at the room's object and 0 at the other; every
    other reward is 0. Truncates at `max_steps` steps. The best return is 1, the best memoryless
    one 1/2.

    Args:
        size: S, 1 to 1,000,000. Easy, Medium, Hard: 5, 20, 80.
        view: 3 or 5.
        max_steps: the time limit, `size` + 10 to 100,000,000; None means 10 (`size` + 10).

    Raises:
        ValueError: an argument is out of range.

    Source:
        In the spirit of MiniGrid-Memory: Chevalier-Boisvert et al., Minigrid & Miniworld (NeurIPS
        2023). Its map, its view with a direction and its discounted reward are others.

    Example:
        >>> import jax
        >>> from memoalg.envs import RoomMemory
        >>> env = RoomMemory(size=5)
        >>> obs, state = env.reset(jax.random.key(0), env.default_params())
        >>> obs.shape
        (9,)
    """

    levels: ClassVar[tuple[tuple[int, ...], ...]] = ((5,), (20,), (80,))

    size: int = eqx.field(static=True, default=5)
    view: int = eqx.field(static=True, default=3)
    max_steps: int | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        size = int_in_range(self.size, "RoomMemory(size=...)", 1, 1_000_000)
        if isinstance(self.view, bool) or self.view not in (3, 5):
            raise ValueError(f"RoomMemory(view=...) must be 3 or 5, got {self.view!r}")
        if self.max_steps is not None:
            int_in_range(self.max_steps, "RoomMemory(max_steps=...)", size + 10, 100_000_000)

    @property
    def name(self) -> str:
        """The id, or the constructor call."""
        arguments = (self.size, self.view, self.max_steps)
        plain = arguments[1:] == (3, None)
        return level_name(
            "RoomMemory", arguments[:1] if plain else arguments, self.levels, "memory"
        )

    def default_params(self) -> RoomMemoryParams:
        """The constructor's size and time limit."""
        limit = 10 * (self.size + 10) if self.max_steps is None else self.max_steps
        return RoomMemoryParams(jnp.asarray(self.size, jnp.int32), jnp.asarray(limit, jnp.int32))

    def reset(
        self, key: PRNGKeyArray, params: RoomMemoryParams
    ) -> tuple[Int[Array, " cells"], RoomMemoryState]:
        """Place the objects and the agent."""
        # One number for two coins and 8 cells; cell 0 of the room holds its object.
        number = jax.random.randint(key, (), 0, 32, jnp.int32)
        cell = 1 + number // 4
        state = RoomMemoryState(
            row=cell // ROOM - 1,
            column=cell % ROOM,
            cue=number % 2 == 1,
            north=(number // 2) % 2 == 1,
            time=jnp.zeros((), jnp.int32),
        )
        return self._observe(state, params), state

    def transition(
        self,
        key: PRNGKeyArray,
        state: RoomMemoryState,
        action: Int[Array, ""],
        params: RoomMemoryParams,
    ) -> Transition[RoomMemoryState]:
        """Move by one cell where there is no wall."""
        action = discrete_action(action, "RoomMemory")
        down = jnp.where(action == SOUTH, 1, jnp.where(action == NORTH, -1, 0))
        right = jnp.where(action == EAST, 1, jnp.where(action == WEST, -1, 0))
        row, column = state.row + down.astype(jnp.int32), state.column + right.astype(jnp.int32)
        free = (_cells(row, column, state, params) != WALL) & ~_is_cue(row, column)
        row, column = jnp.where(free, row, state.row), jnp.where(free, column, state.column)
        state = RoomMemoryState(row, column, state.cue, state.north, state.time + 1)
        ended = (column == ROOM + params.size) & (row != 0)
        right_one = (row == -1) == (state.cue == state.north)
        reward = (ended & right_one).astype(float)
        truncated = state.time >= params.max_steps
        return self._observe(state, params), state, reward, ended, truncated

    def observation_space(self, params: RoomMemoryParams) -> MultiDiscrete:
        """The kinds of the cells around the agent."""
        return MultiDiscrete((4,) * self.view**2)

    def action_space(self, params: RoomMemoryParams) -> Discrete:
        """North, east, south, west."""
        return Discrete(4)

    def oracle(self, state: RoomMemoryState, params: RoomMemoryParams) -> Int[Array, ""]:
        """To the middle row, east to the fork, then to the room's object."""
        middle = jnp.where(state.row > 0, NORTH, jnp.where(state.row < 0, SOUTH, EAST))
        turn = jnp.where(state.cue == state.north, NORTH, SOUTH)
        fork = state.column == ROOM + params.size
        return jnp.where(fork, turn, middle).astype(jnp.int32)

    def render(self, state: RoomMemoryState) -> UInt8[np.ndarray, "height width 3"]:
        """The map, a long corridor cut to what is near its ends and the agent."""
        return draw_room(
            row=int(state.row),
            column=int(state.column),
            objects=(bool(state.cue), bool(state.north)),
            size=self.size,
            view=self.view,
        )

    def _observe(self, state: RoomMemoryState, params: RoomMemoryParams) -> Int[Array, " cells"]:
        reach = self.view // 2
        rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1)
        down, right = jnp.asarray(rows, jnp.int32), jnp.asarray(columns, jnp.int32)
        return _cells(state.row + down, state.column + right, state, params)


def _is_cue(row: Int[Array, "*cells"], column: Int[Array, "*cells"]) -> Bool[Array, "*cells"]:
    return (row == -1) & (column == 0)


def _cells(
    row: Int[Array, "*cells"],
    column: Int[Array, "*cells"],
    state: RoomMemoryState,
    params: RoomMemoryParams,
) -> Int[Array, "*cells"]:
    """The kinds of cells, from the map's definition: no stored map, so a reset costs nothing."""
    last = ROOM + params.size
    beside = jnp.abs(row) <= 1
    room = beside & (column >= 0) & (column < ROOM)
    corridor = (row == 0) & (column >= ROOM) & (column < last)
    fork = beside & (column == last)
    end = fork & (row != 0)
    is_key = jnp.where(end, (row == -1) == state.north, state.cue)
    kind = jnp.where(end | _is_cue(row, column), jnp.where(is_key, KEY, BALL), FLOOR)
    return jnp.where(room | corridor | fork, kind, WALL).astype(jnp.int32)
