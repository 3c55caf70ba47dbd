"""The monoid of "has it always been so?"."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool

from .._typing import Shape, as_shape
from ._inverse import has_zero, zero
from ._monoid import AbstractMonoid
from ._traits import is_commutative, is_elementwise, is_idempotent


class All(AbstractMonoid[Bool[Array, "..."]]):
    r"""Elementwise and: $x \bullet y = x \land y$, identity true, zero false; commutative, idempotent.

    Elements are bools, not numbers: write `x > 0` for "x is positive".

    Arguments:
        shape: of one element; `4` means `(4,)`.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> print(ma.scan(ma.All(), jnp.array([True, False, True])))
        [ True False False]
    """

    shape: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, shape: Shape = ()):
        self.shape = as_shape(shape)

    def identity(self) -> Array:
        return jnp.ones(self.shape, jnp.bool_)

    def combine(self, left: Array, right: Array) -> Array:
        return jnp.logical_and(left, right)


@is_commutative.register
def _(monoid: All) -> bool:
    return True


@is_idempotent.register
def _(monoid: All) -> bool:
    return True


@is_elementwise.register
def _(monoid: All) -> bool:
    return True


@has_zero.register
def _(monoid: All) -> bool:
    return True


@zero.register
def _(monoid: All) -> Array:
    return jnp.zeros(monoid.shape, jnp.bool_)
