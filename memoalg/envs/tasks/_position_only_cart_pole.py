"""Balance a pole and see positions only."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from .._checks import discrete_action, int_in_range
from .._environment import AbstractEnvironment, Transition
from ..spaces import Box, Discrete
from ._cart_pole import MAX_ANGLE as MAX_ANGLE
from ._cart_pole import MAX_POSITION as MAX_POSITION
from ._cart_pole import CartPoleParams as CartPoleParams
from ._cart_pole import CartPoleState as CartPoleState
from ._cart_pole import hold, outcome, positions, push, set_up
from ._cart_pole_picture import draw_cart_pole
from ._levels import level_name


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
        state = set_up(key)
        return positions(state), state

    def transition(
        self,
        key: PRNGKeyArray,
        state: CartPoleState,
        action: Int[Array, ""],
        params: CartPoleParams,
    ) -> Transition[CartPoleState]:
        """Push the cart for 0.02 s."""
        state = push(state, discrete_action(action, "PositionOnlyCartPole"))
        return positions(state), state, *outcome(state, params.max_steps)

    def observation_space(self, params: CartPoleParams) -> Box:
        """`(x, theta)` in m and rad, up to twice the limits."""
        high = np.array([2 * MAX_POSITION, 2 * MAX_ANGLE])
        return Box(-high, high)

    def action_space(self, params: CartPoleParams) -> Discrete:
        """0 pushes to the left, 1 to the right."""
        return Discrete(2)

    def oracle(self, state: CartPoleState, params: CartPoleParams) -> Int[Array, ""]:
        """A linear rule on positions and velocities that holds the pole to the limit."""
        return hold(state)

    def render(self, state: CartPoleState) -> UInt8[np.ndarray, "height width 3"]:
        """The cart, its pole and their limits."""
        return draw_cart_pole(state)
