"""Balance a pole and see velocities only."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from .._checks import discrete_action, int_in_range
from .._environment import AbstractEnvironment, Transition
from ..spaces import Box, Discrete
from ._cart_pole import (
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


class VelocityOnlyCartPole(AbstractEnvironment[CartPoleState, CartPoleParams]):
    r"""Keep a pole upright on a cart; where it is must be summed up from how fast it moves.

    Gymnasium's CartPole (explicit Euler, 0.02 s, force +10 N for action 1, -10 N for action 0)
    with observation $(\dot x, \dot\theta)$. Every step rewards $1/L$, the one that ends the episode
    too. Terminates where $|x| > 2.4$ m or $|\theta| > 12°$; truncates at $L$ = `max_steps` steps
    (both may be true). The best return is 1.

    The original shows $(x, \theta)$ in the first observation and velocities from then on: it tells
    the start from which the positions can be summed up. Its ids spell `VelocityOnlyCartpole`.

    Args:
        max_steps: L, 1 to 1,000,000. Easy, Medium, Hard: 200, 400, 600.
        positions_first: whether the first observation is $(x, \theta)$, as in the original, or
            $(\dot x, \dot\theta)$ like all others.

    Raises:
        TypeError: `positions_first` is not a bool.
        ValueError: `max_steps` is out of range.

    Source:
        Morad et al., POPGym (ICLR 2023), `popgym/envs/velocity_only_cartpole.py` of release 1.0.7.

    Example:
        >>> import jax
        >>> from memoalg.envs import VelocityOnlyCartPole
        >>> env = VelocityOnlyCartPole(max_steps=400)
        >>> env.name
        'popgym/VelocityOnlyCartPoleMedium'
        >>> obs, state = env.reset(jax.random.key(0), env.default_params())
        >>> bool(obs[0] == state.position)
        True
    """

    levels: ClassVar[tuple[tuple[int, ...], ...]] = ((200, True), (400, True), (600, True))

    max_steps: int = eqx.field(static=True, default=200)
    positions_first: bool = eqx.field(static=True, default=True)

    def __check_init__(self):
        int_in_range(self.max_steps, "VelocityOnlyCartPole(max_steps=...)", 1, 1_000_000)
        if not isinstance(self.positions_first, bool):
            raise TypeError(
                f"VelocityOnlyCartPole(positions_first=...) must be True or False, got "
                f"{self.positions_first!r}"
            )

    @property
    def name(self) -> str:
        """The id, or the constructor call."""
        arguments = (self.max_steps, self.positions_first)
        return level_name("VelocityOnlyCartPole", arguments, self.levels)

    def default_params(self) -> CartPoleParams:
        """The constructor's time limit."""
        return CartPoleParams(jnp.asarray(self.max_steps, jnp.int32))

    def reset(
        self, key: PRNGKeyArray, params: CartPoleParams
    ) -> tuple[Float[Array, " 2"], CartPoleState]:
        """Draw all four numbers from U(-0.05, 0.05)."""
        state = set_up(key)
        return positions(state) if self.positions_first else velocities(state), state

    def transition(
        self,
        key: PRNGKeyArray,
        state: CartPoleState,
        action: Int[Array, ""],
        params: CartPoleParams,
    ) -> Transition[CartPoleState]:
        """Push the cart for 0.02 s."""
        state = push(state, discrete_action(action, "VelocityOnlyCartPole"))
        return velocities(state), state, *outcome(state, params.max_steps)

    def observation_space(self, params: CartPoleParams) -> Box:
        """`(x_dot, theta_dot)` in m/s and rad/s, without bounds."""
        return Box(-np.inf, np.inf, (2,))

    def action_space(self, params: CartPoleParams) -> Discrete:
        """0 pushes to the left, 1 to the right."""
        return Discrete(2)

    def oracle(self, state: CartPoleState, params: CartPoleParams) -> Int[Array, ""]:
        """A linear rule on positions and velocities that holds the pole to the limit."""
        return hold(state)

    def render(self, state: CartPoleState) -> UInt8[np.ndarray, "height width 3"]:
        """The cart, its pole and their limits."""
        return draw_cart_pole(state)
