"""Type variables and aliases that every floor shares."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree
from typing_extensions import TypeVar

Element = TypeVar("Element", default=Any)
"""What a semigroup combines: a pytree of arrays for one time step."""

State = TypeVar("State", default=Element)
"""What a monoid acts on and a scan carries. Defaults to the element."""

Generator = PyTree
"""What `encode` returns for one step: an element, or a cheaper description of one."""

TreeDef = Any
"""`jax.tree_util.PyTreeDef`, which type checkers see as a variable."""

Shape = int | tuple[int, ...]
"""A shape as users write it: `4` means `(4,)`."""

DTypeLike = Any
"""Whatever `np.dtype` accepts, `jnp.float32` and `"bfloat16"` included."""


def as_shape(shape: Shape) -> tuple[int, ...]:
    """`4` -> `(4,)`; a tuple is checked and returned."""
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    for size in sizes:
        if not isinstance(size, int | np.integer) or isinstance(size, bool) or size < 0:
            raise ValueError(f"a shape is an int or a tuple of non-negative ints, got {shape!r}")
    return tuple(int(size) for size in sizes)


def common_dtype(a: DTypeLike, b: DTypeLike) -> np.dtype:
    """The dtype that holds both, also where JAX is told to refuse implicit promotion."""
    with jax.numpy_dtype_promotion("standard"):
        return np.dtype(jnp.promote_types(a, b))


def complex_dtype_of(dtype: DTypeLike) -> np.dtype:
    """The complex dtype of a real one; half precisions have none and take complex64."""
    return np.dtype(jnp.complex128 if np.dtype(dtype) == np.float64 else jnp.complex64)
