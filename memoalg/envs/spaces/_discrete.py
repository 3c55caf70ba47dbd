"""The space {0, ..., n-1}."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float, Int, PRNGKeyArray, PyTree

from ._space import AbstractSpace, outside


@dataclasses.dataclass(frozen=True)
class Discrete(AbstractSpace):
    """The integers 0, ..., n-1, as an int32 scalar.

    Args:
        n: how many values, at least 1.

    Raises:
        ValueError: `n` is not a positive int.

    Example:
        >>> from memoalg.envs import Discrete
        >>> Discrete(4).flatten(2).tolist()
        [0.0, 0.0, 1.0, 0.0]
    """

    n: int

    def __post_init__(self):
        object.__setattr__(self, "n", positive_int(self.n, "Discrete(n)"))

    @property
    def shape(self) -> tuple[int, ...]:
        """`()`."""
        return ()

    @property
    def dtype(self) -> np.dtype:
        """int32, with x64 on or off."""
        return np.dtype(np.int32)

    def sample(self, key: PRNGKeyArray) -> Int[Array, ""]:
        """Draw uniformly."""
        return jax.random.randint(key, (), 0, self.n, jnp.int32)

    def contains(self, x: PyTree) -> Bool[Array, ""]:
        """Say whether `x` is an integer scalar in range."""
        if not is_integer_array(x, ()):
            return outside()
        x = jnp.asarray(x)
        return (x >= 0) & (x < self.n)

    def null(self) -> Int[Array, ""]:
        """0."""
        return jnp.zeros((), jnp.int32)

    def flatten(self, x: PyTree[ArrayLike]) -> Float[Array, " n"]:
        """One-hot."""
        return jax.nn.one_hot(x, self.n, dtype=float)

    @property
    def flat_size(self) -> int:
        """`n`."""
        return self.n

    def flat_bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """0 and 1."""
        return np.zeros(self.n), np.ones(self.n)


def positive_int(value: object, what: str) -> int:
    """Return `value` as an int, or raise a ValueError that says what was expected."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{what} takes a positive int, got {value!r}")
    return int(value)


def is_integer_array(x: Any, shape: tuple[int, ...]) -> bool:
    """Whether `x` is an array (or a number) of this shape with an integer dtype."""
    if not isinstance(x, int | np.integer | np.ndarray | jax.Array):
        return False
    if isinstance(x, int) and not -(2**31) <= x < 2**31:
        return False
    return jnp.shape(x) == shape and jnp.issubdtype(jnp.result_type(x), jnp.integer)
