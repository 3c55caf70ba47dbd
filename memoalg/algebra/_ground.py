"""What the ground monoids share: their dtype rule."""

import jax.dtypes
import numpy as np

from .._typing import DTypeLike


def fixed_dtype(dtype: DTypeLike | None) -> np.dtype:
    """The dtype as `np.dtype`; None is JAX's default float, fixed now (float32 without x64)."""
    # np.dtype, because jnp.float32 compares equal to it but hashes differently as a static field.
    return np.dtype(jax.dtypes.canonicalize_dtype(float if dtype is None else np.dtype(dtype)))
