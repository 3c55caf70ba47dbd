"""The monoid of sums."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._typing import DTypeLike, Shape, as_shape
from ._ground import fixed_dtype
from ._inverse import inverse, is_invertible
from ._monoid import AbstractMonoid
from ._traits import is_commutative, is_elementwise


class Add(AbstractMonoid[Array]):
    """Elementwise sum: $x \\bullet y = x + y$, identity 0; commutative and invertible.

    Hazard: bfloat16 and float16 sums stagnate over long sequences: accumulate in float32.

    Arguments:
        shape: of one element; `4` means `(4,)`.
        dtype: of the elements; None is the default float, fixed at construction.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> print(ma.scan(ma.Add(), jnp.array([1.0, 2.0, 3.0])))
        [1. 3. 6.]
    """

    shape: tuple[int, ...] = eqx.field(static=True)
    dtype: np.dtype = eqx.field(static=True)

    def __init__(self, shape: Shape = (), dtype: DTypeLike | None = None):
        self.shape = as_shape(shape)
        self.dtype = fixed_dtype(dtype)

    def identity(self) -> Array:
        return jnp.zeros(self.shape, self.dtype)

    def combine(self, left: Array, right: Array) -> Array:
        return jnp.add(left, right)


@is_commutative.register
def _(monoid: Add) -> bool:
    return True


@is_elementwise.register
def _(monoid: Add) -> bool:
    return True


@is_invertible.register
def _(monoid: Add) -> bool:
    # Unsigned integers wrap round, so they are invertible too; bools are not numbers.
    return monoid.dtype != np.bool_


@inverse.register
def _(monoid: Add, element: Array) -> Array:
    return jnp.negative(element)
