"""Square boards: from an action to a cell and back."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int


def cell(action: Int[Array, " 2"], size: int) -> Bool[Array, "size size"]:
    """True at (row, column); nowhere where the action is outside of the board."""
    places = jnp.arange(size, dtype=jnp.int32)
    return (places == action[0])[:, None] & (places == action[1])[None, :]


def bit(action: Int[Array, " 2"], size: int) -> Int[Array, " size"]:
    """The cell as a board of words: bit (column) of word (row); none outside of the board."""
    rows = jnp.arange(size, dtype=jnp.int32)
    column = jnp.where((action[1] >= 0) & (action[1] < size), 1 << (action[1] & 31), 0)
    return jnp.where(rows == action[0], column, 0)


def around(action: Int[Array, " 2"], size: int) -> Bool[Array, "size size"]:
    """True at (row, column) and the cells that touch it, corners too."""
    near = jnp.abs(jnp.arange(size, dtype=jnp.int32)[None, :] - action[:, None]) <= 1
    return near[0][:, None] & near[1][None, :]


def first_cell(board: Bool[Array, "size size"]) -> Int[Array, " 2"]:
    """(row, column) of the first true cell in reading order; (0, 0) where there is none."""
    index = jnp.argmax(board).astype(jnp.int32)
    size = board.shape[1]
    return jnp.stack([index // size, index % size])
