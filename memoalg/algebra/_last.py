"""The monoid that remembers the last valid value."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool

from .._typing import DTypeLike, Shape, as_shape
from ._ground import fixed_dtype
from ._monoid import AbstractMonoid
from ._traits import is_elementwise, is_idempotent


class Last(AbstractMonoid[tuple[Array, Bool[Array, "..."]]]):
    r"""Elementwise last valid value: a flip-flop, a write-enabled register; idempotent (a band).

    $$(x, i) \bullet (y, j) = (y \text{ if } j \text{ else } x,\; i \lor j), \qquad
      e = (0, \text{false}).$$

    An element is `(value, valid)`, two arrays of one shape: each entry has its own flag, so that the
    monoid is elementwise. It only selects: NaN and inf in what is not valid go nowhere.

    Hazard: a value that is not valid means nothing, so elements are equal up to it: `canon` zeros it.
    So does `combine`, for otherwise the gradient would see it.

    Arguments:
        shape: of value and valid; `4` means `(4,)`.
        dtype: of the values, any; None is the default float, fixed at construction.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> values, valid = jnp.array([1.0, 2.0, 3.0]), jnp.array([True, True, False])
        >>> print(ma.scan(ma.Last(), (values, valid))[0])
        [1. 2. 2.]
    """

    shape: tuple[int, ...] = eqx.field(static=True)
    dtype: np.dtype = eqx.field(static=True)

    def __init__(self, shape: Shape = (), dtype: DTypeLike | None = None):
        self.shape = as_shape(shape)
        self.dtype = fixed_dtype(dtype)

    def identity(self) -> tuple[Array, Array]:
        return jnp.zeros(self.shape, self.dtype), jnp.zeros(self.shape, jnp.bool_)

    def combine(self, left: tuple[Array, Array], right: tuple[Array, Array]) -> tuple[Array, Array]:
        (x, x_valid), (y, y_valid) = left, right
        other = jnp.where(x_valid, x, jnp.zeros_like(x))
        return jnp.where(y_valid, y, other), x_valid | y_valid

    def canon(self, element: tuple[Array, Array]) -> tuple[Array, Array]:
        value, valid = element
        return jnp.where(valid, value, jnp.zeros_like(value)), valid


@is_idempotent.register
def _(monoid: Last) -> bool:
    return True


@is_elementwise.register
def _(monoid: Last) -> bool:
    return True
