"""Drive an underpowered car up a hill, with or without its velocity."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from .._checks import discrete_action, int_in_range
from .._environment import AbstractEnvironment, Transition
from ..spaces import Box, Discrete
from ._levels import level_name
from ._mountain_car_picture import draw_car
from ._sight import check_sight, look, sight_space

MIN_POSITION, MAX_POSITION, GOAL = -1.2, 0.6, 0.5
MAX_SPEED = 0.07
FORCE, GRAVITY = 0.001, 0.0025
LOW, HIGH = np.array([MIN_POSITION, -MAX_SPEED]), np.array([MAX_POSITION, MAX_SPEED])


class MountainCarParams(eqx.Module):
    """What may vary without a change of shapes.

    Args:
        max_steps: int32, the time limit.
    """

    max_steps: Int[Array, ""]


class MountainCarState(eqx.Module):
    """What is carried; the two physical numbers have the default float dtype.

    Args:
        position: -1.2 to 0.6, the valley's bottom is at -pi/6.
        velocity: per step, -0.07 to 0.07.
        time: int32, steps since the episode began.
    """

    position: Float[Array, ""]
    velocity: Float[Array, ""]
    time: Int[Array, ""]


class MountainCar(AbstractEnvironment[MountainCarState, MountainCarParams]):
    r"""Swing a car between two hills until it reaches the right one's top; its velocity is hidden.

    The dial is what must be inferred from the past: nothing (`hidden="none"`, the control), the
    velocity, which the last two positions give, or, with `noise`, a velocity that is seen only in
    many positions together. Without the velocity a fixed rule from position to action cannot
    pump energy: its force is a fixed hill of its own.

    Gymnasium's MountainCar: actions $a$ = 0, 1, 2 push to the left, not, to the right;
    $v' = \mathrm{clip}(v + 0.001 (a - 1) - 0.0025 \cos 3x, \pm 0.07)$,
    $x' = \mathrm{clip}(x + v', -1.2, 0.6)$, then $v' = 0$ where $x' = -1.2$ and $v' < 0$. Starts at
    rest with $x \sim U(-0.6, -0.4)$. Every step rewards $-1/L$, the last one too; terminates where
    $x' \ge 0.5$ and $v' \ge 0$, truncates at $L$ = `max_steps` steps, so a return is minus the part
    of the time that was needed. The observation is $x$, or $(x, v)$.

    Args:
        hidden: "velocities" or "none". Easy: "none"; Medium, Hard: "velocities".
        noise: standard deviation of the noise on what is shown, in halves of its range, 0 to 10;
            the sum is clipped to the range. Easy, Medium, Hard: 0, 0, 0.05.
        max_steps: L, 1 to 1,000,000. Easy, Medium, Hard: 200.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of range.

    Source:
        Moore (1990); Towers et al., Gymnasium, `MountainCar-v0` of release 1.3.0.

    Example:
        >>> import jax
        >>> from memoalg.envs import MountainCar
        >>> env = MountainCar(hidden="velocities")
        >>> env.name
        'memory/MountainCarMedium'
        >>> obs, state = env.reset(jax.random.key(0), env.default_params())
        >>> obs.shape
        (1,)
    """

    levels: ClassVar[tuple[tuple[str | float, ...], ...]] = (
        ("none", 0.0, 200),
        ("velocities", 0.0, 200),
        ("velocities", 0.05, 200),
    )

    hidden: str = eqx.field(static=True, default="velocities")
    noise: float = eqx.field(static=True, default=0.0)
    max_steps: int = eqx.field(static=True, default=200)

    def __check_init__(self):
        check_sight("MountainCar", self.hidden, self.noise)
        int_in_range(self.max_steps, "MountainCar(max_steps=...)", 1, 1_000_000)

    @property
    def name(self) -> str:
        """The id, or the constructor call."""
        arguments = (self.hidden, self.noise, self.max_steps)
        return level_name("MountainCar", arguments, self.levels, "memory")

    def default_params(self) -> MountainCarParams:
        """The constructor's time limit."""
        return MountainCarParams(jnp.asarray(self.max_steps, jnp.int32))

    def reset(
        self, key: PRNGKeyArray, params: MountainCarParams
    ) -> tuple[Float[Array, " shown"], MountainCarState]:
        """Begin at rest, near the valley's bottom."""
        key_start, key_noise = jax.random.split(key)
        position = jax.random.uniform(key_start, (), float, -0.6, -0.4)
        state = MountainCarState(position, jnp.zeros((), float), jnp.zeros((), jnp.int32))
        return self._observe(key_noise, state, params), state

    def transition(
        self,
        key: PRNGKeyArray,
        state: MountainCarState,
        action: Int[Array, ""],
        params: MountainCarParams,
    ) -> Transition[MountainCarState]:
        """Push for one step."""
        state = _push(state, discrete_action(action, "MountainCar"))
        arrived = (state.position >= GOAL) & (state.velocity >= 0)
        reward = -1 / params.max_steps.astype(float)
        observation = self._observe(key, state, params)
        return observation, state, reward, arrived, state.time >= params.max_steps

    def observation_space(self, params: MountainCarParams) -> Box:
        """The position, and the velocity where it is not hidden."""
        return sight_space(LOW, HIGH, 1, self.hidden)

    def action_space(self, params: MountainCarParams) -> Discrete:
        """Left, nothing, right."""
        return Discrete(3)

    def oracle(self, state: MountainCarState, params: MountainCarParams) -> Int[Array, ""]:
        """Push along the motion: every step adds energy."""
        return jnp.where(state.velocity >= 0, 2, 0).astype(jnp.int32)

    def render(self, state: MountainCarState) -> UInt8[np.ndarray, "height width 3"]:
        """The hills, the car and the goal."""
        return draw_car(float(state.position), float(state.velocity), int(state.time))

    def _observe(
        self, key: PRNGKeyArray, state: MountainCarState, params: MountainCarParams
    ) -> Float[Array, " shown"]:
        space = self.observation_space(params)
        position, velocity = state.position[None], state.velocity[None]
        return look(key, position, velocity, space, self.hidden, self.noise)


def _push(state: MountainCarState, action: Int[Array, ""]) -> MountainCarState:
    thrust = (action - 1).astype(float) * FORCE
    velocity = state.velocity + thrust - GRAVITY * jnp.cos(3 * state.position)
    velocity = jnp.clip(velocity, -MAX_SPEED, MAX_SPEED)
    position = jnp.clip(state.position + velocity, MIN_POSITION, MAX_POSITION)
    at_wall = (position == MIN_POSITION) & (velocity < 0)
    return MountainCarState(position, jnp.where(at_wall, 0.0, velocity), state.time + 1)
