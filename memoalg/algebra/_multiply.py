"""The monoid of products."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._typing import DTypeLike, Shape, as_shape
from ._ground import fixed_dtype
from ._inverse import group_in, has_zero, zero
from ._monoid import AbstractMonoid
from ._traits import Tracks, is_commutative, is_elementwise, tracks


class Multiply(AbstractMonoid[Array]):
    """Elementwise product: $x \\bullet y = x \\, y$, identity 1; commutative.

    Hazard: long products underflow or overflow (0.9**t is 0 in float32 from t = 828).

    Arguments:
        shape: of one element; `4` means `(4,)`.
        dtype: of the elements; None is the default float, fixed at construction.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> print(ma.scan(ma.Multiply(), jnp.array([1.0, 2.0, 3.0])))
        [1. 2. 6.]
    """

    shape: tuple[int, ...] = eqx.field(static=True)
    dtype: np.dtype = eqx.field(static=True)

    def __init__(self, shape: Shape = (), dtype: DTypeLike | None = None):
        self.shape = as_shape(shape)
        self.dtype = fixed_dtype(dtype)

    def identity(self) -> Array:
        return jnp.ones(self.shape, self.dtype)

    def combine(self, left: Array, right: Array) -> Array:
        return jnp.multiply(left, right)


@is_commutative.register
def _(monoid: Multiply) -> bool:
    return True


@is_elementwise.register
def _(monoid: Multiply) -> bool:
    return True


@has_zero.register
def _(monoid: Multiply) -> bool:
    return True


@zero.register
def _(monoid: Multiply) -> Array:
    return jnp.zeros(monoid.shape, monoid.dtype)


@tracks.register
def _(monoid: Multiply) -> Tracks:
    # Signs follow parity; complex phases follow clocks. Whole numbers mod a power of two do too.
    return Tracks.ABELIAN if monoid.dtype != np.bool_ else Tracks.NOTHING


@group_in.register
def _(monoid: Multiply) -> tuple[Array, ...]:
    one = jnp.ones(monoid.shape, monoid.dtype)
    return (-one,) if tracks(monoid) else ()
