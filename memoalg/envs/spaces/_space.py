"""What every space can do."""

import abc

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float, PRNGKeyArray, PyTree


class AbstractSpace(abc.ABC):
    """A set of values: what an environment may show, or what an agent may do.

    Spaces are frozen, hashable and compare by value; they are descriptions and no pytrees. The
    order and the encoding of `flatten` are those of `gymnasium.spaces.flatten`.
    """

    @abc.abstractmethod
    def sample(self, key: PRNGKeyArray) -> PyTree[Array]:
        """Draw a value uniformly (from an unbounded side: see `Box`)."""

    @abc.abstractmethod
    def contains(self, x: PyTree) -> Bool[Array, ""]:
        """Say whether `x` has this space's structure, shape and kind of dtype, and is in range."""

    @abc.abstractmethod
    def null(self) -> PyTree[Array]:
        """The neutral value: zero where zero is in the space, else the lower bound."""

    @abc.abstractmethod
    def flatten(self, x: PyTree[ArrayLike]) -> Float[Array, " flat_size"]:
        """Encode a value as a vector of default floats; discrete parts are one-hot."""

    @property
    @abc.abstractmethod
    def flat_size(self) -> int:
        """The length of `flatten(x)`."""

    @abc.abstractmethod
    def flat_bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """The lower and the upper bounds of `flatten(x)`, each of shape `(flat_size,)`."""


def outside() -> Bool[Array, ""]:
    """The answer of `contains` where structure, shape or dtype already say no."""
    return jnp.zeros((), bool)
