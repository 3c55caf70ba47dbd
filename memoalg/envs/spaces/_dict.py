"""A product of spaces, by name."""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float, PRNGKeyArray, PyTree

from ._space import AbstractSpace, outside
from ._tuple import check_spaces, concatenate_bounds


@dataclasses.dataclass(frozen=True, init=False)
class Dict(AbstractSpace):
    """Dicts whose value under each key is from the space under that key; keys are sorted.

    Args:
        spaces: the spaces by key, at least one. Keys are strings.

    Raises:
        TypeError: a key is not a string, or a value is not a space.
        ValueError: there are no spaces.

    Example:
        >>> from memoalg.envs import Dict, Discrete
        >>> Dict({"b": Discrete(2), "a": Discrete(3)}).flatten({"a": 0, "b": 1}).tolist()
        [1.0, 0.0, 0.0, 0.0, 1.0]
    """

    entries: tuple[tuple[str, AbstractSpace], ...]

    def __init__(self, spaces: Mapping[str, AbstractSpace]):
        if not all(isinstance(name, str) for name in spaces):
            raise TypeError(f"Dict takes strings as keys, got {list(spaces)}")
        items = tuple(sorted(spaces.items()))
        check_spaces(tuple(space for _, space in items), "Dict")
        object.__setattr__(self, "entries", items)

    @property
    def spaces(self) -> dict[str, AbstractSpace]:
        """The spaces by key, in sorted order."""
        return dict(self.entries)

    def sample(self, key: PRNGKeyArray) -> dict:
        """Draw every entry independently."""
        keys = jax.random.split(key, len(self.entries))
        return {name: space.sample(keys[i]) for i, (name, space) in enumerate(self.entries)}

    def contains(self, x: PyTree) -> Bool[Array, ""]:
        """Say whether `x` is a dict with these keys and every value in its space."""
        if not isinstance(x, dict) or set(x) != set(self.spaces):
            return outside()
        return jnp.all(jnp.stack([space.contains(x[name]) for name, space in self.entries]))

    def null(self) -> dict:
        """Every entry's neutral value."""
        return {name: space.null() for name, space in self.entries}

    def flatten(self, x: PyTree[ArrayLike]) -> Float[Array, " flat_size"]:
        """The entries' encodings in the order of the sorted keys, concatenated."""
        return jnp.concatenate([space.flatten(x[name]) for name, space in self.entries])

    @property
    def flat_size(self) -> int:
        """The sum of the entries'."""
        return sum(space.flat_size for _, space in self.entries)

    def flat_bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """The entries' in the order of the sorted keys, concatenated."""
        return concatenate_bounds(tuple(space for _, space in self.entries))
