"""The monoid of rotations."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._typing import DTypeLike
from ._finite_groups import matrices
from ._ground import fixed_dtype, require_real_floating
from ._inverse import group_in, inverse, is_invertible
from ._matrix import at_least_single, require_size
from ._monoid import AbstractMonoid
from ._traits import Tracks, is_commutative, tracks

Square = Float[Array, "n n"]


class Rotation(AbstractMonoid[Square]):
    r"""Rotations of n dimensions, $SO(n)$: products that are renormalised, identity $I$; invertible.

    $$x \bullet y = \nu(x\,y), \qquad \nu(z) = \tfrac12\, z\,(3 I - z^\top z).$$

    Hazard: a plain product leaves the rotations by a rounding at each step, and for ever. $\nu$, one
    Newton-Schulz step towards the nearest rotation, squares the distance, so that the drift does not
    grow. It is computed in float32 at least. It is *not* a projection: elements must be rotations up
    to rounding (orthogonal, determinant 1), such as the matrix exponential of a skew matrix.

    Arguments:
        n: dimensions.
        dtype: real floating; None is the default float, fixed at construction.

    Raises:
        ValueError: where n is not a positive int, or the dtype is not real and floating.

    Source: Higham, Functions of Matrices (2008), section 8.3.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> quarter = jnp.array([[0.0, 1.0], [-1.0, 0.0]])
        >>> print(ma.fold(ma.Rotation(2), jnp.stack([quarter, quarter])))
        [[-1.  0.]
         [ 0. -1.]]
    """

    n: int = eqx.field(static=True)
    dtype: np.dtype = eqx.field(static=True)

    def __init__(self, n: int, dtype: DTypeLike | None = None):
        require_size("Rotation", "n", n)
        self.n, self.dtype = n, fixed_dtype(dtype)
        require_real_floating("Rotation", self.dtype)

    def identity(self) -> Square:
        return jnp.eye(self.n, dtype=self.dtype)

    def combine(self, left: Square, right: Square) -> Square:
        wide = at_least_single(self.dtype)
        product = left.astype(wide) @ right.astype(wide)
        defect = jnp.eye(self.n, dtype=wide) - product.T @ product
        # z (3 I - zᵀz) / 2, as z plus a small correction: fewer digits are lost.
        return (product + product @ defect / 2).astype(self.dtype)


@is_commutative.register
def _(monoid: Rotation) -> bool:
    return monoid.n <= 2


@is_invertible.register
def _(monoid: Rotation) -> bool:
    return True


@inverse.register
def _(monoid: Rotation, element: Array) -> Array:
    return element.T


@tracks.register
def _(monoid: Rotation) -> Tracks:
    if monoid.n <= 2:
        return Tracks(monoid.n - 1)
    return Tracks.ANY


@group_in.register
def _(monoid: Rotation) -> tuple[Array, ...]:
    if monoid.n == 1:
        return ()
    if monoid.n == 2:
        return (-monoid.identity(),)
    return tuple(jnp.asarray(g) for g in matrices(monoid.n, monoid.dtype))
