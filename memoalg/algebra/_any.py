"""The monoid of "has it happened?"."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool

from .._typing import Shape, as_shape
from ._inverse import has_zero, zero
from ._monoid import AbstractMonoid
from ._traits import is_commutative, is_elementwise, is_idempotent


class Any(AbstractMonoid[Bool[Array, "..."]]):
    r"""Elementwise or: $x \bullet y = x \lor y$, identity false, zero true; commutative, idempotent.

    Elements are bools, not numbers: write `x > 0` for "x is positive".

    Arguments:
        shape: of one element; `4` means `(4,)`.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> print(ma.scan(ma.Any(), jnp.array([False, True, False])))
        [False  True  True]
    """

    shape: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, shape: Shape = ()):
        self.shape = as_shape(shape)

    def identity(self) -> Array:
        return jnp.zeros(self.shape, jnp.bool_)

    def combine(self, left: Array, right: Array) -> Array:
        return jnp.logical_or(left, right)


@is_commutative.register
def _(monoid: Any) -> bool:
    return True


@is_idempotent.register
def _(monoid: Any) -> bool:
    return True


@is_elementwise.register
def _(monoid: Any) -> bool:
    return True


@has_zero.register
def _(monoid: Any) -> bool:
    return True


@zero.register
def _(monoid: Any) -> Array:
    return jnp.ones(monoid.shape, jnp.bool_)
