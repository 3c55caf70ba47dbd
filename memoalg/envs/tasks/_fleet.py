"""Ships on a board, placed one after the other."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

# Bit c of word r is the cell (r, c). Words make a board as cheap to search as one of its columns:
# shifts and population counts stand for loops over cells.
Words = Int[Array, " lines"]


class Fleet(eqx.Module):
    """A board on which some of the ships are placed already.

    Args:
        board: int32, one word for each row: bit c of word r is set where the cell (r, c) is a ship's.
        placed: int32, how many ships are.
    """

    board: Words
    placed: Int[Array, ""]


def empty_fleet(size: int) -> Fleet:
    """No ship yet."""
    return Fleet(jnp.zeros((size,), jnp.int32), jnp.zeros((), jnp.int32))


def add_ship(uniform: Float[Array, ""], fleet: Fleet, ship_sizes: tuple[int, ...]) -> Fleet:
    """Place the next ship uniformly over its placements that touch no earlier ship's cell.

    That is what drawing cells and directions until the ship fits gives, without the loop. Where all
    ships are placed the fleet stays as it is.

    Args:
        uniform: float32 in [0, 1).
        fleet: the earlier ships.
        ship_sizes: the ships' lengths in the order in which they are placed. Each must fit, however
            the earlier ones lie.
    """
    order = jnp.arange(len(ship_sizes), dtype=jnp.int32)
    sizes = jnp.asarray(ship_sizes, jnp.int32)
    length = jnp.sum(jnp.where(order == fleet.placed, sizes, 0), dtype=jnp.int32)
    ship = _place(uniform, fleet.board, length, max(ship_sizes))
    open_ = fleet.placed < len(ship_sizes)
    board = jnp.where(open_, fleet.board | ship, fleet.board)
    return Fleet(board, fleet.placed + open_.astype(jnp.int32))


def complete(
    key: PRNGKeyArray, fleet: Fleet, ship_sizes: tuple[int, ...], wanted: Bool[Array, ""]
) -> Fleet:
    """Place the ships that are missing, where this is wanted: elsewhere it costs one comparison."""

    def unfinished(fleet: Fleet) -> Bool[Array, ""]:
        return wanted & (fleet.placed < len(ship_sizes))

    def work(fleet: Fleet) -> Fleet:
        # float32 whatever x64 says: the same key gives the same board.
        uniform = jax.random.uniform(jax.random.fold_in(key, fleet.placed), (), jnp.float32)
        return add_ship(uniform, fleet, ship_sizes)

    return jax.lax.while_loop(unfinished, work, fleet)


def cells_of(board: Words) -> Int[Array, "size size"]:
    """A board of words as one of cells, int8: 1 where a bit is set."""
    columns = jnp.arange(board.shape[0], dtype=jnp.int32)
    return ((board[:, None] >> columns[None, :]) & 1).astype(jnp.int8)


def _place(uniform: Float[Array, ""], occupied: Words, length: Int[Array, ""], most: int) -> Words:
    """The cells of a new ship; `most` is the largest length that may come."""
    size = occupied.shape[0]
    starts = jnp.concatenate(_starts(occupied, length, most))
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
    ship = across * ((1 << length) - 1)
    for shift in range(most):
        ship = ship | jnp.where((rows >= shift) & (shift < length), jnp.roll(down, shift), 0)
    return ship


def _starts(occupied: Words, length: Int[Array, ""], most: int) -> tuple[Words, Words]:
    """Where a ship may begin that goes to the right, and one that goes down."""
    size = occupied.shape[0]
    free = ~occupied & (2**size - 1)
    across, down = free, free
    for shift in range(1, most):
        beyond = jnp.zeros((shift,), jnp.int32)
        longer = shift < length
        across = jnp.where(longer, across & (free >> shift), across)
        below = jnp.concatenate([free[shift:], beyond])
        down = jnp.where(longer, down & below, down)
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
