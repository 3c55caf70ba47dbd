"""Walk through every cell of a maze."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from .._checks import discrete_action
from .._environment import Transition
from ._hunt_and_kill import num_rooms
from ._labyrinth import AbstractLabyrinth, LabyrinthParams, LabyrinthState, observe, walk
from ._maze import has_cell, towards


class LabyrinthExplore(AbstractLabyrinth):
    r"""Visit every free cell of a maze that is seen through a window of 3 x 3 cells.

    With n = `maze_dims` / 2, a hunt-and-kill maze of n x n rooms lies on a grid of 2n + 1 cells a
    side and has $2n^2 - 1$ free cells; one more, the start, is opened in the border, next to a random
    room of a random side. Actions 0, 1, 2, 3 go left, right, up, down by one cell; into a wall or
    off the grid the agent stays. A cell's first visit rewards $1/(2n^2 - 1)$, any other step
    $-1/L$ with L = `episode_length`. Terminates when every free cell was visited, truncates after
    $L - 1$ steps (both may be true).

    The observation is the window, row by row (0 free, 1 wall, 2 start), and the last action (4 at
    first). In the first row or column of the grid the window begins at the border, with a row or
    column of walls after it: the agent is then not in its middle, as in the reference.

    The maze of the next episode is built during the current one, one room a step: whoever visits
    every cell has taken more steps than there are rooms. Where a short time limit came first, the
    rest is built at the end. (The reference gives up after
    $(2n+1)^2$ jumps, which leaves a room out of 2 to 6 of 100,000 mazes; here every maze
    is finished.)

    Args:
        maze_dims: 2n, an even number from 6 to 30. Easy, Medium, Hard: 10, 14, 18.
        episode_length: L, 2 to 1,000,000.

    Raises:
        ValueError: an argument is out of range.

    Source:
        Morad et al., POPGym (ICLR 2023), `popgym/envs/labyrinth_explore.py` of release 1.0.7;
        mazelib's `HuntAndKill`.

    Example:
        >>> import jax
        >>> from memoalg.envs import LabyrinthExplore
        >>> env = LabyrinthExplore(maze_dims=10)
        >>> env.name
        'popgym/LabyrinthExploreEasy'
        >>> obs, state = env.reset(jax.random.key(0), env.default_params())
        >>> obs.shape, int(obs[-1])
        ((10,), 4)
    """

    levels: ClassVar[tuple[tuple[int, ...], ...]] = ((10, 1024), (14, 1024), (18, 1024))

    with_goal: ClassVar[bool] = False

    def transition(
        self,
        key: PRNGKeyArray,
        state: LabyrinthState,
        action: Int[Array, ""],
        params: LabyrinthParams,
    ) -> Transition[LabyrinthState]:
        """Walk and reward a new cell."""
        action = discrete_action(action, "LabyrinthExplore")
        after = walk(key, state, action, new_rooms=1)
        is_new = ~has_cell(state.explored, after.position[0], after.position[1])
        share = 1 / (2 * num_rooms(self.maze_dims + 1) - 1)
        reward = jnp.where(is_new, share, -1 / params.episode_length.astype(float))
        terminated = jnp.all(after.explored == after.free)
        truncated = after.time >= params.episode_length - 1
        return observe(after, action), after, reward, terminated, truncated

    def oracle(self, state: LabyrinthState, params: LabyrinthParams) -> Int[Array, ""]:
        """A step on a shortest way to the nearest cell that was not visited."""
        unseen = state.free & ~state.explored
        return towards(state.free, unseen, state.position[0], state.position[1])
