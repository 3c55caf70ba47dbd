"""Mazes by the hunt-and-kill algorithm, built one room at a time.

A maze of n x n rooms lies on a grid of 2n + 1 cells a side: rooms at the odd coordinates, and
between two neighbouring rooms a cell that is free (a door) or a wall.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from ._maze import add_cell, bit, row_at, spread


class Construction(eqx.Module):
    """A maze that is being built.

    Args:
        grid: int32, the free cells so far: a tree of rooms and doors.
        rooms: int32, how many rooms it has.
        y: int32, the row of the room where the walk is.
        x: int32, its column.
    """

    grid: Int[Array, " side"]
    rooms: Int[Array, ""]
    y: Int[Array, ""]
    x: Int[Array, ""]


def num_rooms(side: int) -> int:
    """How many rooms a grid of `side` x `side` cells has."""
    return (side // 2) ** 2


def choose(
    uniform: Float[Array, ""], options: int | Int[Array, ""]
) -> tuple[Int[Array, ""], Float[Array, ""]]:
    """One of some options, and a uniform number for another choice.

    Args:
        uniform: a number u from U(0, 1), float32.
        options: how many, m.

    Returns:
        floor(m u), and the fraction of m u, which is independent of it.
    """
    scaled = uniform * jnp.asarray(options, jnp.float32)
    choice = scaled.astype(jnp.int32)
    return choice, scaled - choice.astype(jnp.float32)


def begin(uniform: Float[Array, ""], side: int) -> Construction:
    """A maze of one room, at random.

    Args:
        uniform: a number from U(0, 1), float32.
        side: cells of the grid's side, odd.
    """
    row, rest = choose(uniform, side // 2)
    column, _ = choose(rest, side // 2)
    y, x = 2 * row + 1, 2 * column + 1
    grid = add_cell(jnp.zeros((side,), jnp.int32), y, x)
    return Construction(grid, jnp.ones((), jnp.int32), y, x)


def is_finished(maze: Construction) -> Bool[Array, ""]:
    """Whether every room is part of the maze."""
    return maze.rooms == num_rooms(maze.grid.shape[0])


def add_room(uniform: Float[Array, ""], maze: Construction) -> Construction:
    r"""Walk on by one room: the whole algorithm, one room at a time.

    The walk opens the door to a uniformly random neighbour that is not part of the maze. Where the
    room has none, the walk first jumps to a room that has one, uniformly random among those. (The
    original jumps to uniformly random rooms until it can walk on: the same law.) A maze of n x n
    rooms takes n^2 - 1 calls; a finished one is returned as it is.

    Args:
        uniform: a number from U(0, 1), float32; its 2^23 values are enough for both choices.
        maze: the maze so far.
    """
    # Rows of rooms only: half the work. A row has doors at its even columns: `every` leaves them out.
    rows = maze.grid[1::2]
    every = sum(1 << x for x in range(1, maze.grid.shape[0], 2))
    outside = ~rows & every
    can_go_on = rows & every & spread(outside, 1, 2)
    stuck = row_at(can_go_on, maze.y // 2) & bit(maze.x) == 0
    ends = _running_total(jax.lax.population_count(can_go_on))
    choice, rest = choose(uniform, ends[-1])
    jump_y, jump_x = _find(can_go_on, ends, choice)
    y, x = jnp.where(stuck, 2 * jump_y + 1, maze.y), jnp.where(stuck, jump_x, maze.x)
    dy, dx = _neighbour(outside, y // 2, x, jnp.where(stuck, rest, uniform))
    # In a finished maze nobody can go on, dy = dx = 0, and the jump leads outside of the grid.
    grid = add_cell(add_cell(maze.grid, y + dy, x + dx), y + 2 * dy, x + 2 * dx)
    rooms = maze.rooms + (ends[-1] > 0).astype(jnp.int32)
    return Construction(grid, rooms, y + 2 * dy, x + 2 * dx)


def add_rooms(uniforms: Float[Array, " calls"], maze: Construction) -> Construction:
    """`add_room` for each of several numbers from U(0, 1), float32."""

    def work(maze: Construction, uniform: Float[Array, ""]) -> tuple[Construction, None]:
        return add_room(uniform, maze), None

    return jax.lax.scan(work, maze, uniforms)[0]


def finish(key: PRNGKeyArray, maze: Construction, wanted: Bool[Array, ""]) -> Construction:
    """Build the rest of a maze where it is wanted; elsewhere no work is done.

    Under `jax.vmap` the loop ends as soon as no lane has both a wish and an unfinished maze: at most
    steps it does not begin.
    """

    def unfinished(maze: Construction) -> Bool[Array, ""]:
        return wanted & ~is_finished(maze)

    def work(maze: Construction) -> Construction:
        # Each number of rooms is seen once, so each call has a key of its own.
        uniform = jax.random.uniform(jax.random.fold_in(key, maze.rooms), (), jnp.float32)
        return add_room(uniform, maze)

    return jax.lax.while_loop(unfinished, work, maze)


def _running_total(counts: Int[Array, " n"]) -> Int[Array, " n"]:
    # A dozen numbers: one masked sum, where jnp.cumsum is a tree of slices and pads.
    index = jnp.arange(counts.shape[0], dtype=jnp.int32)
    up_to = index[None, :] <= index[:, None]
    return jnp.sum(jnp.where(up_to, counts[None, :], 0), axis=1, dtype=jnp.int32)


def _find(
    rows: Int[Array, " n"], ends: Int[Array, " n"], index: Int[Array, ""]
) -> tuple[Int[Array, ""], Int[Array, ""]]:
    """Row and column of the set bit number `index`, from 0; outside where there are fewer.

    Args:
        rows: the bits.
        ends: the running total of their counts.
        index: which.
    """
    before = ends <= index
    y = jnp.sum(before, dtype=jnp.int32)
    rest = index - jnp.max(jnp.where(before, ends, 0))
    xs = jnp.arange(2 * rows.shape[0] + 1, dtype=jnp.int32)
    up_to = jax.lax.population_count(row_at(rows, y) & (2 * bit(xs) - 1))
    return y, jnp.sum(up_to <= rest, dtype=jnp.int32)


def _neighbour(
    outside: Int[Array, " n"], y: Int[Array, ""], x: Int[Array, ""], uniform: Float[Array, ""]
) -> tuple[Int[Array, ""], Int[Array, ""]]:
    """The direction (dy, dx) from a room to a random neighbour in `outside`; (0, 0) if none."""
    above, row, below = (row_at(outside, y + dy) for dy in (-1, 0, 1))
    here = bit(x)
    left, right = (row & (here >> 2) != 0), (row & (here << 2) != 0)
    up, down = (above & here != 0), (below & here != 0)
    up_to_left = left.astype(jnp.int32)
    up_to_right = up_to_left + right.astype(jnp.int32)
    up_to_up = up_to_right + up.astype(jnp.int32)
    index, _ = choose(uniform, up_to_up + down.astype(jnp.int32))
    go_right = right & (index == up_to_left)
    go_left = left & (index == 0)
    go_up, go_down = up & (index == up_to_right), down & (index == up_to_up)
    return _difference(go_down, go_up), _difference(go_right, go_left)


def _difference(plus: Bool[Array, ""], minus: Bool[Array, ""]) -> Int[Array, ""]:
    return plus.astype(jnp.int32) - minus.astype(jnp.int32)
