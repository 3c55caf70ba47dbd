"""The check of wrappers that work on arrays of floats only."""

import jax.numpy as jnp

from ..spaces import AbstractSpace, Box


def require_box(space: AbstractSpace, what: str, *, vector: bool = False) -> Box:
    """Return the space, or raise an error that says what the observations are instead.

    Args:
        space: the wrapped environment's observation space.
        what: the wrapper.
        vector: whether it must also have one axis only.

    Raises:
        TypeError: it is no Box of floats.
    """
    if not isinstance(space, Box) or not jnp.issubdtype(space.dtype, jnp.floating):
        raise TypeError(
            f"{what} takes an environment whose observations are a Box of floats, got {space}; "
            f"where numbers are one part of many, wrap the innermost environment"
        )
    if vector and len(space.shape) != 1:
        raise TypeError(
            f"{what} takes an environment whose observations are vectors, got shape {space.shape}"
        )
    return space
