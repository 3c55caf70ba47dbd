"""What a controller is shown of a physical system: velocities or not, with noise or not."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from .._checks import float_in_range
from ..spaces import Box

HIDDEN = ("velocities", "none")


def check_sight(family: str, hidden: object, noise: object) -> None:
    """Raise where `hidden` or `noise` is not an argument of these tasks."""
    if hidden not in HIDDEN:
        raise ValueError(f'{family}(hidden=...) must be "velocities" or "none", got {hidden!r}')
    float_in_range(noise, f"{family}(noise=...)", 0.0, 10.0)


def sight_space(low: np.ndarray, high: np.ndarray, positions: int, hidden: str) -> Box:
    """The bounds of what is shown, of bounds in which the positions come first."""
    shown = positions if hidden == "velocities" else len(high)
    return Box(low[:shown], high[:shown])


def look(
    key: PRNGKeyArray,
    positions: Float[Array, " positions"],
    velocities: Float[Array, " velocities"],
    space: Box,
    hidden: str,
    noise: float,
) -> Float[Array, " shown"]:
    """The positions, the velocities where they are not hidden, and noise.

    The noise's standard deviation is `noise` times half of each bound's range (times 1 where there
    is no bound); what leaves the bounds is clipped.
    """
    shown = positions if hidden == "velocities" else jnp.concatenate([positions, velocities])
    if noise == 0:
        return shown
    scale = np.where(np.isfinite(space.high), (space.high - space.low) / 2, 1.0)
    numbers = jax.random.normal(key, shown.shape, shown.dtype)
    noisy = shown + noise * jnp.asarray(scale, shown.dtype) * numbers
    low, high = jnp.asarray(space.low, shown.dtype), jnp.asarray(space.high, shown.dtype)
    return jnp.clip(noisy, low, high)
