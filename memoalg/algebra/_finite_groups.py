"""Generators of small finite groups: the witnesses of what matrices and maps can track.

Each pair (a, b) satisfies the relations in the table of [`memoalg.algebra.group_in`][]. Whole numbers
are used where they exist, so that the group is followed without rounding.
"""

import jax.numpy as jnp
import numpy as np

from ._traits import Tracks

_GOLDEN = (1 + np.sqrt(5)) / 2


def permutation_tracks(size: int) -> Tracks:
    """What the permutations of `size` things contain: nothing, a swap, a triangle, an icosahedron."""
    if size < 2:
        return Tracks.NOTHING
    if size == 2:
        return Tracks.ABELIAN
    return Tracks.SOLVABLE if size < 5 else Tracks.ANY


def permutations(size: int) -> tuple[np.ndarray, ...]:
    """Generators as maps, `a[i]` being the image of i."""
    if size < 2:
        return ()
    if size == 2:
        return (np.array([1, 0]),)
    images = ([1, 0], [1, 2, 0]) if size < 5 else ([1, 0, 3, 2], [2, 1, 4, 3, 0])
    return tuple(np.concatenate([image, np.arange(len(image), size)]) for image in images)


def permutation_matrices(size: int, one: float, other: float) -> tuple[np.ndarray, ...]:
    """The same as matrices with `one` at (i, a[i]) and `other` elsewhere."""
    rows = np.arange(size)
    return tuple(
        np.where(rows[None, :] == image[:, None], one, other) for image in permutations(size)
    )


def matrix_tracks(size: int, dtype: np.dtype) -> Tracks:
    """What square matrices contain; whole numbers have the icosahedral group from size 5 on only."""
    if size < 3:
        return Tracks(size)
    exact = not jnp.issubdtype(dtype, jnp.inexact)
    return Tracks.SOLVABLE if exact and size < 5 else Tracks.ANY


def matrices(size: int, dtype: np.dtype) -> tuple[np.ndarray, ...]:
    """Generators as matrices: orthogonal ones where the dtype is not whole; rotations from 3 on."""
    if size == 1:
        return (np.array([[-1]]).astype(dtype),)
    if size > 4:
        return tuple(matrix.astype(dtype) for matrix in permutation_matrices(size, 1, 0))
    if not jnp.issubdtype(dtype, jnp.inexact):
        blocks = _lattice_triangle()
    else:
        blocks = _triangle() if size == 2 else _icosahedron()
    return tuple(_padded(block, size).astype(dtype) for block in blocks)


def _triangle() -> tuple[np.ndarray, np.ndarray]:
    """A reflection and a rotation by 120 degrees."""
    half = np.sqrt(3) / 2
    return np.array([[1.0, 0.0], [0.0, -1.0]]), np.array([[-0.5, half], [-half, -0.5]])


def _lattice_triangle() -> tuple[np.ndarray, np.ndarray]:
    """The same symmetries in the coordinates of a triangular lattice."""
    return np.array([[0, 1], [1, 0]]), np.array([[0, -1], [1, -1]])


def _icosahedron() -> tuple[np.ndarray, np.ndarray]:
    """A half turn, and a turn by 120 degrees about the axis (0, 1 / golden, golden)."""
    g, h = _GOLDEN, 1 / _GOLDEN
    return np.diag([-1.0, -1.0, 1.0]), np.array([[-1, -g, h], [g, -h, 1], [-h, 1, g]]) / 2


def icosahedral_quaternions() -> tuple[np.ndarray, np.ndarray]:
    """Unit quaternions g of which s -> g s / g are the turns of `_icosahedron`."""
    return np.array([0.0, 0.0, 0.0, 1.0]), np.array([1.0, 0.0, 1 / _GOLDEN, _GOLDEN]) / 2


def _padded(block: np.ndarray, size: int) -> np.ndarray:
    matrix = np.eye(size)
    matrix[: len(block), : len(block)] = block
    return matrix
