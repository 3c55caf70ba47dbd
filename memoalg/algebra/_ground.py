"""What the ground monoids share: their dtype rule."""

import jax.dtypes
import jax.numpy as jnp
import numpy as np

from .._typing import DTypeLike


def fixed_dtype(dtype: DTypeLike | None) -> np.dtype:
    """The dtype as `np.dtype`; None is JAX's default float, fixed now (float32 without x64)."""
    # np.dtype, because jnp.float32 compares equal to it but hashes differently as a static field.
    return np.dtype(jax.dtypes.canonicalize_dtype(float if dtype is None else np.dtype(dtype)))


def smallest(dtype: np.dtype) -> float | int | bool:
    """The least value of an ordered dtype: minus infinity, the smallest integer, False."""
    if jnp.issubdtype(dtype, jnp.floating):
        return -np.inf
    return False if dtype == np.bool_ else int(jnp.iinfo(dtype).min)


def largest(dtype: np.dtype) -> float | int | bool:
    """The greatest value of an ordered dtype: infinity, the largest integer, True."""
    if jnp.issubdtype(dtype, jnp.floating):
        return np.inf
    return True if dtype == np.bool_ else int(jnp.iinfo(dtype).max)


def require_ordered(name: str, dtype: np.dtype) -> None:
    """Refuse complex dtypes where values are compared."""
    if jnp.issubdtype(dtype, jnp.complexfloating):
        raise ValueError(f"{name} needs an ordered dtype, got {dtype.name}; use the real parts")


def require_real_floating(name: str, dtype: np.dtype) -> None:
    """Refuse integers, bools and complex dtypes."""
    if not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError(f"{name} needs a real floating dtype, got {dtype.name}; write jnp.float32")
