"""Ships on a board, placed one after the other."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

# Bit c of word r is the cell (r, c). Words make a board as cheap to search as one of its columns:
# shifts and population counts stand for loops over cells, and a reset runs at every step.
Words = Int[Array, " lines"]


def place_fleet(
    uniforms: Float[Array, " ships"], size: int, ship_sizes: tuple[int, ...]
) -> Int[Array, "size size"]:
    """Place every ship uniformly over its placements that touch no earlier ship's cell.

    That is what drawing cells and directions until the ship fits gives, without the loop.

    Args:
        uniforms: float32 in [0, 1), one for each ship.
        size: rows and columns of the board, at most 30.
        ship_sizes: the ships' lengths in the order in which they are placed. Each must fit, however
            the earlier ones lie.

    Returns:
        The board, int8: 1 where a ship is.
    """
    occupied = jnp.zeros((size,), jnp.int32)
    for ship, length in enumerate(ship_sizes):
        occupied = occupied | _place(uniforms[ship], occupied, size, length)
    columns = jnp.arange(size, dtype=jnp.int32)
    return ((occupied[:, None] >> columns[None, :]) & 1).astype(jnp.int8)


def _place(uniform: Float[Array, ""], occupied: Words, size: int, length: int) -> Words:
    """The cells of a new ship."""
    across, down = _starts(occupied, size, length)
    starts = jnp.concatenate([across, down])
    counts = jax.lax.population_count(starts)
    up_to = _running_sum(counts)
    before, total = up_to - counts, up_to[-1]
    # Below `total` after rounding too: see LazyDealer.
    chosen = (uniform * total.astype(jnp.float32)).astype(jnp.int32)
    here = (before <= chosen) & (chosen < up_to)
    line = jnp.sum(jnp.where(here, starts, 0), dtype=jnp.int32)
    rank = jnp.sum(jnp.where(here, chosen - before, 0), dtype=jnp.int32)
    start = jnp.where(here, _bit_of_rank(line, rank, size), 0)
    across, down = start[:size], start[size:]
    rows = jnp.arange(size, dtype=jnp.int32)
    ship = across * (2**length - 1)
    for shift in range(min(length, size)):
        ship = ship | jnp.where(rows >= shift, jnp.roll(down, shift), 0)
    return ship


def _starts(occupied: Words, size: int, length: int) -> tuple[Words, Words]:
    """Where a ship may begin that goes to the right, and one that goes down."""
    free = ~occupied & (2**size - 1)
    across, down = free, free
    for shift in range(1, length):
        across = across & (free >> shift)
        beyond = jnp.zeros((shift,), jnp.int32)
        down = down & jnp.concatenate([free[shift:], beyond])
    return across, down


def _running_sum(counts: Words) -> Words:
    """Sums of the counts up to each one."""
    # By doubling: log2(lines) shifted additions. jnp.cumsum took twice the time on a CPU.
    shift = 1
    while shift < counts.shape[0]:
        counts = counts + jnp.concatenate([jnp.zeros((shift,), jnp.int32), counts[:-shift]])
        shift *= 2
    return counts


def _bit_of_rank(word: Int[Array, ""], rank: Int[Array, ""], size: int) -> Int[Array, ""]:
    """The bit of `word`, as a word, that has `rank` set bits below it."""
    bits = 2 ** jnp.arange(size, dtype=jnp.int32)
    below = jax.lax.population_count(word & (bits - 1))
    return jnp.sum(jnp.where((below == rank) & (word & bits != 0), bits, 0), dtype=jnp.int32)


def always_fits(size: int, ship_sizes: tuple[int, ...]) -> bool:
    """Whether each ship has a place, however the earlier ones lie.

    To leave no place for a ship of length s in a row takes `size // s` occupied cells of that row.
    Fewer earlier cells than that in all rows leave a place. (Sufficient; not necessary.)
    """
    earlier = [sum(ship_sizes[:ship]) for ship in range(len(ship_sizes))]
    blocked = [size * (size // length) for length in ship_sizes]
    return all(cells < needed for cells, needed in zip(earlier, blocked, strict=True))
