"""A pole on a cart: the physics, the end of an episode and a good controller, for every task on it."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

GRAVITY = 9.8  # m/s^2
CART_MASS = 1.0  # kg
POLE_MASS = 0.1  # kg
TOTAL_MASS = CART_MASS + POLE_MASS
HALF_LENGTH = 0.5  # m, from the hinge to the pole's centre of mass
POLE_MOMENT = POLE_MASS * HALF_LENGTH
FORCE = 10.0  # N
TIME_STEP = 0.02  # s
MAX_POSITION = 2.4  # m
MAX_ANGLE = 12 * 2 * math.pi / 360  # rad
RESET_RANGE = 0.05


class CartPoleParams(eqx.Module):
    """What may vary without a change of shapes.

    Args:
        max_steps: int32, the time limit in steps of 0.02 s.
    """

    max_steps: Int[Array, ""]


class CartPoleState(eqx.Module):
    """What is carried; the four physical numbers have the default float dtype.

    Args:
        position: the cart's, in m.
        velocity: the cart's, in m/s.
        angle: the pole's from the vertical, in rad.
        angular_velocity: the pole's, in rad/s.
        time: int32, steps since the episode began.
    """

    position: Float[Array, ""]
    velocity: Float[Array, ""]
    angle: Float[Array, ""]
    angular_velocity: Float[Array, ""]
    time: Int[Array, ""]


def set_up(key: PRNGKeyArray) -> CartPoleState:
    """Draw all four numbers from U(-0.05, 0.05)."""
    start = jax.random.uniform(key, (4,), float, -RESET_RANGE, RESET_RANGE)
    return CartPoleState(start[0], start[1], start[2], start[3], jnp.zeros((), jnp.int32))


def push(state: CartPoleState, action: Int[Array, ""]) -> CartPoleState:
    """One explicit Euler step of the cart and the pole; action 1 pushes to the right."""
    sine, cosine = jnp.sin(state.angle), jnp.cos(state.angle)
    force = jnp.where(action == 1, FORCE, -FORCE).astype(float)
    thrust = (force + POLE_MOMENT * state.angular_velocity**2 * sine) / TOTAL_MASS
    angular_acceleration = (GRAVITY * sine - cosine * thrust) / (
        HALF_LENGTH * (4.0 / 3.0 - POLE_MASS * cosine**2 / TOTAL_MASS)
    )
    acceleration = thrust - POLE_MOMENT * angular_acceleration * cosine / TOTAL_MASS
    return CartPoleState(
        position=state.position + TIME_STEP * state.velocity,
        velocity=state.velocity + TIME_STEP * acceleration,
        angle=state.angle + TIME_STEP * state.angular_velocity,
        angular_velocity=state.angular_velocity + TIME_STEP * angular_acceleration,
        time=state.time + 1,
    )


def outcome(
    state: CartPoleState, max_steps: Int[Array, ""]
) -> tuple[Float[Array, ""], Bool[Array, ""], Bool[Array, ""]]:
    """The reward of the step that led here, and whether the pole fell or time is up."""
    fallen = (jnp.abs(state.position) > MAX_POSITION) | (jnp.abs(state.angle) > MAX_ANGLE)
    return 1 / max_steps.astype(float), fallen, state.time >= max_steps


def positions(state: CartPoleState) -> Float[Array, " 2"]:
    """Where the cart is, and how far the pole leans."""
    return jnp.stack([state.position, state.angle])


def velocities(state: CartPoleState) -> Float[Array, " 2"]:
    """How fast the two change."""
    return jnp.stack([state.velocity, state.angular_velocity])


def hold(state: CartPoleState) -> Int[Array, ""]:
    """Push to where the pole leans and falls, a little more where the cart drifts to.

    Pushing towards the drift tips the pole back, which then carries the cart home.
    """
    lean = state.angle + 0.3 * state.angular_velocity
    drift = 0.05 * state.position + 0.1 * state.velocity
    return (lean + drift > 0).astype(jnp.int32)
