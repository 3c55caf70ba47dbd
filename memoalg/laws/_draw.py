"""Drawing what a monoid may meet: varied generators, per class.

Elements must be *reachable*: what an `encode` can produce, not random numbers in the shape of an
element. `draw` is open: a class whose elements obey a condition (a permutation, a probability, a
flag with a value) registers how it is drawn.
"""

import functools
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from ..algebra import AbstractSemigroup

KINDS = ("normal", "zero", "large", "tiny", "one-hot", "repeated")
"""What a row of numbers may look like. Every kind is met by some encoder on some day."""


class Source:
    """Rows of varied numbers, the same for the same seed.

    Arguments:
        seed: of the generator.
        count: rows; the leading axis of everything drawn.
        exact: small whole numbers only, so that sums and products are exact in floating point and
            laws can be compared bit for bit.
        mild: normal rows only, for tests that compare long runs.
    """

    def __init__(self, seed: int, count: int, *, exact: bool = False, mild: bool = False):
        self.rng = np.random.default_rng(seed)
        self.count, self.exact, self.mild = count, exact, mild

    def real(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Real numbers (count, *shape) of every kind; complex where the dtype is."""
        if np.issubdtype(dtype, np.complexfloating):
            return (self._rows(shape) + 1j * self._rows(shape)).astype(dtype)
        return self._rows(shape).astype(dtype)

    def positive(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Real numbers above zero."""
        return np.maximum(np.abs(self._rows(shape)), 1.0 if self.exact else 1e-3).astype(dtype)

    def unit(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Gates and decays: in [0, 1], both ends included; zero and one only where `exact`."""
        gates = np.clip(self.rng.uniform(-0.1, 1.1, (self.count, *shape)), 0.0, 1.0)
        return (np.round(gates) if self.exact else gates).astype(dtype)

    def integers(
        self, shape: tuple[int, ...], dtype: np.dtype, low: int = 0, high: int = 5
    ) -> np.ndarray:
        """Whole numbers in [low, high)."""
        return self.rng.integers(low, high, (self.count, *shape)).astype(dtype)

    def flags(self, shape: tuple[int, ...] = (), probability: float = 0.3) -> np.ndarray:
        """Bools, true with the given probability."""
        return self.rng.random((self.count, *shape)) < probability

    def _rows(self, shape: tuple[int, ...]) -> np.ndarray:
        if self.exact:
            return self.rng.integers(-3, 4, (self.count, *shape)).astype(float)
        rows = self.rng.normal(size=(self.count, *shape))
        if not self.mild:
            for row in range(self.count):
                rows[row] = _shaped(np.asarray(rows[row]), KINDS[row % len(KINDS)])
        return rows


def _shaped(row: np.ndarray, kind: str) -> np.ndarray:
    if kind == "zero":
        return np.zeros_like(row)
    if kind == "large":
        return np.asarray(100.0 * row)
    if kind == "tiny":
        return np.asarray(1e-3 * row)
    if kind == "one-hot":
        hot = np.zeros_like(row)
        hot.reshape(-1)[:1] = 1.0
        return hot
    if kind == "repeated":
        return np.full_like(row, row.reshape(-1)[0] if row.size else 0.0)
    return row


@functools.singledispatch
def draw(monoid: AbstractSemigroup, source: Source) -> PyTree[Any]:
    """Generators of a monoid, as numpy arrays with a leading axis of `source.count`.

    Default: by the dtypes of the element's leaves. Register a class whose generators are no such
    numbers: `ma.laws.draw.register`.
    """
    return jax.tree.map(functools.partial(_draw_leaf, source), monoid.element)


def _draw_leaf(source: Source, leaf: Any) -> np.ndarray:
    if leaf.dtype == np.bool_:
        return source.flags(leaf.shape)
    if np.issubdtype(leaf.dtype, np.integer):
        return source.integers(leaf.shape, leaf.dtype)
    return source.real(leaf.shape, leaf.dtype)
