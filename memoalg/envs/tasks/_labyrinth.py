"""What the two labyrinth tasks share: the walk, the view, and the maze that is built meanwhile."""

from abc import abstractmethod

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, PRNGKeyArray, PyTree, UInt8

from .._checks import int_in_range
from .._environment import AbstractEnvironment, Transition
from ..spaces import Discrete, MultiDiscrete
from ._hunt_and_kill import Construction, add_rooms, begin, choose, finish, num_rooms
from ._labyrinth_picture import draw_labyrinth
from ._levels import level_name
from ._maze import MAX_SIDE, add_cell, bit, has_cell, row_at

FREE, WALL, START, GOAL, HIDDEN = range(5)
NO_ACTION = 4


class LabyrinthParams(eqx.Module):
    """What may vary without a change of shapes.

    Args:
        episode_length: int32, one more than the time limit in steps.
    """

    episode_length: Int[Array, ""]


class LabyrinthState(eqx.Module):
    """What is carried. Grids have one int32 a row, bit x of entry y for the cell at (y, x).

    Args:
        free: int32, the cells that are no wall, the start (and in Escape the goal) among them.
        explored: int32, the cells where the agent was.
        position: int32, the agent's (y, x).
        start: int32, where it began: (y, x).
        goal: int32, the exit's (y, x); (-1, -1) where there is none.
        time: int32, steps since the episode began.
        following: the maze of the next episode, which is built meanwhile.
    """

    free: Int[Array, " side"]
    explored: Int[Array, " side"]
    position: Int[Array, " 2"]
    start: Int[Array, " 2"]
    goal: Int[Array, " 2"]
    time: Int[Array, ""]
    following: Construction


class AbstractLabyrinth(AbstractEnvironment[LabyrinthState, LabyrinthParams]):
    """A walk through a maze; the two tasks differ in what is rewarded and when it is over."""

    levels: eqx.AbstractClassVar[tuple[tuple[int, ...], ...]]
    with_goal: eqx.AbstractClassVar[bool]

    maze_dims: int = eqx.field(static=True, default=10)
    episode_length: int = eqx.field(static=True, default=1024)

    def __check_init__(self):
        family = type(self).__name__
        size = int_in_range(self.maze_dims, f"{family}(maze_dims=...)", 6, MAX_SIDE - 1)
        if size % 2:
            raise ValueError(
                f"{family}(maze_dims=...) must be even: twice the number of rooms a side, got {size}"
            )
        int_in_range(self.episode_length, f"{family}(episode_length=...)", 2, 1_000_000)

    @property
    def name(self) -> str:
        """The id, or the constructor call."""
        arguments = (self.maze_dims, self.episode_length)
        return level_name(type(self).__name__, arguments, self.levels)

    def default_params(self) -> LabyrinthParams:
        """The constructor's time limit."""
        return LabyrinthParams(jnp.asarray(self.episode_length, jnp.int32))

    def reset(
        self, key: PRNGKeyArray, params: LabyrinthParams
    ) -> tuple[Int[Array, " 10"], LabyrinthState]:
        """Build a maze and stand at its entrance."""
        state = new_labyrinth(key, self.maze_dims + 1, self.with_goal)
        return observe(state, no_action()), state

    def restart(
        self,
        key: PRNGKeyArray,
        state: LabyrinthState,
        over: Bool[Array, ""],
        params: LabyrinthParams,
    ) -> tuple[Int[Array, " 10"], LabyrinthState]:
        """Enter the maze that was built meanwhile."""
        state = next_labyrinth(key, state, over, self.with_goal)
        return observe(state, no_action()), state

    @abstractmethod
    def transition(
        self,
        key: PRNGKeyArray,
        state: LabyrinthState,
        action: Int[Array, ""],
        params: LabyrinthParams,
    ) -> Transition[LabyrinthState]:
        """Walk, and say what it was worth."""

    def observation_space(self, params: LabyrinthParams) -> MultiDiscrete:
        """Nine cells of five types (HIDDEN is never seen) and the last action."""
        return MultiDiscrete((5,) * 9 + (5,))

    def action_space(self, params: LabyrinthParams) -> Discrete:
        """Left, right, up, down."""
        return Discrete(4)

    def describe(self, state: LabyrinthState) -> PyTree[Array]:
        """Free and explored cells, places and time; the next episode's maze is left out."""
        columns = jnp.arange(state.free.shape[0], dtype=jnp.int32)
        free, explored = (
            (grid[:, None] >> columns[None, :]) & 1 for grid in (state.free, state.explored)
        )
        return free, explored, state.position, state.start, state.goal, state.time

    def render(self, state: LabyrinthState) -> UInt8[np.ndarray, "height width 3"]:
        """The maze from above, with the cells that were visited and the window."""
        return draw_labyrinth(state)


def new_labyrinth(key: PRNGKeyArray, side: int, with_goal: bool) -> LabyrinthState:
    """A whole maze at once, and the first room of the following one."""
    uniforms = jax.random.uniform(key, (2 + num_rooms(side),), jnp.float32)
    maze = add_rooms(uniforms[3:], begin(uniforms[2], side))
    return enter(uniforms[:2], maze.grid, with_goal)


def next_labyrinth(
    key: PRNGKeyArray, state: LabyrinthState, over: Bool[Array, ""], with_goal: bool
) -> LabyrinthState:
    """The maze that was built meanwhile, finished first where the episode was short."""
    key_maze, key_begin = jax.random.split(key)
    maze = finish(key_maze, state.following, over)
    return enter(jax.random.uniform(key_begin, (2,), jnp.float32), maze.grid, with_goal)


def enter(uniforms: Array, grid: Int[Array, " side"], with_goal: bool) -> LabyrinthState:
    """Open a finished maze at random places of two opposite sides and begin the following one.

    Args:
        uniforms: two numbers from U(0, 1), float32: for the entrances, for the following maze.
        grid: the free cells.
        with_goal: whether the second opening is made.
    """
    side = grid.shape[0]
    start, goal = _entrances(uniforms[0], side)
    if not with_goal:
        goal = jnp.full((2,), -1, jnp.int32)
    free = add_cell(grid, start[0], start[1])
    if with_goal:
        free = add_cell(free, goal[0], goal[1])
    explored = add_cell(jnp.zeros_like(grid), start[0], start[1])
    time = jnp.zeros((), jnp.int32)
    return LabyrinthState(free, explored, start, start, goal, time, begin(uniforms[1], side))


def walk(
    key: PRNGKeyArray, state: LabyrinthState, action: Int[Array, ""], new_rooms: int
) -> LabyrinthState:
    """Move by one cell unless a wall or the border is there; build on at the following maze.

    Args:
        key: a random key.
        state: the state.
        action: the direction.
        new_rooms: how many rooms the following maze gets.
    """
    side = state.free.shape[0]
    dy = (action == 3).astype(jnp.int32) - (action == 2).astype(jnp.int32)
    dx = (action == 1).astype(jnp.int32) - (action == 0).astype(jnp.int32)
    y = jnp.clip(state.position[0] + dy, 0, side - 1)
    x = jnp.clip(state.position[1] + dx, 0, side - 1)
    position = jnp.where(has_cell(state.free, y, x), jnp.stack([y, x]), state.position)
    uniforms = jax.random.uniform(key, (new_rooms,), jnp.float32)
    return LabyrinthState(
        state.free,
        add_cell(state.explored, position[0], position[1]),
        position,
        state.start,
        state.goal,
        state.time + 1,
        add_rooms(uniforms, state.following),
    )


def observe(state: LabyrinthState, action: Int[Array, ""]) -> Int[Array, " 10"]:
    """Nine cells and the action that led here.

    The cells are rows y-1..y+1 and columns x-1..x+1, row by row. As in the reference, a window that
    would begin outside begins at 0, and what it then lacks is appended as walls: at the upper and
    at the left border the agent is not in the middle.
    """
    corner = jnp.maximum(state.position - 1, 0)
    ys = (corner[0] + jnp.arange(3, dtype=jnp.int32))[:, None]
    xs = (corner[1] + jnp.arange(3, dtype=jnp.int32))[None, :]
    shown = (ys <= state.position[0] + 1) & (xs <= state.position[1] + 1)
    rows = jax.vmap(row_at, (None, 0))(state.free, ys[:, 0])
    cells = jnp.where(shown & (rows[:, None] & bit(xs) != 0), FREE, WALL)
    cells = jnp.where(shown & (ys == state.start[0]) & (xs == state.start[1]), START, cells)
    cells = jnp.where(shown & (ys == state.goal[0]) & (xs == state.goal[1]), GOAL, cells)
    return jnp.concatenate([cells.reshape(9), action[None]])


def no_action() -> Int[Array, ""]:
    """What the first observation shows as the last action."""
    return jnp.full((), NO_ACTION, jnp.int32)


def _entrances(uniform: Array, side: int) -> tuple[Int[Array, " 2"], Int[Array, " 2"]]:
    """A room's place on a random side, and one on the opposite side: all are equally likely."""
    n = side // 2
    wall, rest = choose(uniform, 4)  # north, south, west, east
    near, rest = choose(rest, n)
    far, _ = choose(rest, n)
    near, far = 2 * near + 1, 2 * far + 1
    here = jnp.where(wall % 2 == 0, 0, side - 1)
    upright = wall < 2
    start = jnp.where(upright, jnp.stack([here, near]), jnp.stack([near, here]))
    goal = jnp.where(upright, jnp.stack([side - 1 - here, far]), jnp.stack([far, side - 1 - here]))
    return start, goal
