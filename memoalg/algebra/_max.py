"""The monoid of maxima."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._typing import DTypeLike, Shape, as_shape
from ._ground import fixed_dtype, largest, require_ordered, smallest
from ._inverse import has_zero, zero
from ._monoid import AbstractMonoid
from ._traits import is_commutative, is_elementwise, is_idempotent


class Max(AbstractMonoid[Array]):
    r"""Elementwise maximum: $x \bullet y = \max(x, y)$, identity $-\infty$; commutative, idempotent.

    Hazard: the identity is infinite, so a mask that multiplies it gives NaN. The library selects.

    Arguments:
        shape: of one element; `4` means `(4,)`.
        dtype: real; None is the default float, fixed at construction. Integers have their smallest
            value as the identity.

    Raises:
        ValueError: for a complex dtype, which has no order.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> print(ma.scan(ma.Max(), jnp.array([1.0, 3.0, 2.0])))
        [1. 3. 3.]
    """

    shape: tuple[int, ...] = eqx.field(static=True)
    dtype: np.dtype = eqx.field(static=True)

    def __init__(self, shape: Shape = (), dtype: DTypeLike | None = None):
        self.shape = as_shape(shape)
        self.dtype = fixed_dtype(dtype)

    def __check_init__(self) -> None:
        require_ordered("Max", self.dtype)

    def identity(self) -> Array:
        return jnp.full(self.shape, smallest(self.dtype), self.dtype)

    def combine(self, left: Array, right: Array) -> Array:
        return jnp.maximum(left, right)


@is_commutative.register
def _(monoid: Max) -> bool:
    return True


@is_idempotent.register
def _(monoid: Max) -> bool:
    return True


@is_elementwise.register
def _(monoid: Max) -> bool:
    return True


@has_zero.register
def _(monoid: Max) -> bool:
    return True


@zero.register
def _(monoid: Max) -> Array:
    return jnp.full(monoid.shape, largest(monoid.dtype), monoid.dtype)
