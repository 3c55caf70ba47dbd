"""Walk a corridor and turn to the side that a sign at its start named."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, PRNGKeyArray, UInt8

from .._checks import discrete_action, int_in_range
from .._environment import AbstractEnvironment, Transition
from ..spaces import Discrete, MultiDiscrete
from ._corridor_picture import draw_t_maze
from ._levels import level_name

NORTH, EAST, SOUTH, WEST = 0, 1, 2, 3
PENALTY = 0.1 / 4  # the paper's -0.1, on a scale where its reward of 4 is 1


class TMazeParams(eqx.Module):
    """What may vary without a change of shapes.

    Args:
        length: int32, how many steps lead from the start to the junction.
        max_steps: int32, the time limit.
    """

    length: Int[Array, ""]
    max_steps: Int[Array, ""]


class TMazeState(eqx.Module):
    """What is carried.

    Args:
        position: int32, steps from the start, 0 to `length`.
        north: bool, whether the sign says north.
        time: int32, steps since the episode began.
    """

    position: Int[Array, ""]
    north: Bool[Array, ""]
    time: Int[Array, ""]


class TMaze(AbstractEnvironment[TMazeState, TMazeParams]):
    r"""Read a sign, walk a corridor, turn at its end to the side that the sign named.

    The dial `length` is how many steps the sign must be remembered *while acting*: unlike in
    MemoryChain the agent itself decides when the junction is reached, there is no clock, and a
    wrong step in the corridor costs a little. All cells between look the same, so no agent without
    memory does better than a guess at the junction.

    The start is cell 0, the junction cell $N$ = `length`. Actions are north, east, south, west = 0,
    1, 2, 3. The observation is a code of three bits: at the start 011 (the reward lies north) or
    110 (south), in the corridor 101, at the junction 010. East and west move by one cell where
    there is one; west at the start, east at the junction, and north or south elsewhere leave the
    agent where it is. North or south at the junction terminates the episode. Rewards: the right
    turn 1, the wrong turn -0.025, standing still -0.025, a move 0 (the paper's 4, -0.1, -0.1 and 0,
    divided by 4). Truncates at `max_steps` steps. The best return is 1, the best memoryless one
    (1 - 0.025)/2 = 0.4875.

    Args:
        length: N, 1 to 1,000,000. Easy, Medium, Hard: 10, 70, 300.
        max_steps: the time limit, `length` + 1 to 100,000,000; None means 10 (`length` + 1). (The
            paper names none; an agent at random needs about 2 `length`² steps.)

    Raises:
        ValueError: `length` or `max_steps` is out of range.

    Source:
        Bakker, Reinforcement Learning with Long Short-Term Memory (NIPS 2001), section 4 (N from 5
        to 70).

    Example:
        >>> import jax
        >>> from memoalg.envs import TMaze
        >>> env = TMaze(length=10)
        >>> obs, state = env.reset(jax.random.key(0), env.default_params())
        >>> obs.tolist() == ([0, 1, 1] if state.north else [1, 1, 0])
        True
    """

    levels: ClassVar[tuple[tuple[int, ...], ...]] = ((10,), (70,), (300,))

    length: int = eqx.field(static=True, default=10)
    max_steps: int | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        length = int_in_range(self.length, "TMaze(length=...)", 1, 1_000_000)
        if self.max_steps is not None:
            int_in_range(self.max_steps, "TMaze(max_steps=...)", length + 1, 100_000_000)

    @property
    def name(self) -> str:
        """The id, or the constructor call."""
        arguments = (self.length,) if self.max_steps is None else (self.length, self.max_steps)
        return level_name("TMaze", arguments, self.levels, "memory")

    def default_params(self) -> TMazeParams:
        """The constructor's length and time limit."""
        limit = 10 * (self.length + 1) if self.max_steps is None else self.max_steps
        return TMazeParams(jnp.asarray(self.length, jnp.int32), jnp.asarray(limit, jnp.int32))

    def reset(self, key: PRNGKeyArray, params: TMazeParams) -> tuple[Int[Array, " 3"], TMazeState]:
        """Put up a sign, north or south with probability 1/2."""
        zero = jnp.zeros((), jnp.int32)
        state = TMazeState(zero, jax.random.bernoulli(key), zero)
        return _observe(state, params), state

    def transition(
        self, key: PRNGKeyArray, state: TMazeState, action: Int[Array, ""], params: TMazeParams
    ) -> Transition[TMazeState]:
        """Walk, stand still or turn."""
        action = discrete_action(action, "TMaze")
        turns = (state.position == params.length) & ((action == NORTH) | (action == SOUTH))
        right = turns & ((action == NORTH) == state.north)
        step = jnp.where(action == EAST, 1, jnp.where(action == WEST, -1, 0)).astype(jnp.int32)
        position = jnp.clip(state.position + step, 0, params.length)
        # The wrong turn leaves the position alone as well, and costs the same.
        stays = (position == state.position) & ~right
        reward = jnp.where(right, 1.0, jnp.where(stays, -PENALTY, 0.0)).astype(float)
        state = TMazeState(position, state.north, state.time + 1)
        truncated = state.time >= params.max_steps
        return _observe(state, params), state, reward, turns, truncated

    def observation_space(self, params: TMazeParams) -> MultiDiscrete:
        """Three bits."""
        return MultiDiscrete((2, 2, 2))

    def action_space(self, params: TMazeParams) -> Discrete:
        """North, east, south, west."""
        return Discrete(4)

    def oracle(self, state: TMazeState, params: TMazeParams) -> Int[Array, ""]:
        """East to the junction, then where the sign said."""
        turn = jnp.where(state.north, NORTH, SOUTH)
        return jnp.where(state.position == params.length, turn, EAST).astype(jnp.int32)

    def render(self, state: TMazeState) -> UInt8[np.ndarray, "height width 3"]:
        """The maze from above, with the sign, the goal and the agent."""
        return draw_t_maze(int(state.position), self.length, bool(state.north))


def _observe(state: TMazeState, params: TMazeParams) -> Int[Array, " 3"]:
    start, junction = state.position == 0, state.position == params.length
    corridor = ~start & ~junction
    code = [corridor | (start & ~state.north), ~corridor, corridor | (start & state.north)]
    return jnp.stack(code).astype(jnp.int32)
