"""Arrays of numbers between bounds."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float, PRNGKeyArray, PyTree

from ._space import AbstractSpace, outside


@dataclasses.dataclass(frozen=True, init=False, eq=False, repr=False)
class Box(AbstractSpace):
    """Arrays x of one shape with low <= x <= high, entry by entry.

    Args:
        low: lower bounds, a number or an array that broadcasts to `shape`; -inf is allowed.
        high: upper bounds, likewise.
        shape: the shape of a value; None takes it from the bounds.
        dtype: the dtype of a value; None means the default float at construction.

    Raises:
        ValueError: the bounds do not broadcast to `shape`, or some low is above its high.

    Example:
        >>> from memoalg.envs import Box
        >>> Box(-1.0, 1.0, (2,)).null().tolist()
        [0.0, 0.0]
    """

    low: np.ndarray
    high: np.ndarray
    shape: tuple[int, ...]
    dtype: np.dtype

    def __init__(
        self,
        low: ArrayLike,
        high: ArrayLike,
        shape: tuple[int, ...] | None = None,
        dtype: Any = None,
    ):
        low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
        if shape is None:
            shape = np.broadcast_shapes(low.shape, high.shape)
        fields = {
            "shape": tuple(shape),
            "dtype": np.dtype(jnp.result_type(float) if dtype is None else dtype),
            "low": _bound(low, tuple(shape), "low"),
            "high": _bound(high, tuple(shape), "high"),
        }
        if not np.all(fields["low"] <= fields["high"]):
            raise ValueError(f"Box takes low <= high in every entry, got low={low}, high={high}")
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Box) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple:
        return self.shape, self.dtype, self.low.tobytes(), self.high.tobytes()

    def __repr__(self) -> str:
        low, high = _bound_text(self.low), _bound_text(self.high)
        return f"Box(low={low}, high={high}, shape={self.shape}, dtype={self.dtype.name})"

    def sample(self, key: PRNGKeyArray) -> Array:
        """Draw uniformly; a half-bounded entry is the bound plus or minus an exponential, an
        unbounded one is normal (as gymnasium draws)."""
        if np.issubdtype(self.dtype, np.integer):
            # Both ends are in the space; randint's upper end is not.
            low, high = self.low.astype(np.int32), self.high.astype(np.int32)
            return jax.random.randint(key, self.shape, low, high + 1).astype(self.dtype)
        finite_low, finite_high = np.isfinite(self.low), np.isfinite(self.high)
        low = np.where(finite_low, self.low, 0).astype(self.dtype)
        high = np.where(finite_high, self.high, 0).astype(self.dtype)
        if np.all(finite_low & finite_high):
            return jax.random.uniform(key, self.shape, self.dtype, low, high)
        key_uniform, key_normal, key_tail = jax.random.split(key, 3)
        both = jax.random.uniform(key_uniform, self.shape, self.dtype, low, np.maximum(low, high))
        tail = jax.random.exponential(key_tail, self.shape, self.dtype)
        one_sided = jnp.where(finite_low, low + tail, high - tail)
        unbounded = jax.random.normal(key_normal, self.shape, self.dtype)
        value = jnp.where(finite_low | finite_high, one_sided, unbounded)
        return jnp.where(finite_low & finite_high, both, value)

    def contains(self, x: PyTree) -> Bool[Array, ""]:
        """Say whether `x` has this shape, a dtype that casts to this one, and is within bounds."""
        if not isinstance(x, int | float | np.generic | np.ndarray | jax.Array):
            return outside()
        if isinstance(x, np.ndarray | np.generic) and x.dtype.kind not in "biuf":
            return outside()
        x = jnp.asarray(x)
        if x.shape != self.shape or not np.can_cast(x.dtype, self.dtype):
            return outside()
        x = x.astype(self.dtype)
        return jnp.all((x >= self.low.astype(self.dtype)) & (x <= self.high.astype(self.dtype)))

    def null(self) -> Array:
        """Zeros where every entry may be zero, else `low`."""
        if np.all((self.low <= 0) & (self.high >= 0)):
            return jnp.zeros(self.shape, self.dtype)
        return jnp.asarray(self.low, self.dtype)

    def flatten(self, x: PyTree[ArrayLike]) -> Float[Array, " flat_size"]:
        """The entries in row-major order, as default floats."""
        return jnp.reshape(jnp.asarray(x), (self.flat_size,)).astype(float)

    @property
    def flat_size(self) -> int:
        """The number of entries."""
        return math.prod(self.shape)

    def flat_bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """`low` and `high` in row-major order."""
        return self.low.reshape(-1), self.high.reshape(-1)


def _bound(bound: np.ndarray, shape: tuple[int, ...], what: str) -> np.ndarray:
    try:
        full = np.broadcast_to(bound, shape).copy()
    except ValueError:
        raise ValueError(
            f"Box({what}=...) has shape {bound.shape}, which does not broadcast to {shape}"
        ) from None
    full.setflags(write=False)
    return full


def _bound_text(bound: np.ndarray) -> str:
    if bound.size and np.all(bound == bound.flat[0]):
        return f"{bound.flat[0]:g}"
    return np.array2string(bound, precision=4, threshold=6)
