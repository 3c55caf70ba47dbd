"""A product of spaces, by position."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float, PRNGKeyArray, PyTree

from ._space import AbstractSpace, outside


@dataclasses.dataclass(frozen=True)
class Tuple(AbstractSpace):
    """Tuples whose i-th entry is from the i-th space.

    Args:
        spaces: the spaces, at least one.

    Raises:
        TypeError: an entry is not a space.
        ValueError: there are no spaces.

    Example:
        >>> from memoalg.envs import Discrete, Tuple
        >>> Tuple((Discrete(2), Discrete(3))).flatten((1, 2)).tolist()
        [0.0, 1.0, 0.0, 0.0, 1.0]
    """

    spaces: tuple[AbstractSpace, ...]

    def __post_init__(self):
        object.__setattr__(self, "spaces", tuple(self.spaces))
        check_spaces(self.spaces, "Tuple")

    def sample(self, key: PRNGKeyArray) -> tuple:
        """Draw every entry independently."""
        keys = jax.random.split(key, len(self.spaces))
        return tuple(space.sample(keys[i]) for i, space in enumerate(self.spaces))

    def contains(self, x: PyTree) -> Bool[Array, ""]:
        """Say whether `x` is a tuple of the right length with every entry in its space."""
        if not isinstance(x, tuple) or len(x) != len(self.spaces):
            return outside()
        return jnp.all(jnp.stack([s.contains(v) for s, v in zip(self.spaces, x, strict=True)]))

    def null(self) -> tuple:
        """Every entry's neutral value."""
        return tuple(space.null() for space in self.spaces)

    def flatten(self, x: PyTree[ArrayLike]) -> Float[Array, " flat_size"]:
        """The entries' encodings, concatenated."""
        return jnp.concatenate([s.flatten(v) for s, v in zip(self.spaces, x, strict=True)])

    @property
    def flat_size(self) -> int:
        """The sum of the entries'."""
        return sum(space.flat_size for space in self.spaces)

    def flat_bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """The entries', concatenated."""
        return concatenate_bounds(self.spaces)


def check_spaces(spaces: tuple, what: str) -> None:
    """Raise where there are no spaces, or something is not a space."""
    if not spaces:
        raise ValueError(f"{what} takes at least one space, got none")
    for space in spaces:
        if not isinstance(space, AbstractSpace):
            raise TypeError(
                f"{what} takes spaces (Discrete, MultiDiscrete, Box, Tuple, Dict), got {space!r}"
            )


def concatenate_bounds(spaces: tuple[AbstractSpace, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The flat bounds of several spaces, one after the other."""
    bounds = [space.flat_bounds() for space in spaces]
    return np.concatenate([low for low, _ in bounds]), np.concatenate([high for _, high in bounds])
