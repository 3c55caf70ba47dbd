"""The monoid of counters that stop instead of wrapping round."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Integer

from .._typing import DTypeLike, Shape, as_shape
from ._ground import fixed_dtype, largest
from ._inverse import has_zero, zero
from ._monoid import AbstractMonoid
from ._traits import is_commutative, is_elementwise


class Count(AbstractMonoid[Integer[Array, "..."]]):
    r"""Elementwise counter: $x \bullet y = \min(x + y, \text{max})$, identity 0, zero max; commutative.

    The sum saturates at the dtype's largest number. Elements are not negative; among those it is
    associative.

    Hazard: a plain integer sum wraps round to negative numbers, and a float counter silently stops:
    bfloat16 at 256, float16 at 2,048, float32 at 16,777,216. Neither happens here. It is computed as
    `where(x > max - y, max, x + y)`, in which what is compared cannot overflow.

    Arguments:
        shape: of one element; `4` means `(4,)`.
        dtype: an integer one, signed or unsigned.

    Raises:
        ValueError: for any other dtype.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> print(ma.scan(ma.Count((), jnp.uint8), jnp.array([200, 50, 50], jnp.uint8)))
        [200 250 255]
    """

    shape: tuple[int, ...] = eqx.field(static=True)
    dtype: np.dtype = eqx.field(static=True)

    def __init__(self, shape: Shape = (), dtype: DTypeLike = jnp.int32):
        self.shape = as_shape(shape)
        self.dtype = fixed_dtype(dtype)

    def __check_init__(self) -> None:
        if not jnp.issubdtype(self.dtype, jnp.integer):
            raise ValueError(
                f"Count needs an integer dtype, got {self.dtype.name}, in which a counter is not "
                "exact; write jnp.int32 and cast what is read"
            )

    def identity(self) -> Array:
        return jnp.zeros(self.shape, self.dtype)

    def combine(self, left: Array, right: Array) -> Array:
        most = jnp.asarray(largest(self.dtype), self.dtype)
        return jnp.where(left > most - right, most, left + right)


@is_commutative.register
def _(monoid: Count) -> bool:
    return True


@is_elementwise.register
def _(monoid: Count) -> bool:
    return True


@has_zero.register
def _(monoid: Count) -> bool:
    return True


@zero.register
def _(monoid: Count) -> Array:
    return jnp.full(monoid.shape, largest(monoid.dtype), monoid.dtype)
