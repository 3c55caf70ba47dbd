"""Checks of what a caller passes in; all of them run at construction or at trace time."""

import operator

import jax.numpy as jnp
from jaxtyping import Array, Int


def int_in_range(value: object, what: str, low: int, high: int) -> int:
    """Return `value` as an int in `low..high`, or raise an error that names the argument."""
    try:
        number = operator.index(value)  # pyright: ignore[reportArgumentType]
    except TypeError:
        raise TypeError(f"{what} must be an int from {low} to {high}, got {value!r}") from None
    if isinstance(value, bool) or not low <= number <= high:
        raise ValueError(f"{what} must be an int from {low} to {high}, got {value!r}")
    return number


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
