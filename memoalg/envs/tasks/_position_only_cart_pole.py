"""Balance a pole and see positions only."""

import math
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from .._checks import discrete_action, int_in_range
from .._environment import AbstractEnvironment, Transition
from ..spaces import Box, Discrete
from ._levels import level_name

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


class PositionOnlyCartPole(AbstractEnvironment[CartPoleState, CartPoleParams]):
    r"""Keep a pole upright on a cart; the two velocities are hidden.

    Gymnasium's CartPole (explicit Euler, 0.02 s, force +10 N for action 1, -10 N for action 0)
    with observation $(x, \theta)$. Every step rewards $1/L$, the one that ends the episode too.
    Terminates where $|x| > 2.4$ m or $|\theta| > 12°$; truncates at $L$ = `max_steps` steps (both
    may be true). The best return is 1.

    Args:
        max_steps: L, 1 to 1,000,000. Easy, Medium, Hard: 200, 400, 600.

    Raises:
        ValueError: `max_steps` is out of range.

    Source:
        Morad et al., POPGym (ICLR 2023), `popgym/envs/position_only_cartpole.py` of release 1.0.7;
        Barto, Sutton, Anderson (1983); Florian (2007) for the equations.

    Example:
        >>> import jax
        >>> from memoalg.envs import PositionOnlyCartPole
        >>> env = PositionOnlyCartPole(max_steps=400)
        >>> env.name
        'popgym/PositionOnlyCartPoleMedium'
        >>> obs, state = env.reset(jax.random.key(0), env.default_params())
        >>> obs.shape
        (2,)
    """

    levels: ClassVar[tuple[tuple[int, ...], ...]] = ((200,), (400,), (600,))

    max_steps: int = eqx.field(static=True, default=200)

    def __check_init__(self):
        int_in_range(self.max_steps, "PositionOnlyCartPole(max_steps=...)", 1, 1_000_000)

    @property
    def name(self) -> str:
        """The id, or the constructor call."""
        return level_name("PositionOnlyCartPole", (self.max_steps,), self.levels)

    def default_params(self) -> CartPoleParams:
        """The constructor's time limit."""
        return CartPoleParams(jnp.asarray(self.max_steps, jnp.int32))

    def reset(
        self, key: PRNGKeyArray, params: CartPoleParams
    ) -> tuple[Float[Array, " 2"], CartPoleState]:
        """Draw all four numbers from U(-0.05, 0.05)."""
        start = jax.random.uniform(key, (4,), float, -RESET_RANGE, RESET_RANGE)
        state = CartPoleState(start[0], start[1], start[2], start[3], jnp.zeros((), jnp.int32))
        return _observe(state), state

    def transition(
        self,
        key: PRNGKeyArray,
        state: CartPoleState,
        action: Int[Array, ""],
        params: CartPoleParams,
    ) -> Transition[CartPoleState]:
        """Push the cart for 0.02 s."""
        action = discrete_action(action, "PositionOnlyCartPole")
        state = _push(state, action)
        fallen = (jnp.abs(state.position) > MAX_POSITION) | (jnp.abs(state.angle) > MAX_ANGLE)
        reward = 1 / params.max_steps.astype(float)
        return _observe(state), state, reward, fallen, state.time >= params.max_steps

    def observation_space(self, params: CartPoleParams) -> Box:
        """`(x, theta)` in m and rad, up to twice the limits."""
        high = np.array([2 * MAX_POSITION, 2 * MAX_ANGLE])
        return Box(-high, high)

    def action_space(self, params: CartPoleParams) -> Discrete:
        """0 pushes to the left, 1 to the right."""
        return Discrete(2)


def _observe(state: CartPoleState) -> Float[Array, " 2"]:
    return jnp.stack([state.position, state.angle])


def _push(state: CartPoleState, action: Int[Array, ""]) -> CartPoleState:
    """One explicit Euler step of the cart and the pole."""
    sine, cosine = jnp.sin(state.angle), jnp.cos(state.angle)
    force = jnp.where(action == 1, FORCE, -FORCE).astype(float)
    push = (force + POLE_MOMENT * state.angular_velocity**2 * sine) / TOTAL_MASS
    angular_acceleration = (GRAVITY * sine - cosine * push) / (
        HALF_LENGTH * (4.0 / 3.0 - POLE_MASS * cosine**2 / TOTAL_MASS)
    )
    acceleration = push - POLE_MOMENT * angular_acceleration * cosine / TOTAL_MASS
    return CartPoleState(
        position=state.position + TIME_STEP * state.velocity,
        velocity=state.velocity + TIME_STEP * acceleration,
        angle=state.angle + TIME_STEP * state.angular_velocity,
        angular_velocity=state.angular_velocity + TIME_STEP * angular_acceleration,
        time=state.time + 1,
    )
