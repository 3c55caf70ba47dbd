"""The monoid of largest values with their places."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._typing import DTypeLike, Shape, as_shape
from ._ground import fixed_dtype, largest, require_ordered, smallest
from ._inverse import has_zero, zero
from ._monoid import AbstractMonoid
from ._traits import is_commutative, is_elementwise, is_idempotent

FIRST, LAST = np.iinfo(np.int32).min, np.iinfo(np.int32).max


class ArgMax(AbstractMonoid[tuple[Array, Array]]):
    r"""Elementwise largest value and its index; commutative, idempotent.

    $$(v, i) \bullet (w, j) = \begin{cases} (v, i) & v > w, \text{ or } v = w \text{ and } i \le j \\
      (w, j) & \text{otherwise,} \end{cases} \qquad e = (-\infty, 2^{31} - 1).$$

    An element is `(value, index)`, two arrays of one shape; the index (a time, usually) is int32. The
    largest value is found as by `jnp.max` and `jnp.argmax`: of equal values the smallest *index* wins,
    and NaN is larger than every number.

    Hazard: the tie is decided by the index. "Keep the earlier operand" is no monoid: for
    $v = -\infty$ the identity would win from the left.

    Arguments:
        shape: of value and index; `4` means `(4,)`.
        dtype: of the values, real; None is the default float, fixed at construction.

    Raises:
        ValueError: for a complex dtype, which has no order.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> values, times = jnp.array([1.0, 3.0, 3.0]), jnp.arange(3, dtype=jnp.int32)
        >>> largest, time = ma.fold(ma.ArgMax(), (values, times))
        >>> print(largest, time)
        3.0 1
    """

    shape: tuple[int, ...] = eqx.field(static=True)
    dtype: np.dtype = eqx.field(static=True)

    def __init__(self, shape: Shape = (), dtype: DTypeLike | None = None):
        self.shape = as_shape(shape)
        self.dtype = fixed_dtype(dtype)

    def __check_init__(self) -> None:
        require_ordered("ArgMax", self.dtype)

    def identity(self) -> tuple[Array, Array]:
        return _pair(self, smallest(self.dtype), LAST)

    def combine(self, left: tuple[Array, Array], right: tuple[Array, Array]) -> tuple[Array, Array]:
        (v, i), (w, j) = left, right
        # `x != x` is NaN in every dtype; it is ordered above everything, so the order is total.
        v_is_nan, w_is_nan = v != v, w != w
        larger = (w > v) | (w_is_nan & ~v_is_nan)
        tied = (w == v) | (w_is_nan & v_is_nan)
        take_right = larger | (tied & (j < i))
        return jnp.where(take_right, w, v), jnp.where(take_right, j, i)


def _pair(monoid: ArgMax, value: float | int | bool, index: int) -> tuple[Array, Array]:
    shape = monoid.shape
    return jnp.full(shape, value, monoid.dtype), jnp.full(shape, index, jnp.int32)


@is_commutative.register
def _(monoid: ArgMax) -> bool:
    return True


@is_idempotent.register
def _(monoid: ArgMax) -> bool:
    return True


@is_elementwise.register
def _(monoid: ArgMax) -> bool:
    return True


@has_zero.register
def _(monoid: ArgMax) -> bool:
    return True


@zero.register
def _(monoid: ArgMax) -> tuple[Array, Array]:
    return _pair(monoid, largest(monoid.dtype), FIRST)
