"""The monoid of means and variances."""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from .._typing import DTypeLike, Shape, as_shape, common_dtype
from ._ground import fixed_dtype, require_real_floating
from ._monoid import AbstractMonoid
from ._traits import is_commutative

State = tuple[Float[Array, ""], Float[Array, "..."], Float[Array, "..."]]


class MomentsRead(NamedTuple):
    """What [`memoalg.Moments`][] answers: `count` (), `mean` and `variance` of the observations' shape.

    The variance is the population's, divided by the count; where nothing was seen all three are 0.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> read = ma.MomentsRead(jnp.float32(2), jnp.float32(1), jnp.float32(4))
        >>> print((jnp.float32(5) - read.mean) / jnp.sqrt(read.variance))
        2.0
    """

    count: Array
    mean: Array
    variance: Array


class Moments(AbstractMonoid[State]):
    r"""Count, mean and sum of squared deviations of the observations so far; commutative.

    $$(n, \mu, S) \bullet (n', \mu', S') = \left(n + n',\; \mu + \tfrac{n'}{n + n'} \delta,\;
      S + S' + \tfrac{n n'}{n + n'} \delta^2\right), \quad \delta = \mu' - \mu, \qquad e = (0, 0, 0).$$

    A *generator* is one observation $x$, of `shape` and `dtype`: `expand` makes $(1, x, 0)$ of it, and
    `advance` is Welford's step. With a query, any, [`memoalg.trajectory`][] returns a
    [`memoalg.MomentsRead`][] per step; without, the states.

    Hazard: $\sum x^2 - (\sum x)^2 / n$ cancels, and half precision stagnates and overflows: the state
    is float32 for bfloat16 and float16 observations. Where one side is empty, the other is taken as
    it is, and the weight $n' / (n + n')$ is never formed. The count is kept in the state's dtype, so
    with float32 it stops at 16,777,216 steps: from there on the mean is a moving one.

    There is one counter for all entries, so it is not elementwise; for a counter per entry write
    `Power(Moments(), n)`.

    Arguments:
        shape: of an observation; `4` means `(4,)`.
        dtype: of an observation, real floating; None is the default float, fixed at construction.

    Raises:
        ValueError: for an integer, bool or complex dtype.

    Source: Chan, Golub, LeVeque, Updating formulae and a pairwise algorithm for computing sample
    variances (1979), equations 2.1; Welford, Technometrics 4 (1962).

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> m, xs = ma.Moments(), jnp.array([1.0, 3.0, 5.0])
        >>> last, reads = ma.trajectory(m, m.initial_state(), xs, None, queries=xs)
        >>> print(reads.mean, reads.variance.round(4))
        [1. 2. 3.] [0.     1.     2.6667]
    """

    shape: tuple[int, ...] = eqx.field(static=True)
    dtype: np.dtype = eqx.field(static=True)

    def __init__(self, shape: Shape = (), dtype: DTypeLike | None = None):
        self.shape = as_shape(shape)
        self.dtype = fixed_dtype(dtype)

    def __check_init__(self) -> None:
        require_real_floating("Moments", self.dtype)

    @property
    def _state_dtype(self) -> np.dtype:
        return common_dtype(self.dtype, jnp.float32)

    def identity(self) -> State:
        nothing = jnp.zeros(self.shape, self._state_dtype)
        return jnp.zeros((), self._state_dtype), nothing, nothing

    def combine(self, left: State, right: State) -> State:
        (n, mean, deviations), (n_later, mean_later, deviations_later) = left, right
        count = n + n_later
        both = (n > 0) & (n_later > 0)
        weight = jnp.where(both, n_later, 0) / jnp.where(both, count, 1)
        # The difference is selected too: 0 * inf would be NaN, in value and in gradient.
        delta = jnp.where(both, mean_later - mean, 0)
        merged = jnp.where(n > 0, mean, mean_later) + delta * weight
        return count, merged, deviations + deviations_later + delta * (n * weight) * delta

    def expand(self, generator: Float[Array, "..."]) -> State:
        mean = generator.astype(self._state_dtype)
        return jnp.ones((), self._state_dtype), mean, jnp.zeros_like(mean)

    def advance(self, state: State, generator: Float[Array, "..."]) -> State:
        n, mean, deviations = state
        count = n + 1
        delta = generator.astype(self._state_dtype) - mean
        return count, mean + delta / count, deviations + delta * (n / count) * delta

    def read(self, state: State, query: PyTree) -> MomentsRead:
        del query
        n, mean, deviations = state
        # Where n is 0 the deviations are 0 too.
        return MomentsRead(n, mean, deviations / jnp.maximum(n, 1))


@is_commutative.register
def _(monoid: Moments) -> bool:
    return True
