"""Decays and phases in float32 at least."""

import jax.numpy as jnp
from jaxtyping import Array

from .._typing import common_dtype


def wide(x: Array) -> Array:
    """At least float32: a decay near 1 rounds to 1 in bfloat16, and there is no half-precision complex."""
    return x.astype(common_dtype(x.dtype, jnp.float32))
