"""Swing a pendulum up, with or without its angular velocity."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, UInt8

from .._checks import box_action, int_in_range
from .._environment import AbstractEnvironment, Transition
from ..spaces import Box
from ._levels import level_name
from ._pendulum import (
    MAX_SPEED,
    MAX_TORQUE,
    PendulumState,
    direction,
    reward,
    set_up,
    swing,
    swing_up,
)
from ._pendulum_picture import draw_pendulum
from ._position_only_pendulum import PendulumParams
from ._sight import check_sight, look, sight_space

HIGH = np.array([1.0, 1.0, MAX_SPEED])


class Pendulum(AbstractEnvironment[PendulumState, PendulumParams]):
    r"""Swing a pendulum up and hold it there; its angular velocity is hidden, or not.

    The dial is what must be inferred from the past: nothing (`hidden="none"`, the control that
    POPGym's tasks lack), the velocity, which the last two observations give, or, with `noise`, a
    velocity that only many observations together show. The action is continuous.

    Gymnasium's Pendulum with the rewards of `PositionOnlyPendulum`: a step from $(\theta, \dot\theta)$
    with torque $u$ rewards $(1 - (\theta^2 + 0.1\dot\theta^2 + 0.001u^2)/8.1368022)/L$. The
    observation is $(\cos\theta, \sin\theta)$, and $\dot\theta$ where it is not hidden. Never
    terminates; truncates at $L$ = `max_steps` steps.

    Args:
        hidden: "velocities" or "none". Easy: "none"; Medium, Hard: "velocities".
        noise: standard deviation of the noise on what is shown, in halves of its range (1, 1,
            8 rad/s), 0 to 10; the sum is clipped to the range. Easy, Medium, Hard: 0, 0, 0.1.
        max_steps: L, 1 to 1,000,000. Easy, Medium, Hard: 200.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of range.

    Source:
        Towers et al., Gymnasium, `Pendulum-v1` of release 1.3.0; Morad et al., POPGym (ICLR 2023)
        for the rewards' scale.

    Example:
        >>> import jax
        >>> from memoalg.envs import Pendulum
        >>> env = Pendulum(hidden="none")
        >>> env.name
        'memory/PendulumEasy'
        >>> obs, state = env.reset(jax.random.key(0), env.default_params())
        >>> obs.shape
        (3,)
    """

    levels: ClassVar[tuple[tuple[str | float, ...], ...]] = (
        ("none", 0.0, 200),
        ("velocities", 0.0, 200),
        ("velocities", 0.1, 200),
    )

    hidden: str = eqx.field(static=True, default="velocities")
    noise: float = eqx.field(static=True, default=0.0)
    max_steps: int = eqx.field(static=True, default=200)

    def __check_init__(self):
        check_sight("Pendulum", self.hidden, self.noise)
        int_in_range(self.max_steps, "Pendulum(max_steps=...)", 1, 1_000_000)

    @property
    def name(self) -> str:
        """The id, or the constructor call."""
        arguments = (self.hidden, self.noise, self.max_steps)
        return level_name("Pendulum", arguments, self.levels, "memory")

    def default_params(self) -> PendulumParams:
        """The constructor's time limit."""
        return PendulumParams(jnp.asarray(self.max_steps, jnp.int32))

    def reset(
        self, key: PRNGKeyArray, params: PendulumParams
    ) -> tuple[Float[Array, " shown"], PendulumState]:
        """Draw the angle from U(-pi, pi) and the angular velocity from U(-1, 1)."""
        key_start, key_noise = jax.random.split(key)
        state = set_up(key_start)
        return self._observe(key_noise, state, params), state

    def transition(
        self,
        key: PRNGKeyArray,
        state: PendulumState,
        action: Float[Array, " 1"],
        params: PendulumParams,
    ) -> Transition[PendulumState]:
        """Apply the torque for 0.05 s."""
        state, cost = swing(state, box_action(action, "Pendulum", 1))
        gain, never = reward(cost, params.max_steps), jnp.zeros((), bool)
        observation = self._observe(key, state, params)
        return observation, state, gain, never, state.time >= params.max_steps

    def observation_space(self, params: PendulumParams) -> Box:
        """Where the rod points, and how fast it turns where that is not hidden."""
        return sight_space(-HIGH, HIGH, 2, self.hidden)

    def action_space(self, params: PendulumParams) -> Box:
        """The torque in N m."""
        return Box(-MAX_TORQUE, MAX_TORQUE, (1,))

    def oracle(self, state: PendulumState, params: PendulumParams) -> Float[Array, " 1"]:
        """Swing up by energy, then hold."""
        return swing_up(state)

    def render(self, state: PendulumState) -> UInt8[np.ndarray, "height width 3"]:
        """The rod and its angular velocity."""
        return draw_pendulum(state)

    def _observe(
        self, key: PRNGKeyArray, state: PendulumState, params: PendulumParams
    ) -> Float[Array, " shown"]:
        space, velocity = self.observation_space(params), state.angular_velocity[None]
        return look(key, direction(state), velocity, space, self.hidden, self.noise)
