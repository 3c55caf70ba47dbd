"""What the matrix-valued monoids share: rules of sizes and dtypes."""

import jax.numpy as jnp
import numpy as np

from .._typing import common_dtype


def require_size(name: str, argument: str, size: int) -> None:
    """Refuse what is not a whole number of at least 1."""
    if not isinstance(size, int | np.integer) or isinstance(size, bool) or size < 1:
        raise ValueError(f"{name} needs {argument} to be an int of at least 1, got {size!r}")


def require_numbers(name: str, dtype: np.dtype) -> None:
    """Refuse bools."""
    if dtype == np.bool_:
        raise ValueError(f"{name} needs numbers, got bool; write jnp.int32 to count")


def at_least_single(dtype: np.dtype) -> np.dtype:
    """float32 for half precisions, in which nothing should be solved or renormalised."""
    return common_dtype(dtype, jnp.float32)
