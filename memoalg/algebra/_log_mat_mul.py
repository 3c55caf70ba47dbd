"""The monoid of matrix products in log space."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._typing import DTypeLike
from ._finite_groups import permutation_matrices, permutation_tracks
from ._ground import fixed_dtype, require_real_floating
from ._inverse import group_in, has_zero, zero
from ._matrix import require_size
from ._max_plus import log_eye, path_scores
from ._monoid import AbstractMonoid
from ._traits import Tracks, is_commutative, tracks

Square = Float[Array, "n n"]


class LogMatMul(AbstractMonoid[Square]):
    r"""Products of non-negative matrices, given by their logarithms (hidden Markov models, CRFs).

    $$(x \bullet y)_{ij} = \log \sum_k \exp(x_{ik} + y_{kj}), \qquad
      e_{ij} = 0 \text{ if } i = j \text{ else } -\infty.$$

    Hazard: the cheap form, `log(exp(x - rowmax) @ exp(y - colmax))`, underflows where the best path
    uses neither maximum: then even $e \bullet x \ne x$, for columns that span more than 87 in float32
    and 17 in float16. Here every entry is shifted by its own largest term. An entry that is the
    logarithm of zero stays $-\infty$ and has the gradient zero, by a double select.

    Arguments:
        n: rows and columns.
        dtype: real floating; None is the default float, fixed at construction.

    Raises:
        ValueError: where n is not a positive int, or for a dtype without infinity.

    Source: Hassan, Särkkä and García-Fernández, Temporal Parallelization of Inference in Hidden
    Markov Models (arXiv 2102.05743), section III.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> step = jnp.log(jnp.array([[0.5, 0.5], [0.0, 1.0]]))
        >>> twice = jnp.exp(ma.LogMatMul(2).combine(step, step))
        >>> print(*(f"{x:.2f}" for x in twice.ravel()))
        0.25 0.75 0.00 1.00
    """

    n: int = eqx.field(static=True)
    dtype: np.dtype = eqx.field(static=True)

    def __init__(self, n: int, dtype: DTypeLike | None = None):
        require_size("LogMatMul", "n", n)
        self.n, self.dtype = n, fixed_dtype(dtype)
        require_real_floating("LogMatMul", self.dtype)

    def identity(self) -> Square:
        return log_eye(self.n, self.dtype)

    def combine(self, left: Square, right: Square) -> Square:
        return log_sum(path_scores(left, right), axis=1)


def log_sum(terms: Float[Array, "*shape"], axis: int) -> Float[Array, "*rest"]:
    """The logarithm of the sum of exponentials along an axis; where all are -inf: -inf, gradient zero."""
    largest = jax.lax.stop_gradient(terms.max(axis, keepdims=True))
    empty = jnp.isneginf(largest)
    # An infinite shift would make inf - inf, and log(0) an infinite slope: both are selected away.
    shift = jnp.where(jnp.isfinite(largest), largest, jnp.zeros_like(largest))
    total = jnp.exp(terms - jnp.broadcast_to(shift, terms.shape)).sum(axis, keepdims=True)
    safe = jnp.where(empty, jnp.ones_like(total), total)
    return jnp.where(empty, largest, jnp.log(safe) + shift).squeeze(axis)


@is_commutative.register
def _(monoid: LogMatMul) -> bool:
    return monoid.n == 1


@has_zero.register
def _(monoid: LogMatMul) -> bool:
    return True


@zero.register
def _(monoid: LogMatMul) -> Array:
    return jnp.full((monoid.n, monoid.n), -jnp.inf, monoid.dtype)


@tracks.register
def _(monoid: LogMatMul) -> Tracks:
    return permutation_tracks(monoid.n)


@group_in.register
def _(monoid: LogMatMul) -> tuple[Array, ...]:
    generators = permutation_matrices(monoid.n, 0.0, -np.inf)
    return tuple(jnp.asarray(g, monoid.dtype) for g in generators)
