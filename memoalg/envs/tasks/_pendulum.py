"""A pendulum that is swung up: the physics, the reward and a good controller, for every task on it."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

GRAVITY = 10.0  # m/s^2
MASS = 1.0  # kg
LENGTH = 1.0  # m, of a uniform rod
MAX_SPEED = 8.0  # rad/s
MAX_TORQUE = 2.0  # N m
TIME_STEP = 0.05  # s
FALL = 3 * GRAVITY / (2 * LENGTH)  # rad/s^2 where the rod is level
PUSH = 3 / (MASS * LENGTH**2)  # rad/s^2 for 1 N m
HALF_COST = 16.2736044 / 2  # half of the largest cost, to the original's digits


class PendulumState(eqx.Module):
    """What is carried; the two physical numbers have the default float dtype.

    Args:
        angle: from the upright position, in rad, in -pi..pi. (The original counts whole turns too,
            which nothing depends on; without them float32 does not lose digits.)
        angular_velocity: in rad/s.
        time: int32, steps since the episode began.
    """

    angle: Float[Array, ""]
    angular_velocity: Float[Array, ""]
    time: Int[Array, ""]


def set_up(key: PRNGKeyArray) -> PendulumState:
    """Draw the angle from U(-pi, pi) and the angular velocity from U(-1, 1)."""
    high = jnp.array([math.pi, 1.0], float)
    start = jax.random.uniform(key, (2,), float, -high, high)
    return PendulumState(start[0], start[1], jnp.zeros((), jnp.int32))


def swing(
    state: PendulumState, action: Float[Array, " 1"]
) -> tuple[PendulumState, Float[Array, ""]]:
    """One semi-implicit Euler step, and the cost of the state and torque before it."""
    torque = jnp.clip(action[0], -MAX_TORQUE, MAX_TORQUE)
    cost = state.angle**2 + 0.1 * state.angular_velocity**2 + 0.001 * torque**2
    acceleration = FALL * jnp.sin(state.angle) + PUSH * torque
    velocity = jnp.clip(state.angular_velocity + TIME_STEP * acceleration, -MAX_SPEED, MAX_SPEED)
    angle = _less_a_turn(state.angle + TIME_STEP * velocity)
    return PendulumState(angle, velocity, state.time + 1), cost


def reward(cost: Float[Array, ""], max_steps: Int[Array, ""]) -> Float[Array, ""]:
    """1/L without cost, -1/L for the largest."""
    return (1 - cost / HALF_COST) / max_steps.astype(float)


def direction(state: PendulumState) -> Float[Array, " 2"]:
    """Where the rod points."""
    return jnp.stack([jnp.cos(state.angle), jnp.sin(state.angle)])


def swing_up(state: PendulumState) -> Float[Array, " 1"]:
    """Pump energy until it is that of the upright rod, and hold the rod when it comes near."""
    energy = 0.5 * state.angular_velocity**2 + FALL * (jnp.cos(state.angle) - 1)
    # Torque along the motion adds energy. A little more than 0 is aimed for, or the rod would creep
    # to the top.
    pump = jnp.where(state.angular_velocity >= 0, 2.0, -2.0).astype(float) * (0.5 - energy)
    hold = -16 * state.angle - 4 * state.angular_velocity
    near = jnp.abs(state.angle + 0.15 * state.angular_velocity) < 0.5
    return jnp.clip(jnp.where(near, hold, pump), -MAX_TORQUE, MAX_TORQUE)[None]


def _less_a_turn(angle: Float[Array, ""]) -> Float[Array, ""]:
    """Back into -pi..pi; one step is less than a turn, so nothing needs a modulus (and its rounding)."""
    turn = jnp.where(angle >= math.pi, 1.0, jnp.where(angle < -math.pi, -1.0, 0.0))
    return angle - 2 * math.pi * turn.astype(angle.dtype)
