"""A vector of independent discrete values."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float, Int, PRNGKeyArray, PyTree

from ._discrete import is_integer_array, positive_int
from ._space import AbstractSpace, outside


@dataclasses.dataclass(frozen=True)
class MultiDiscrete(AbstractSpace):
    """Vectors whose i-th entry is in 0, ..., nvec[i]-1, as int32 of shape `(len(nvec),)`.

    Args:
        nvec: how many values each entry has.

    Raises:
        ValueError: `nvec` is empty, or an entry is not a positive int.

    Example:
        >>> import jax.numpy as jnp
        >>> from memoalg.envs import MultiDiscrete
        >>> MultiDiscrete((2, 3)).flatten(jnp.array([1, 0])).tolist()
        [0.0, 1.0, 1.0, 0.0, 0.0]
    """

    nvec: tuple[int, ...]

    def __post_init__(self):
        sizes = tuple(positive_int(n, "MultiDiscrete(nvec): every entry") for n in self.nvec)
        if not sizes:
            raise ValueError("MultiDiscrete(nvec) takes at least one entry, got none")
        object.__setattr__(self, "nvec", sizes)

    @property
    def shape(self) -> tuple[int, ...]:
        """`(len(nvec),)`."""
        return (len(self.nvec),)

    @property
    def dtype(self) -> np.dtype:
        """int32, with x64 on or off."""
        return np.dtype(np.int32)

    def sample(self, key: PRNGKeyArray) -> Int[Array, " entries"]:
        """Draw uniformly."""
        return jax.random.randint(key, self.shape, 0, jnp.array(self.nvec, jnp.int32), jnp.int32)

    def contains(self, x: PyTree) -> Bool[Array, ""]:
        """Say whether `x` is an integer vector of the right length with every entry in range."""
        if not is_integer_array(x, self.shape):
            return outside()
        # Above 32 bits is outside; a smaller dtype than the sizes need is no reason to be.
        x = jnp.asarray(np.clip(x, -1, 2**31 - 1) if isinstance(x, np.ndarray) else x)
        return jnp.all((x >= 0) & (x.astype(jnp.int32) < jnp.array(self.nvec, jnp.int32)))

    def null(self) -> Int[Array, " entries"]:
        """Zeros."""
        return jnp.zeros(self.shape, jnp.int32)

    def flatten(self, x: PyTree[ArrayLike]) -> Float[Array, " flat_size"]:
        """One one-hot vector per entry, concatenated."""
        entries = jnp.asarray(x)
        return jnp.concatenate(
            [jax.nn.one_hot(entries[i], n, dtype=float) for i, n in enumerate(self.nvec)]
        )

    @property
    def flat_size(self) -> int:
        """The sum of `nvec`."""
        return sum(self.nvec)

    def flat_bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """0 and 1."""
        return np.zeros(self.flat_size), np.ones(self.flat_size)
