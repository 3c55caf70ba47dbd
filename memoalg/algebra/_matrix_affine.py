"""The monoid of affine maps of vectors."""

from jaxtyping import Array

from .._typing import DTypeLike
from ._action_matrix import matvec
from ._add import Add
from ._dual import Dual
from ._mat_mul import MatMul
from ._semidirect import SemidirectProduct


def MatrixAffine(
    n: int, dtype: DTypeLike | None = None, columns: int | None = None
) -> SemidirectProduct[Array, Array]:
    r"""The monoid of maps $h \mapsto A h + b$ with dense A: every linear recurrence.

    $$(A, b) \bullet (A', b') = (A' A,\; A' b + b'), \qquad e = (I, 0), \qquad
      s \cdot (A, b) = A s + b.$$

    It is `SemidirectProduct(Dual(MatMul(n)), Add(n), matvec)`, spelled once.

    Hazard: a parallel scan multiplies matrices, $n^3$ a step where the loop needs $n^2$, and grows
    like powers of the spectral radius. Where A can be diagonalised, take [`memoalg.Affine`][].

    Arguments:
        n: length of h and b; A is (n, n).
        dtype: of all of them; None is the default float.
        columns: h and b are (n, columns), one memory per column with a common A; None: they are (n,).

    Returns:
        The semidirect product.

    Raises:
        ValueError: where n is not a positive int.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> shear = ma.Fixed(jnp.array([[1.0, 1.0], [0.0, 1.0]]))  # position and velocity
        >>> push = jnp.zeros((3, 2)).at[0, 1].set(1.0)
        >>> last, states = ma.trajectory(ma.MatrixAffine(2), jnp.zeros(2), (shear, push), None)
        >>> print(states)
        [[0. 1.]
         [1. 1.]
         [2. 1.]]
    """
    shape = (n,) if columns is None else (n, columns)
    return SemidirectProduct(Dual(MatMul(n, dtype)), Add(shape, dtype), matvec)
