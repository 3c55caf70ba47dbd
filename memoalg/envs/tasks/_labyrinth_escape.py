"""Find the way out of a maze."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from .._checks import discrete_action
from .._environment import Transition
from ._labyrinth import AbstractLabyrinth, LabyrinthParams, LabyrinthState, observe, walk
from ._maze import add_cell, towards


class LabyrinthEscape(AbstractLabyrinth):
    r"""Find the exit of a maze that is seen through a window of 3 x 3 cells.

    With n = `maze_dims` / 2, a hunt-and-kill maze of n x n rooms lies on a grid of 2n + 1 cells a
    side. Its border is opened twice: at the start, next to a random room of a random side, and at
    the goal, next to a random room of the opposite side. Actions 0, 1, 2, 3 go left, right, up, down
    by one cell; into a wall or off the grid the agent stays. Every step rewards $-1/L$ with
    L = `episode_length`, and 1 more where it reaches the goal, which terminates. Truncates after
    $L - 1$ steps (both may be true). The best return of a maze whose shortest way has d steps is
    $1 - d/L$.

    The observation is the window, row by row (0 free, 1 wall, 2 start, 3 goal), and the last action
    (4 at first). In the first row or column of the grid the window begins at the border, with a row
    or column of walls after it: the agent is then not in its middle, as in the reference.

    The maze of the next episode is built during the current one, two rooms a step; only where an
    episode was shorter than that is the rest built at its end. (The reference gives up after
    $(2n+1)^2$ jumps, which leaves a room out of 2 to 6 of 100,000 mazes; here every maze
    is finished.)

    Args:
        maze_dims: 2n, an even number from 6 to 30. Easy, Medium, Hard: 10, 14, 18.
        episode_length: L, 2 to 1,000,000.

    Raises:
        ValueError: an argument is out of range.

    Source:
        Morad et al., POPGym (ICLR 2023), `popgym/envs/labyrinth_escape.py` of release 1.0.7;
        mazelib's `HuntAndKill`.

    Example:
        >>> import jax
        >>> from memoalg.envs import LabyrinthEscape
        >>> env = LabyrinthEscape(maze_dims=10)
        >>> env.name
        'popgym/LabyrinthEscapeEasy'
        >>> obs, state = env.reset(jax.random.key(0), env.default_params())
        >>> obs.shape, int(obs[-1])
        ((10,), 4)
    """

    levels: ClassVar[tuple[tuple[int, ...], ...]] = ((10, 1024), (14, 1024), (18, 1024))

    with_goal: ClassVar[bool] = True

    def transition(
        self,
        key: PRNGKeyArray,
        state: LabyrinthState,
        action: Int[Array, ""],
        params: LabyrinthParams,
    ) -> Transition[LabyrinthState]:
        """Walk, at a price; reward the exit."""
        action = discrete_action(action, "LabyrinthEscape")
        state = walk(key, state, action, new_rooms=2)
        terminated = jnp.all(state.position == state.goal)
        reward = terminated.astype(float) - 1 / params.episode_length.astype(float)
        truncated = state.time >= params.episode_length - 1
        return observe(state, action), state, reward, terminated, truncated

    def oracle(self, state: LabyrinthState, params: LabyrinthParams) -> Int[Array, ""]:
        """A step on the shortest way to the exit."""
        exit_only = add_cell(jnp.zeros_like(state.free), state.goal[0], state.goal[1])
        return towards(state.free, exit_only, state.position[0], state.position[1])
