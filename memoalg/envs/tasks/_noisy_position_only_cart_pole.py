"""Balance a pole and see noisy positions only."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from .._checks import discrete_action, float_in_range, int_in_range
from .._environment import AbstractEnvironment, Transition
from ..spaces import Box, Discrete
from ._cart_pole import (
    MAX_ANGLE,
    MAX_POSITION,
    CartPoleState,
    hold,
    outcome,
    positions,
    push,
    set_up,
)
from ._cart_pole_picture import draw_cart_pole
from ._levels import level_name
from ._noise import AbstractNoise, GaussianNoise, perturb

HIGH = np.array([2 * MAX_POSITION, 2 * MAX_ANGLE])


class NoisyCartPoleParams(eqx.Module):
    """What may vary without a change of shapes.

    Args:
        max_steps: int32, the time limit in steps of 0.02 s.
        sigma: default float, the standard deviation of the noise on both entries, in m and rad.
    """

    max_steps: Int[Array, ""]
    sigma: Float[Array, ""]


class NoisyPositionOnlyCartPole(AbstractEnvironment[CartPoleState, NoisyCartPoleParams]):
    r"""Keep a pole upright on a cart; the velocities are hidden and the positions blurred.

    Gymnasium's CartPole (explicit Euler, 0.02 s, force +10 N for action 1, -10 N for action 0)
    with observation $(x, \theta) + \sigma\epsilon$, $\epsilon \sim N(0, 1)$, clipped to twice the
    limits, $\pm 4.8$ m and $\pm 24°$. Every step rewards $1/L$, the one that ends the episode too.
    Terminates where $|x| > 2.4$ m or $|\theta| > 12°$; truncates at $L$ = `max_steps` steps (both
    may be true). The return of a policy that sees the state is 1.

    Args:
        sigma: the noise's standard deviation, 0 to 1000. Easy, Medium, Hard: 0.1, 0.2, 0.3.
        max_steps: L, 1 to 1,000,000; 200 at every level.
        noise: how the noise is drawn.

    Raises:
        ValueError: `sigma` or `max_steps` is out of range.

    Source:
        Morad et al., POPGym (ICLR 2023), `popgym/envs/noisy_position_only_cartpole.py` of
        release 1.0.7.

    Example:
        >>> import jax
        >>> from memoalg.envs import NoisyPositionOnlyCartPole
        >>> env = NoisyPositionOnlyCartPole(sigma=0.3)
        >>> env.name
        'popgym/NoisyPositionOnlyCartPoleHard'
        >>> obs, state = env.reset(jax.random.key(0), env.default_params())
        >>> obs.shape
        (2,)
    """

    levels: ClassVar[tuple[tuple[float, int], ...]] = ((0.1, 200), (0.2, 200), (0.3, 200))

    sigma: float = eqx.field(static=True, default=0.1)
    max_steps: int = eqx.field(static=True, default=200)
    noise: AbstractNoise = GaussianNoise()

    def __check_init__(self):
        float_in_range(self.sigma, "NoisyPositionOnlyCartPole(sigma=...)", 0, 1000)
        int_in_range(self.max_steps, "NoisyPositionOnlyCartPole(max_steps=...)", 1, 1_000_000)

    @property
    def name(self) -> str:
        """The id, or the constructor call."""
        arguments = (self.sigma, self.max_steps)
        return level_name("NoisyPositionOnlyCartPole", arguments, self.levels)

    def default_params(self) -> NoisyCartPoleParams:
        """The constructor's time limit and noise."""
        return NoisyCartPoleParams(
            jnp.asarray(self.max_steps, jnp.int32), jnp.asarray(self.sigma, float)
        )

    def reset(
        self, key: PRNGKeyArray, params: NoisyCartPoleParams
    ) -> tuple[Float[Array, " 2"], CartPoleState]:
        """Draw all four numbers from U(-0.05, 0.05), and the noise from a key of its own."""
        key_state, key_noise = jax.random.split(key)
        state = set_up(key_state)
        return self._observe(key_noise, state, params), state

    def transition(
        self,
        key: PRNGKeyArray,
        state: CartPoleState,
        action: Int[Array, ""],
        params: NoisyCartPoleParams,
    ) -> Transition[CartPoleState]:
        """Push the cart for 0.02 s."""
        state = push(state, discrete_action(action, "NoisyPositionOnlyCartPole"))
        return self._observe(key, state, params), state, *outcome(state, params.max_steps)

    def observation_space(self, params: NoisyCartPoleParams) -> Box:
        """Noisy `(x, theta)` in m and rad, up to twice the limits."""
        return Box(-HIGH, HIGH)

    def action_space(self, params: NoisyCartPoleParams) -> Discrete:
        """0 pushes to the left, 1 to the right."""
        return Discrete(2)

    def oracle(self, state: CartPoleState, params: NoisyCartPoleParams) -> Int[Array, ""]:
        """A linear rule on true positions and velocities that holds the pole to the limit."""
        return hold(state)

    def render(self, state: CartPoleState) -> UInt8[np.ndarray, "height width 3"]:
        """The true cart, its pole and their limits."""
        return draw_cart_pole(state)

    def _observe(
        self, key: PRNGKeyArray, state: CartPoleState, params: NoisyCartPoleParams
    ) -> Float[Array, " 2"]:
        return perturb(positions(state), self.noise.draw(key, 2), params.sigma, HIGH)
