"""The monoid of tropical matrix products."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._typing import DTypeLike
from ._finite_groups import permutation_matrices, permutation_tracks
from ._ground import fixed_dtype, require_real_floating
from ._inverse import group_in, has_zero, zero
from ._matrix import require_size
from ._monoid import AbstractMonoid
from ._traits import Tracks, is_commutative, tracks

Square = Float[Array, "n n"]


class MaxPlus(AbstractMonoid[Square]):
    r"""Matrix products in which + is max and × is +: best scores of paths (Viterbi).

    $$(x \bullet y)_{ij} = \max_k\,(x_{ik} + y_{kj}), \qquad
      e_{ij} = 0 \text{ if } i = j \text{ else } -\infty.$$

    `x[i, j]` is the score of going from i to j; $-\infty$ forbids it, whatever the other score is:
    $-\infty + \infty = -\infty$ here, by a select.

    Hazard: an entry without a path is $-\infty$; it has the gradient zero. The product forms $n^3$
    sums, of which a GPU may keep all in memory.

    Arguments:
        n: rows and columns.
        dtype: real floating; None is the default float, fixed at construction.

    Raises:
        ValueError: where n is not a positive int, or for a dtype without infinity.

    Source: Hassan, Särkkä and García-Fernández, Temporal Parallelization of Inference in Hidden
    Markov Models (arXiv 2102.05743), section IV.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> step = jnp.array([[0.0, -1.0], [-3.0, 0.0]])
        >>> print(ma.MaxPlus(2).combine(step, step))
        [[ 0. -1.]
         [-3.  0.]]
    """

    n: int = eqx.field(static=True)
    dtype: np.dtype = eqx.field(static=True)

    def __init__(self, n: int, dtype: DTypeLike | None = None):
        require_size("MaxPlus", "n", n)
        self.n, self.dtype = n, fixed_dtype(dtype)
        require_real_floating("MaxPlus", self.dtype)

    def identity(self) -> Square:
        return log_eye(self.n, self.dtype)

    def combine(self, left: Square, right: Square) -> Square:
        return path_scores(left, right).max(axis=1)


def log_eye(n: int, dtype: np.dtype) -> Square:
    """The logarithm of the identity matrix."""
    return jnp.where(jnp.eye(n, dtype=bool), jnp.zeros((), dtype), jnp.full((), -jnp.inf, dtype))


def path_scores(left: Float[Array, "i k"], right: Float[Array, "k j"]) -> Float[Array, "i k j"]:
    r"""$x_{ik} + y_{kj}$ at (i, k, j), with the strict zero $-\infty + y = -\infty$."""
    x, y = jnp.broadcast_arrays(left[:, :, None], right[None, :, :])
    forbidden = jnp.isneginf(x) | jnp.isneginf(y)
    return jnp.where(forbidden, jnp.full((), -jnp.inf, x.dtype), x + y)


@is_commutative.register
def _(monoid: MaxPlus) -> bool:
    return monoid.n == 1


@has_zero.register
def _(monoid: MaxPlus) -> bool:
    return True


@zero.register
def _(monoid: MaxPlus) -> Array:
    return jnp.full((monoid.n, monoid.n), -jnp.inf, monoid.dtype)


@tracks.register
def _(monoid: MaxPlus) -> Tracks:
    return permutation_tracks(monoid.n)


@group_in.register
def _(monoid: MaxPlus) -> tuple[Array, ...]:
    generators = permutation_matrices(monoid.n, 0.0, -np.inf)
    return tuple(jnp.asarray(g, monoid.dtype) for g in generators)
