"""Square grids of cells as bits: one int32 a row, bit x of entry y for the cell at (y, x).

A grid of 19 x 19 cells is 19 numbers. A select of it at every step, a comparison of two of them, or
a flood of the whole grid by one cell is a handful of elementwise operations, with no gather.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

MAX_SIDE = 31  # bits of an int32 without its sign

# (dy, dx) of left, right, up, down: the order of POPGym's actions.
STEPS_Y = (0, 0, -1, 1)
STEPS_X = (-1, 1, 0, 0)


def bit(x: Int[Array, "*batch"]) -> Int[Array, "*batch"]:
    """The row whose only cell is at x."""
    return jnp.left_shift(jnp.ones_like(x), x)


def row_at(grid: Int[Array, " side"], y: Int[Array, ""]) -> Int[Array, ""]:
    """Row y, or an empty one where y is outside."""
    # Compare and sum, not grid[y]: under vmap that is a gather, slow on a CPU.
    ys = jnp.arange(grid.shape[0], dtype=jnp.int32)
    return jnp.sum(jnp.where(ys == y, grid, 0), dtype=jnp.int32)


def has_cell(grid: Int[Array, " side"], y: Int[Array, ""], x: Int[Array, ""]) -> Bool[Array, ""]:
    """Whether the cell at (y, x) is in the grid."""
    return row_at(grid, y) & bit(x) != 0


def add_cell(
    grid: Int[Array, " side"], y: Int[Array, ""], x: Int[Array, ""]
) -> Int[Array, " side"]:
    """The grid with the cell at (y, x)."""
    ys = jnp.arange(grid.shape[0], dtype=jnp.int32)
    return jnp.where(ys == y, grid | bit(x), grid)


def spread(rows: Int[Array, " n"], dy: int = 1, dx: int = 1) -> Int[Array, " n"]:
    """The cells that are exactly dy rows or dx columns away from a cell of the grid.

    Cells may fall off to the right: the caller takes the intersection with a grid.
    """
    none = jnp.zeros((dy,), rows.dtype)
    above, below = jnp.concatenate([rows[dy:], none]), jnp.concatenate([none, rows[:-dy]])
    return (rows << dx) | (rows >> dx) | above | below


def towards(
    free: Int[Array, " side"], targets: Int[Array, " side"], y: Int[Array, ""], x: Int[Array, ""]
) -> Int[Array, ""]:
    """The first action of a shortest walk over free cells from (y, x) to the nearest target.

    The targets are flooded until a neighbour of (y, x) is wet.

    Args:
        free: where one may walk.
        targets: where to; free cells.
        y: the walker's row.
        x: the walker's column.

    Returns:
        0 left, 1 right, 2 up, 3 down; 0 where there is no way.
    """
    here = add_cell(jnp.zeros_like(free), y, x)
    beside = spread(here) & free

    def dry(carry: tuple[Array, Array]) -> Bool[Array, ""]:
        wet, before = carry
        return jnp.all(wet & beside == 0) & jnp.any(wet != before)

    def flood(carry: tuple[Array, Array]) -> tuple[Array, Array]:
        wet, _ = carry
        return wet | (spread(wet) & free), wet

    # -1 differs from every set of targets, the empty one too: the loop begins.
    wet, _ = jax.lax.while_loop(dry, flood, (targets & free, jnp.full_like(free, -1)))
    ys = y + jnp.asarray(STEPS_Y, jnp.int32)
    xs = x + jnp.asarray(STEPS_X, jnp.int32)
    # A column of -1 must not be shifted by: no cell is there.
    inside = (xs >= 0) & (ys >= 0)
    reached = jax.vmap(has_cell, (None, 0, 0))(wet & beside, ys, jnp.maximum(xs, 0)) & inside
    return jnp.argmax(reached).astype(jnp.int32)
