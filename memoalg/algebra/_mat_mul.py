"""The monoid of matrix products."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Num

from .._typing import DTypeLike
from ._finite_groups import matrices, matrix_tracks
from ._ground import fixed_dtype
from ._inverse import group_in, has_zero, zero
from ._matrix import require_numbers, require_size
from ._monoid import AbstractMonoid
from ._traits import Tracks, is_commutative, tracks

Square = Num[Array, "n n"]


class MatMul(AbstractMonoid[Square]):
    r"""Products of square matrices, earlier on the left: $x \bullet y = x\,y$, identity $I$.

    With row vectors the earlier matrix acts first: $h\,(x \bullet y) = (h\,x)\,y$, the action
    [`memoalg.matmul`][]. For columns, $h \mapsto A h$, take [`memoalg.MatrixAffine`][].

    Hazard: products grow or vanish like powers of the spectral radius. Many accelerators round the
    operands of float32 products: where a state must be exact, write
    `with jax.default_matmul_precision("highest"):`.

    Arguments:
        n: rows and columns.
        dtype: of the elements, real, complex or whole; None is the default float, fixed at
            construction.

    Raises:
        ValueError: where n is not a positive int, or for bools.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> swap, scale = jnp.array([[0.0, 1.0], [1.0, 0.0]]), jnp.diag(jnp.array([2.0, 3.0]))
        >>> print(ma.MatMul(2).combine(swap, scale))
        [[0. 3.]
         [2. 0.]]
    """

    n: int = eqx.field(static=True)
    dtype: np.dtype = eqx.field(static=True)

    def __init__(self, n: int, dtype: DTypeLike | None = None):
        require_size("MatMul", "n", n)
        self.n, self.dtype = n, fixed_dtype(dtype)
        require_numbers("MatMul", self.dtype)

    def identity(self) -> Square:
        return jnp.eye(self.n, dtype=self.dtype)

    def combine(self, left: Square, right: Square) -> Square:
        return left @ right


@is_commutative.register
def _(monoid: MatMul) -> bool:
    return monoid.n == 1


@has_zero.register
def _(monoid: MatMul) -> bool:
    return True


@zero.register
def _(monoid: MatMul) -> Array:
    return jnp.zeros((monoid.n, monoid.n), monoid.dtype)


@tracks.register
def _(monoid: MatMul) -> Tracks:
    return matrix_tracks(monoid.n, monoid.dtype)


@group_in.register
def _(monoid: MatMul) -> tuple[Array, ...]:
    return tuple(jnp.asarray(g) for g in matrices(monoid.n, monoid.dtype))
