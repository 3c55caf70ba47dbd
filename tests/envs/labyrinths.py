"""Labyrinths of the reference as states of ours, and policies that look at one observation."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from memoalg.envs.tasks._hunt_and_kill import Construction, begin
from memoalg.envs.tasks._labyrinth import LabyrinthState

WALL, START, GOAL = 1, 2, 3
LEFT, RIGHT, UP, DOWN, NONE = range(5)
WAYS = np.array([(0, -1), (0, 1), (-1, 0), (1, 0)])
# To the right hand, straight on, to the left hand, back: for each heading.
BY_HAND = {
    LEFT: (UP, LEFT, DOWN, RIGHT),
    RIGHT: (DOWN, RIGHT, UP, LEFT),
    UP: (RIGHT, UP, LEFT, DOWN),
    DOWN: (LEFT, DOWN, RIGHT, UP),
}


def to_bits(cells: np.ndarray) -> np.ndarray:
    """A grid of bools as one int32 a row."""
    return (cells.astype(np.int64) << np.arange(cells.shape[-1])).sum(-1).astype(np.int32)


def to_cells(rows: Any, side: int) -> np.ndarray:
    """One int32 a row as a grid of bools."""
    return (np.asarray(rows)[..., None] >> np.arange(side) & 1).astype(bool)


def from_original(original: Any, following: Construction | None = None) -> LabyrinthState:
    """The hidden state of one of popgym's labyrinths."""
    grid = np.asarray(original.maze.grid)
    goal = np.argwhere(grid == GOAL)
    pair = lambda place: jnp.asarray(np.array(place, np.int32))
    return LabyrinthState(
        free=jnp.asarray(to_bits(grid != WALL)),
        explored=jnp.asarray(to_bits(original.explored == 1)),
        position=pair(original.position),
        start=pair(original.maze.start),
        goal=pair(goal[0] if len(goal) else (-1, -1)),
        time=jnp.asarray(original.curr_step, jnp.int32),
        following=begin(jnp.zeros((), jnp.float32), grid.shape[0])
        if following is None
        else following,
    )


def follow_the_wall(observation: np.ndarray) -> int:
    """Keep the right hand on the wall; the last action is the heading."""
    view, heading = np.reshape(observation[:9], (3, 3)), int(observation[9])
    y, x = place_in_window(view, heading)
    for way in BY_HAND[heading] if heading != NONE else range(4):
        there = np.add((y, x), WAYS[way])
        if np.all(there >= 0) and np.all(there < 3) and view[tuple(there)] != WALL:
            return int(way)
    return 0


def place_in_window(view: np.ndarray, heading: int) -> tuple[int, int]:
    """The middle, but for a start in the upper or left border."""
    if view[0, 1] == START and heading in (UP, NONE) and np.all(view[2] == WALL):
        return 0, 1
    if view[1, 0] == START and heading in (LEFT, NONE) and np.all(view[:, 2] == WALL):
        return 1, 0
    return 1, 1


def distances(free: np.ndarray, start: tuple[int, int]) -> np.ndarray:
    """Steps from `start` to every cell, -1 where there is no way."""
    steps, frontier = np.full(free.shape, -1), [tuple(start)]
    steps[tuple(start)] = 0
    for y, x in frontier:
        for dy, dx in WAYS:
            there = (y + dy, x + dx)
            if min(there) >= 0 and max(there) < len(free) and free[there] and steps[there] < 0:
                steps[there] = steps[y, x] + 1
                frontier.append(there)
    return steps


def is_perfect(free: np.ndarray) -> bool:
    """Whether the inside of a maze is a tree over all rooms: connected, without a cycle."""
    inside = free.copy()
    inside[[0, -1]] = inside[:, [0, -1]] = False
    rooms = inside[1::2, 1::2]
    doors = inside[1:-1, 1:-1].sum() - rooms.sum()
    pillars = inside[2:-2:2, 2:-2:2]
    connected = np.array_equal(distances(inside, (1, 1)) >= 0, inside)
    return bool(rooms.all() and connected and doors == rooms.size - 1 and not pillars.any())


def room_degrees(cells: np.ndarray) -> np.ndarray:
    """How many doors each room has, for a batch of grids."""
    around = np.stack([cells[:, 0:-2:2, 1::2], cells[:, 2::2, 1::2]])
    beside = np.stack([cells[:, 1::2, 0:-2:2], cells[:, 1::2, 2::2]])
    return around.sum(0) + beside.sum(0)


def oracle_actions(env: Any, state: LabyrinthState, length: int) -> np.ndarray:
    """The oracle's actions in our environment, from a state on."""
    return np.asarray(_oracle_actions(env, state, jnp.zeros(length)))


@jax.jit
def _oracle_actions(env, state, steps):
    params = env.default_params()

    def body(state, _):
        action = env.oracle(state, params)
        _, state, *_ = env.transition(jax.random.key(0), state, action, params)
        return state, action

    return jax.lax.scan(body, state, steps)[1]
