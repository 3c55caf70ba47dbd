"""Swing a pendulum up and see its direction only."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from .._checks import box_action, int_in_range
from .._environment import AbstractEnvironment, Transition
from ..spaces import Box
from ._levels import level_name
from ._pendulum import MAX_TORQUE, PendulumState, direction, reward, set_up, swing, swing_up
from ._pendulum_picture import draw_pendulum


class PendulumParams(eqx.Module):
    """What may vary without a change of shapes.

    Args:
        max_steps: int32, the time limit in steps of 0.05 s.
    """

    max_steps: Int[Array, ""]


class PositionOnlyPendulum(AbstractEnvironment[PendulumState, PendulumParams]):
    r"""Swing a pendulum up and hold it there; its angular velocity is hidden.

    Gymnasium's Pendulum: angle $\theta$ from upright, torque $u$ clipped to $\pm 2$,
    $\dot\theta' = \dot\theta + 0.05 (15 \sin\theta + 3u)$ clipped to $\pm 8$,
    $\theta' = \theta + 0.05\,\dot\theta'$, with observation $(\cos\theta', \sin\theta')$. A step
    rewards $(1 - (\theta^2 + 0.1\dot\theta^2 + 0.001u^2)/8.1368022)/L$, of the state before it, with
    $\theta$ in $-\pi..\pi$. Never terminates; truncates at $L$ = `max_steps` steps. The best mean
    return is near 0.92, 0.89, 0.83 (Easy, Medium, Hard), since the rod has to be swung up first.

    Args:
        max_steps: L, 1 to 1,000,000. Easy, Medium, Hard: 200, 150, 100.

    Raises:
        ValueError: `max_steps` is out of range.

    Source:
        Morad et al., POPGym (ICLR 2023), `popgym/envs/position_only_pendulum.py` of release 1.0.7.

    Example:
        >>> import jax
        >>> from memoalg.envs import PositionOnlyPendulum
        >>> env = PositionOnlyPendulum(max_steps=100)
        >>> env.name
        'popgym/PositionOnlyPendulumHard'
        >>> obs, state = env.reset(jax.random.key(0), env.default_params())
        >>> obs.shape
        (2,)
    """

    levels: ClassVar[tuple[tuple[int, ...], ...]] = ((200,), (150,), (100,))

    max_steps: int = eqx.field(static=True, default=200)

    def __check_init__(self):
        int_in_range(self.max_steps, "PositionOnlyPendulum(max_steps=...)", 1, 1_000_000)

    @property
    def name(self) -> str:
        """The id, or the constructor call."""
        return level_name("PositionOnlyPendulum", (self.max_steps,), self.levels)

    def default_params(self) -> PendulumParams:
        """The constructor's time limit."""
        return PendulumParams(jnp.asarray(self.max_steps, jnp.int32))

    def reset(
        self, key: PRNGKeyArray, params: PendulumParams
    ) -> tuple[Float[Array, " 2"], PendulumState]:
        """Draw the angle from U(-pi, pi) and the angular velocity from U(-1, 1)."""
        state = set_up(key)
        return direction(state), state

    def transition(
        self,
        key: PRNGKeyArray,
        state: PendulumState,
        action: Float[Array, " 1"],
        params: PendulumParams,
    ) -> Transition[PendulumState]:
        """Apply the torque for 0.05 s."""
        state, cost = swing(state, box_action(action, "PositionOnlyPendulum", 1))
        gain = reward(cost, params.max_steps)
        return direction(state), state, gain, jnp.zeros((), bool), state.time >= params.max_steps

    def observation_space(self, params: PendulumParams) -> Box:
        """`(cos theta, sin theta)`."""
        return Box(-1.0, 1.0, (2,))

    def action_space(self, params: PendulumParams) -> Box:
        """The torque in N m."""
        return Box(-MAX_TORQUE, MAX_TORQUE, (1,))

    def oracle(self, state: PendulumState, params: PendulumParams) -> Float[Array, " 1"]:
        """Swing up by energy, then hold; returns about 0.91, 0.88, 0.82 (Easy, Medium, Hard)."""
        return swing_up(state)

    def render(self, state: PendulumState) -> UInt8[np.ndarray, "height width 3"]:
        """The rod and its angular velocity."""
        return draw_pendulum(state)
