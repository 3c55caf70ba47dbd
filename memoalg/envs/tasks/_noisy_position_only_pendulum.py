"""Swing a pendulum up and see its direction only, with noise."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from .._checks import box_action, float_in_range, int_in_range
from .._environment import AbstractEnvironment, Transition
from ..spaces import Box
from ._levels import level_name
from ._noise import AbstractNoise, GaussianNoise, perturb
from ._pendulum import MAX_TORQUE, PendulumState, direction, reward, set_up, swing, swing_up
from ._pendulum_picture import draw_pendulum

HIGH = np.ones(2)


class NoisyPendulumParams(eqx.Module):
    """What may vary without a change of shapes.

    Args:
        max_steps: int32, the time limit in steps of 0.05 s.
        sigma: default float, the standard deviation of the noise on both entries.
    """

    max_steps: Int[Array, ""]
    sigma: Float[Array, ""]


class NoisyPositionOnlyPendulum(AbstractEnvironment[PendulumState, NoisyPendulumParams]):
    r"""Swing a pendulum up and hold it there; its angular velocity is hidden, its direction blurred.

    Gymnasium's Pendulum: angle $\theta$ from upright, torque $u$ clipped to $\pm 2$,
    $\dot\theta' = \dot\theta + 0.05 (15 \sin\theta + 3u)$ clipped to $\pm 8$,
    $\theta' = \theta + 0.05\,\dot\theta'$, with observation
    $(\cos\theta', \sin\theta') + \sigma\epsilon$, $\epsilon \sim N(0, 1)$, clipped to $\pm 1$. A
    step rewards $(1 - (\theta^2 + 0.1\dot\theta^2 + 0.001u^2)/8.1368022)/L$, of the state before it,
    with $\theta$ in $-\pi..\pi$. Never terminates; truncates at $L$ = `max_steps` steps. The best
    mean return of a policy that sees the state is near 0.92.

    Args:
        sigma: the noise's standard deviation, 0 to 1000. Easy, Medium, Hard: 0.1, 0.2, 0.3.
        max_steps: L, 1 to 1,000,000; 200 at every level.
        noise: how the noise is drawn.

    Raises:
        ValueError: `sigma` or `max_steps` is out of range.

    Source:
        Morad et al., POPGym (ICLR 2023), `popgym/envs/noisy_position_only_pendulum.py` of
        release 1.0.7.

    Example:
        >>> import jax
        >>> from memoalg.envs import NoisyPositionOnlyPendulum
        >>> env = NoisyPositionOnlyPendulum(sigma=0.3)
        >>> env.name
        'popgym/NoisyPositionOnlyPendulumHard'
        >>> obs, state = env.reset(jax.random.key(0), env.default_params())
        >>> bool(abs(obs).max() <= 1)
        True
    """

    levels: ClassVar[tuple[tuple[float, int], ...]] = ((0.1, 200), (0.2, 200), (0.3, 200))

    sigma: float = eqx.field(static=True, default=0.1)
    max_steps: int = eqx.field(static=True, default=200)
    noise: AbstractNoise = GaussianNoise()

    def __check_init__(self):
        float_in_range(self.sigma, "NoisyPositionOnlyPendulum(sigma=...)", 0, 1000)
        int_in_range(self.max_steps, "NoisyPositionOnlyPendulum(max_steps=...)", 1, 1_000_000)

    @property
    def name(self) -> str:
        """The id, or the constructor call."""
        arguments = (self.sigma, self.max_steps)
        return level_name("NoisyPositionOnlyPendulum", arguments, self.levels)

    def default_params(self) -> NoisyPendulumParams:
        """The constructor's time limit and noise."""
        return NoisyPendulumParams(
            jnp.asarray(self.max_steps, jnp.int32), jnp.asarray(self.sigma, float)
        )

    def reset(
        self, key: PRNGKeyArray, params: NoisyPendulumParams
    ) -> tuple[Float[Array, " 2"], PendulumState]:
        """Draw the angle, the angular velocity, and the noise from a key of its own."""
        key_state, key_noise = jax.random.split(key)
        state = set_up(key_state)
        return self._observe(key_noise, state, params), state

    def transition(
        self,
        key: PRNGKeyArray,
        state: PendulumState,
        action: Float[Array, " 1"],
        params: NoisyPendulumParams,
    ) -> Transition[PendulumState]:
        """Apply the torque for 0.05 s."""
        state, cost = swing(state, box_action(action, "NoisyPositionOnlyPendulum", 1))
        observation = self._observe(key, state, params)
        gain = reward(cost, params.max_steps)
        return observation, state, gain, jnp.zeros((), bool), state.time >= params.max_steps

    def observation_space(self, params: NoisyPendulumParams) -> Box:
        """Noisy `(cos theta, sin theta)`."""
        return Box(-HIGH, HIGH)

    def action_space(self, params: NoisyPendulumParams) -> Box:
        """The torque in N m."""
        return Box(-MAX_TORQUE, MAX_TORQUE, (1,))

    def oracle(self, state: PendulumState, params: NoisyPendulumParams) -> Float[Array, " 1"]:
        """Swing up by energy, then hold; returns about 0.91."""
        return swing_up(state)

    def render(self, state: PendulumState) -> UInt8[np.ndarray, "height width 3"]:
        """The true rod and its angular velocity."""
        return draw_pendulum(state)

    def _observe(
        self, key: PRNGKeyArray, state: PendulumState, params: NoisyPendulumParams
    ) -> Float[Array, " 2"]:
        return perturb(direction(state), self.noise.draw(key, 2), params.sigma, HIGH)
