"""Balance a pole, with or without the velocities."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from .._checks import discrete_action, int_in_range
from .._environment import AbstractEnvironment, Transition
from ..spaces import Box, Discrete
from ._cart_pole import (
    MAX_ANGLE,
    MAX_POSITION,
    CartPoleParams,
    CartPoleState,
    hold,
    outcome,
    positions,
    push,
    set_up,
    velocities,
)
from ._cart_pole_picture import draw_cart_pole
from ._levels import level_name
from ._sight import check_sight, look, sight_space

HIGH = np.array([2 * MAX_POSITION, 2 * MAX_ANGLE, np.inf, np.inf])


class CartPole(AbstractEnvironment[CartPoleState, CartPoleParams]):
    r"""Keep a pole upright on a cart; the two velocities are hidden, or not.

    The dial is what must be inferred from the past: nothing (`hidden="none"`, the control that
    POPGym's tasks lack), the velocities, which the last two observations give, or, with `noise`,
    velocities that only many observations together show.

    Gymnasium's CartPole with observation $(x, \theta)$, and then $(\dot x, \dot\theta)$ where they
    are not hidden (gymnasium's order is $(x, \dot x, \theta, \dot\theta)$). Every step rewards
    $1/L$, the one that ends the episode too. Terminates where $|x| > 2.4$ m or
    $|\theta| > 12°$; truncates at $L$ = `max_steps` steps (both may be true). The best return is 1.

    Args:
        hidden: "velocities" or "none". Easy: "none"; Medium, Hard: "velocities".
        noise: standard deviation of the noise on what is shown, 0 to 10, in units of 4.8 m,
            0.419 rad, 1 m/s and 1 rad/s; the sum is clipped to the positions' range.
            Easy, Medium, Hard: 0, 0, 0.05.
        max_steps: L, 1 to 1,000,000. Easy, Medium, Hard: 500.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: an argument is out of range.

    Source:
        Barto, Sutton, Anderson (1983); Towers et al., Gymnasium, `CartPole-v1` of release 1.3.0.

    Example:
        >>> import jax
        >>> from memoalg.envs import CartPole
        >>> env = CartPole(hidden="none")
        >>> env.name
        'memory/CartPoleEasy'
        >>> obs, state = env.reset(jax.random.key(0), env.default_params())
        >>> obs.shape
        (4,)
    """

    levels: ClassVar[tuple[tuple[str | float, ...], ...]] = (
        ("none", 0.0, 500),
        ("velocities", 0.0, 500),
        ("velocities", 0.05, 500),
    )

    hidden: str = eqx.field(static=True, default="velocities")
    noise: float = eqx.field(static=True, default=0.0)
    max_steps: int = eqx.field(static=True, default=500)

    def __check_init__(self):
        check_sight("CartPole", self.hidden, self.noise)
        int_in_range(self.max_steps, "CartPole(max_steps=...)", 1, 1_000_000)

    @property
    def name(self) -> str:
        """The id, or the constructor call."""
        arguments = (self.hidden, self.noise, self.max_steps)
        return level_name("CartPole", arguments, self.levels, "memory")

    def default_params(self) -> CartPoleParams:
        """The constructor's time limit."""
        return CartPoleParams(jnp.asarray(self.max_steps, jnp.int32))

    def reset(
        self, key: PRNGKeyArray, params: CartPoleParams
    ) -> tuple[Float[Array, " shown"], CartPoleState]:
        """Draw all four numbers from U(-0.05, 0.05)."""
        key_start, key_noise = jax.random.split(key)
        state = set_up(key_start)
        return self._observe(key_noise, state, params), state

    def transition(
        self,
        key: PRNGKeyArray,
        state: CartPoleState,
        action: Int[Array, ""],
        params: CartPoleParams,
    ) -> Transition[CartPoleState]:
        """Push the cart for 0.02 s."""
        state = push(state, discrete_action(action, "CartPole"))
        return self._observe(key, state, params), state, *outcome(state, params.max_steps)

    def observation_space(self, params: CartPoleParams) -> Box:
        """Positions up to twice their limits, and velocities where they are not hidden."""
        return sight_space(-HIGH, HIGH, 2, self.hidden)

    def action_space(self, params: CartPoleParams) -> Discrete:
        """0 pushes to the left, 1 to the right."""
        return Discrete(2)

    def oracle(self, state: CartPoleState, params: CartPoleParams) -> Int[Array, ""]:
        """A linear rule that holds the pole to the limit."""
        return hold(state)

    def render(self, state: CartPoleState) -> UInt8[np.ndarray, "height width 3"]:
        """The cart, its pole and their limits."""
        return draw_cart_pole(state)

    def _observe(
        self, key: PRNGKeyArray, state: CartPoleState, params: CartPoleParams
    ) -> Float[Array, " shown"]:
        space = self.observation_space(params)
        return look(key, positions(state), velocities(state), space, self.hidden, self.noise)
