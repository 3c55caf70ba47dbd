"""Checks of what a caller passes in; all of them run at construction or at trace time."""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int


def int_in_range(value: object, what: str, low: int, high: int) -> int:
    """Return `value` as an int in `low..high`, or raise an error that names the argument."""
    # Python's own: a static field holds no arrays and no scalars of numpy.
    if not isinstance(value, int):
        raise TypeError(f"{what} must be an int from {low} to {high}, got {value!r}")
    if isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{what} must be an int from {low} to {high}, got {value!r}")
    return value


def float_in_range(value: object, what: str, low: float, high: float) -> float:
    """Return `value` as a float in `low..high`, or raise an error that names the argument."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or isinstance(value, np.generic)
    ):
        raise TypeError(f"{what} must be a number from {low:g} to {high:g}, got {value!r}")
    if not low <= value <= high or not math.isfinite(value):
        raise ValueError(f"{what} must be a number from {low:g} to {high:g}, got {value!r}")
    return float(value)


def discrete_action(action: Array, name: str) -> Int[Array, ""]:
    """Return an integer scalar action as int32, or raise an error that says what came."""
    action = jnp.asarray(action)
    if not jnp.issubdtype(action.dtype, jnp.integer):
        raise TypeError(
            f"{name} takes an integer action, got dtype {action.dtype.name}; a policy over a "
            f"Discrete space returns an index, not a float or a one-hot vector"
        )
    if action.shape != ():
        raise ValueError(
            f"{name} takes one action of shape (), got shape {action.shape}; an environment is "
            f"unbatched: use jax.vmap(env.step, in_axes=(0, 0, 0, None))"
        )
    return action.astype(jnp.int32)


def vector_action(action: Array, name: str, size: int) -> Int[Array, " size"]:
    """Return a vector of indices as int32, or raise an error that says what came."""
    action = jnp.asarray(action)
    if not jnp.issubdtype(action.dtype, jnp.integer) or action.shape != (size,):
        raise ValueError(
            f"{name} takes integers of shape ({size},), got {action.dtype.name} of shape "
            f"{action.shape}; wrap it in DiscreteAction for one index, and use "
            f"jax.vmap(env.step, in_axes=(0, 0, 0, None)) for many environments"
        )
    return action.astype(jnp.int32)


def box_action(action: Array, name: str, size: int) -> Float[Array, " size"]:
    """Return a vector of default floats, or raise an error that says what came."""
    action = jnp.asarray(action)
    if not jnp.issubdtype(action.dtype, jnp.floating) or action.shape != (size,):
        raise ValueError(
            f"{name} takes floats of shape ({size},), got {action.dtype.name} of shape "
            f"{action.shape}; use jax.vmap(env.step, in_axes=(0, 0, 0, None)) for many environments"
        )
    return action.astype(float)
