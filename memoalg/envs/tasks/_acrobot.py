"""Swing the end of two links over a line, with or without their velocities."""

import math
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from .._checks import discrete_action, int_in_range
from .._environment import AbstractEnvironment, Transition
from ..spaces import Box, Discrete
from ._acrobot_picture import draw_acrobot
from ._levels import level_name
from ._sight import check_sight, look, sight_space

GRAVITY = 9.8
TIME_STEP = 0.2
MAX_SPEEDS = np.array([4 * math.pi, 9 * math.pi])
HIGH = np.concatenate([np.ones(4), MAX_SPEEDS])
RESET_RANGE = 0.1


class AcrobotParams(eqx.Module):
    """What may vary without a change of shapes.

    Args:
        max_steps: int32, the time limit in steps of 0.2 s.
    """

    max_steps: Int[Array, ""]


class AcrobotState(eqx.Module):
    """What is carried; angles and velocities have the default float dtype.

    Args:
        angles: of the first link from straight down, and of the second from the first, in -pi..pi.
        velocities: of the two angles, in rad/s.
        time: int32, steps since the episode began.
    """

    angles: Float[Array, " 2"]
    velocities: Float[Array, " 2"]
    time: Int[Array, ""]


class Acrobot(AbstractEnvironment[AcrobotState, AcrobotParams]):
    r"""Swing up two links by a motor between them; their velocities are hidden.

    The dial is what must be inferred from the past: nothing (`hidden="none"`, the control), both
    angular velocities, or, with `noise`, velocities that only many observations together show. The
    dynamics is chaotic, so a wrong velocity is soon a wrong plan.

    Gymnasium's Acrobot: the equations of Sutton and Barto's book for links of 1 m and 1 kg with
    centres of mass at 0.5 m and moments of inertia 1 kg m²; one Runge-Kutta step of order 4 over
    0.2 s, then angles wrapped to $-\pi..\pi$ and velocities clipped to $\pm 4\pi$ and $\pm 9\pi$.
    Actions 0, 1, 2 are torques of -1, 0, 1 N m. All four numbers start from $U(-0.1, 0.1)$.
    Terminates where $-\cos\theta_1 - \cos(\theta_1 + \theta_2) > 1$; a step rewards $-1/L$, the one
    that terminates 0; truncates at $L$ = `max_steps` steps. The observation is
    $(\cos\theta_1, \sin\theta_1, \cos\theta_2, \sin\theta_2)$, and
    $(\dot\theta_1, \dot\theta_2)$ where they are not hidden.

    Args:
        hidden: "velocities" or "none". Easy: "none"; Medium, Hard: "velocities".
        noise: standard deviation of the noise on what is shown, in halves of its range, 0 to 10;
            the sum is clipped to the range. Easy, Medium, Hard: 0, 0, 0.1.
        max_steps: L, 1 to 1,000,000. Easy, Medium, Hard: 500.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of range.

    Source:
        Sutton (1996); Towers et al., Gymnasium, `Acrobot-v1` of release 1.3.0.

    Example:
        >>> import jax
        >>> from memoalg.envs import Acrobot
        >>> env = Acrobot(hidden="none")
        >>> env.name
        'memory/AcrobotEasy'
        >>> obs, state = env.reset(jax.random.key(0), env.default_params())
        >>> obs.shape
        (6,)
    """

    levels: ClassVar[tuple[tuple[str | float, ...], ...]] = (
        ("none", 0.0, 500),
        ("velocities", 0.0, 500),
        ("velocities", 0.1, 500),
    )

    hidden: str = eqx.field(static=True, default="velocities")
    noise: float = eqx.field(static=True, default=0.0)
    max_steps: int = eqx.field(static=True, default=500)

    def __check_init__(self):
        check_sight("Acrobot", self.hidden, self.noise)
        int_in_range(self.max_steps, "Acrobot(max_steps=...)", 1, 1_000_000)

    @property
    def name(self) -> str:
        """The id, or the constructor call."""
        arguments = (self.hidden, self.noise, self.max_steps)
        return level_name("Acrobot", arguments, self.levels, "memory")

    def default_params(self) -> AcrobotParams:
        """The constructor's time limit."""
        return AcrobotParams(jnp.asarray(self.max_steps, jnp.int32))

    def reset(
        self, key: PRNGKeyArray, params: AcrobotParams
    ) -> tuple[Float[Array, " shown"], AcrobotState]:
        """Begin hanging down, nearly at rest."""
        key_start, key_noise = jax.random.split(key)
        start = jax.random.uniform(key_start, (4,), float, -RESET_RANGE, RESET_RANGE)
        state = AcrobotState(start[:2], start[2:], jnp.zeros((), jnp.int32))
        return self._observe(key_noise, state, params), state

    def transition(
        self, key: PRNGKeyArray, state: AcrobotState, action: Int[Array, ""], params: AcrobotParams
    ) -> Transition[AcrobotState]:
        """Apply the torque for 0.2 s."""
        action = discrete_action(action, "Acrobot")
        state = _swing(state, (action - 1).astype(float))
        height = -jnp.cos(state.angles[0]) - jnp.cos(state.angles[0] + state.angles[1])
        arrived = height > 1
        reward = jnp.where(arrived, 0.0, -1 / params.max_steps.astype(float))
        observation = self._observe(key, state, params)
        return observation, state, reward, arrived, state.time >= params.max_steps

    def observation_space(self, params: AcrobotParams) -> Box:
        """Cosines and sines of the angles, and the velocities where they are not hidden."""
        return sight_space(-HIGH, HIGH, 4, self.hidden)

    def action_space(self, params: AcrobotParams) -> Discrete:
        """Torques of -1, 0, 1 N m."""
        return Discrete(3)

    def oracle(self, state: AcrobotState, params: AcrobotParams) -> Int[Array, ""]:
        """Torque along the second angle's motion: it adds energy at every step."""
        return jnp.where(state.velocities[1] >= 0, 2, 0).astype(jnp.int32)

    def render(self, state: AcrobotState) -> UInt8[np.ndarray, "height width 3"]:
        """The links and the line to reach."""
        return draw_acrobot(np.asarray(state.angles), int(state.time))

    def _observe(
        self, key: PRNGKeyArray, state: AcrobotState, params: AcrobotParams
    ) -> Float[Array, " shown"]:
        cosines, sines = jnp.cos(state.angles), jnp.sin(state.angles)
        directions = jnp.stack([cosines[0], sines[0], cosines[1], sines[1]])
        space = self.observation_space(params)
        return look(key, directions, state.velocities, space, self.hidden, self.noise)


def _swing(state: AcrobotState, torque: Float[Array, ""]) -> AcrobotState:
    """One classical Runge-Kutta step of order 4."""
    y, h = jnp.concatenate([state.angles, state.velocities]), TIME_STEP
    k1 = _rates(y, torque)
    k2 = _rates(y + h / 2 * k1, torque)
    k3 = _rates(y + h / 2 * k2, torque)
    k4 = _rates(y + h * k3, torque)
    y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    angles = y[:2] - 2 * math.pi * jnp.round(y[:2] / (2 * math.pi))
    limit = jnp.asarray(MAX_SPEEDS, y.dtype)
    return AcrobotState(angles, jnp.clip(y[2:], -limit, limit), state.time + 1)


def _rates(y: Float[Array, " 4"], torque: Float[Array, ""]) -> Float[Array, " 4"]:
    """Time derivatives of the angles and velocities, with the constants put in."""
    angle1, angle2, speed1, speed2 = y[0], y[1], y[2], y[3]
    sine, cosine = jnp.sin(angle2), jnp.cos(angle2)
    d1, d2 = 3.5 + cosine, 1.25 + 0.5 * cosine
    # cos(a - pi/2) = sin(a).
    phi2 = 0.5 * GRAVITY * jnp.sin(angle1 + angle2)
    phi1 = phi2 + 1.5 * GRAVITY * jnp.sin(angle1) - sine * speed2 * (0.5 * speed2 + speed1)
    turn2 = (torque + d2 / d1 * phi1 - 0.5 * speed1**2 * sine - phi2) / (1.25 - d2**2 / d1)
    turn1 = -(d2 * turn2 + phi1) / d1
    return jnp.stack([speed1, speed2, turn1, turn2])
