"""Click every cell that is free of mines, and none twice."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from .._checks import int_in_range, vector_action
from .._environment import AbstractEnvironment, Transition
from ..spaces import Discrete, MultiDiscrete
from ._grid import around, cell, first_cell
from ._levels import level_name
from ._mine_sweeper_picture import draw_mines

CLEAR, MINE, VIEWED = 0, 1, 2
MAX_COUNT = 9


class MineSweeperParams(eqx.Module):
    """What may vary without a change of shapes.

    Args:
        num_mines: int32, how many mines are laid, 0 to the environment's `num_mines`.
    """

    num_mines: Int[Array, ""]


class MineSweeperState(eqx.Module):
    """What is carried.

    Args:
        board: int8, 0 where a cell is clear and was not clicked, 1 for a mine, 2 for a clear cell
            that was clicked.
        time: int32, steps since the episode began.
    """

    board: Int[Array, "size size"]
    time: Int[Array, ""]


class MineSweeper(AbstractEnvironment[MineSweeperState, MineSweeperParams]):
    r"""Click every cell that is free of mines; a click tells how many mines are near.

    `num_mines` mines lie on a board of `size` $\times$ `size` cells, uniformly over all such sets;
    $N$ = `size`$^2 -$ `num_mines` cells are clear. A click on a mine rewards $-1/2 - 1/N$ and
    terminates; on a clear cell $1/N$; on one that was clicked before $-1/(2(N-2))$. The observation
    is the number of mines among the clicked cell and those that touch it (not where it is: see
    `PreviousAction`), and 0 at first. Terminates when all clear cells are clicked; otherwise
    truncates after $N$ steps (never both). The best return of a policy that knows the board is 1.

    Args:
        size: rows and columns, 2 to 30. Easy, Medium, Hard: 4, 6, 8.
        num_mines: 1 to `size`$^2 - 3$. Easy, Medium, Hard: 2, 6, 10.

    Raises:
        ValueError: `size` or `num_mines` is out of range.

    Source:
        Morad et al., POPGym (ICLR 2023), `popgym/envs/minesweeper.py` of release 1.0.7.

    Example:
        >>> import jax
        >>> from memoalg.envs import MineSweeper
        >>> env = MineSweeper(size=6, num_mines=6)
        >>> env.name
        'popgym/MineSweeperMedium'
        >>> obs, state = env.reset(jax.random.key(0), env.default_params())
        >>> int(obs), int(state.board.sum())
        (0, 6)
    """

    levels: ClassVar[tuple[tuple[int, ...], ...]] = ((4, 2), (6, 6), (8, 10))

    size: int = eqx.field(static=True, default=4)
    num_mines: int = eqx.field(static=True, default=2)

    def __check_init__(self):
        size = int_in_range(self.size, "MineSweeper(size=...)", 2, 30)
        int_in_range(self.num_mines, "MineSweeper(num_mines=...)", 1, size**2 - 3)

    @property
    def name(self) -> str:
        """The id, or the constructor call."""
        return level_name("MineSweeper", (self.size, self.num_mines), self.levels)

    def default_params(self) -> MineSweeperParams:
        """The constructor's mine count."""
        return MineSweeperParams(jnp.asarray(self.num_mines, jnp.int32))

    def reset(
        self, key: PRNGKeyArray, params: MineSweeperParams
    ) -> tuple[Int[Array, ""], MineSweeperState]:
        """Lay the mines."""
        cells = self.size**2
        uniforms = jax.random.uniform(key, (self.num_mines,), jnp.float32)
        chosen = choose_cells(uniforms, cells, params.num_mines)
        places = jnp.arange(cells, dtype=jnp.int32)
        mines = jnp.any(chosen[:, None] == places[None, :], 0)
        board = mines.reshape(self.size, self.size).astype(jnp.int8)
        zero = jnp.zeros((), jnp.int32)
        return zero, MineSweeperState(board, zero)

    def transition(
        self,
        key: PRNGKeyArray,
        state: MineSweeperState,
        action: Int[Array, " 2"],
        params: MineSweeperParams,
    ) -> Transition[MineSweeperState]:
        """Look at one cell."""
        action = vector_action(action, "MineSweeper", 2)
        clear_cells = self.size**2 - params.num_mines
        gain = 1 / clear_cells.astype(float)
        here = cell(action, self.size)
        was_mine = jnp.any(here & (state.board == MINE))
        was_viewed = jnp.any(here & (state.board == VIEWED))
        repeated = -0.5 / (clear_cells - 2).astype(float)
        reward = jnp.where(was_mine, -0.5 - gain, jnp.where(was_viewed, repeated, gain))
        near = around(action, self.size) & (state.board == MINE)
        viewed = jnp.asarray(VIEWED, jnp.int8)
        board = jnp.where(here & (state.board == CLEAR), viewed, state.board)
        state = MineSweeperState(board, state.time + 1)
        terminated = was_mine | jnp.all(board != CLEAR)
        truncated = (state.time >= clear_cells) & ~terminated
        return jnp.sum(near, dtype=jnp.int32), state, reward, terminated, truncated

    def observation_space(self, params: MineSweeperParams) -> Discrete:
        """How many mines are at and around the clicked cell."""
        return Discrete(min(self.num_mines, MAX_COUNT) + 1)

    def action_space(self, params: MineSweeperParams) -> MultiDiscrete:
        """Row and column."""
        return MultiDiscrete((self.size, self.size))

    def oracle(self, state: MineSweeperState, params: MineSweeperParams) -> Int[Array, " 2"]:
        """The first clear cell that was not clicked."""
        return first_cell(state.board == CLEAR)

    def render(self, state: MineSweeperState) -> UInt8[np.ndarray, "height width 3"]:
        """The board: mines, what is clicked with its count, what is not."""
        return draw_mines(np.asarray(state.board))


def choose_cells(
    uniforms: Float[Array, " most"], cells: int, count: Int[Array, ""]
) -> Int[Array, " most"]:
    """Choose `count` of `cells` cells, every set with the same probability (Floyd's method).

    For j = cells - count, ..., cells - 1: draw t from 0..j; take t, or j where t is taken. That is
    one uniform number a cell, and comparisons with the cells that are taken, not with the board.

    Args:
        uniforms: float32 in [0, 1).
        cells: how many there are.
        count: how many are chosen, at most `most`.

    Returns:
        The cells, int32; -1 in the places from `count` on.
    """
    most = uniforms.shape[0]
    order = jnp.arange(most, dtype=jnp.int32)
    last = cells - count + order
    drawn = (uniforms * (last + 1).astype(jnp.float32)).astype(jnp.int32)

    def choose(chosen, step):
        place, drawn, last = step
        new = jnp.where(jnp.any(chosen == drawn), last, drawn)
        return jnp.where((order == place) & (place < count), new, chosen), None

    none = jnp.full((most,), -1, jnp.int32)
    return jax.lax.scan(choose, none, (order, drawn, last), unroll=min(most, 16))[0]
