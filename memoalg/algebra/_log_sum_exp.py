"""The monoid of sums, kept as logarithms."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._typing import DTypeLike, Shape, as_shape
from ._ground import fixed_dtype, require_real_floating
from ._inverse import has_zero, zero
from ._monoid import AbstractMonoid
from ._traits import is_commutative, is_elementwise


class LogSumExp(AbstractMonoid[Array]):
    r"""Elementwise $x \bullet y = \log(e^x + e^y)$, identity $-\infty$; commutative.

    The logarithm of a sum of positive numbers that are given by their logarithms: a soft maximum.

    Hazard: $e^x$ overflows; and with the maximum taken out, $-\infty - (-\infty)$ is NaN, in value or in
    gradient, also in `jnp.logaddexp`. The stable form is
    $\max(x, y) + \log(1 + e^{-|x - y|})$, whose difference is selected away where the result is
    infinite, before and after (the double where). There the gradient is 0: moving an operand a
    little does not move an infinity. NaN is kept.

    Arguments:
        shape: of one element; `4` means `(4,)`.
        dtype: real floating; None is the default float, fixed at construction.

    Raises:
        ValueError: for an integer, bool or complex dtype.

    Source: the shifted form of Blanchard, Higham and Higham, Accurately computing the log-sum-exp
    and softmax functions (IMA Journal of Numerical Analysis, 2021), for two terms.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> print(ma.fold(ma.LogSumExp(), jnp.log(jnp.array([1.0, 2.0, 5.0]))).round(4))
        2.0794
        >>> print(ma.LogSumExp().combine(jnp.float32(1000), jnp.float32(-1000)))
        1000.0
    """

    shape: tuple[int, ...] = eqx.field(static=True)
    dtype: np.dtype = eqx.field(static=True)

    def __init__(self, shape: Shape = (), dtype: DTypeLike | None = None):
        self.shape = as_shape(shape)
        self.dtype = fixed_dtype(dtype)

    def __check_init__(self) -> None:
        require_real_floating("LogSumExp", self.dtype)

    def identity(self) -> Array:
        return jnp.full(self.shape, -jnp.inf, self.dtype)

    def combine(self, left: Array, right: Array) -> Array:
        # Two selects and not max and -|x - y|: those have wrong second derivatives at ties.
        right_is_larger = right > left
        high = jnp.where(right_is_larger, right, left)
        low = jnp.where(right_is_larger, left, right)
        # jnp.maximum, because a comparison loses NaN.
        largest = jax.lax.stop_gradient(jnp.maximum(left, right))
        infinite = jnp.isinf(largest)
        nothing = jnp.zeros_like(high)
        safe_high = jnp.where(infinite, nothing, high)
        safe_low = jnp.where(infinite, nothing, low)
        finite = safe_high + jnp.log1p(jnp.exp(safe_low - safe_high))
        return jnp.where(infinite, largest, finite)


@is_commutative.register
def _(monoid: LogSumExp) -> bool:
    return True


@is_elementwise.register
def _(monoid: LogSumExp) -> bool:
    return True


@has_zero.register
def _(monoid: LogSumExp) -> bool:
    return True


@zero.register
def _(monoid: LogSumExp) -> Array:
    return jnp.full(monoid.shape, jnp.inf, monoid.dtype)
