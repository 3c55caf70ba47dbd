"""Matrices that act on sums: on the last axis from the right, on the first axis from the left."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from .._product import dense_product
from .._typing import common_dtype
from ._action import AbstractAction


class MatmulAction(AbstractAction):
    r"""$b \triangleleft A = b\,A$: the action of `MatMul(n)` on `Add((..., n))`, for row vectors.

    It contracts the *last* axis of every leaf of the base with one (n, n) matrix, and keeps the base's
    dtypes.

    Raises:
        TypeError: where a leaf has no last axis of length n, or is real and the matrix complex.
    """

    def __call__(self, base: PyTree, acting: PyTree) -> PyTree:
        matrix = _one_matrix("matmul", acting)

        def act(leaf: Array) -> Array:
            _check("matmul", "last", -1, leaf, matrix)
            return dense_product(leaf, matrix.T).astype(leaf.dtype)

        return jax.tree.map(act, base)


class MatvecAction(AbstractAction):
    r"""$b \triangleleft A = A\,b$: the action of `Dual(MatMul(n))` on `Add((n, ...))`, for columns.

    It contracts the *first* axis of every leaf of the base with one (n, n) matrix, and keeps the
    base's dtypes. The later matrix stands on the left, which is why it is the dual that acts.

    Raises:
        TypeError: where a leaf has no first axis of length n, or is real and the matrix complex.
    """

    def __call__(self, base: PyTree, acting: PyTree) -> PyTree:
        matrix = _one_matrix("matvec", acting)

        def act(leaf: Array) -> Array:
            _check("matvec", "first", 0, leaf, matrix)
            columns = jnp.moveaxis(leaf, 0, -1)
            return jnp.moveaxis(dense_product(columns, matrix), -1, 0).astype(leaf.dtype)

        return jax.tree.map(act, base)


matmul = MatmulAction()
"""The action of `MatMul` on row vectors: see `MatmulAction`."""

matvec = MatvecAction()
"""The action of `Dual(MatMul)` on columns: see `MatvecAction`."""


def _one_matrix(name: str, acting: PyTree) -> Any:
    leaves = jax.tree.leaves(acting)
    if len(leaves) != 1:
        raise TypeError(
            f"{name} acts with one matrix, but the acting element has {len(leaves)} leaves"
        )
    return leaves[0]


def _check(name: str, which: str, axis: int, leaf: Array, matrix: Array) -> None:
    square = matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1]
    if not square or leaf.ndim == 0 or leaf.shape[axis] != matrix.shape[0]:
        raise TypeError(
            f"{name} contracts the {which} axis of the base with an (n, n) matrix, but a matrix of "
            f"shape {matrix.shape} does not fit a base of shape {leaf.shape}"
        )
    dtype = common_dtype(leaf.dtype, matrix.dtype)
    if jnp.issubdtype(dtype, jnp.complexfloating) > jnp.issubdtype(leaf.dtype, jnp.complexfloating):
        raise TypeError(
            f"a {matrix.dtype.name} matrix cannot act on a {leaf.dtype.name} base: make the base complex"
        )
