"""The monoid that remembers the last few values: a frame stack."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int32, Shaped

from .._tree import tree_where
from .._typing import DTypeLike, Shape, as_shape
from ._buffer import filled, join, push
from ._ground import fixed_dtype
from ._monoid import AbstractMonoid

State = tuple[Shaped[Array, "..."], Int32[Array, ""]]


class Recent(AbstractMonoid[State]):
    r"""The last k values, newest last.

    $$(u, m) \bullet (v, n) = (\text{the last } k \text{ of } u_{-m:} \mathbin{\Vert} v_{-n:},\;
      \min(m + n, k)), \qquad e = (0, 0).$$

    An element, and a state, is `(values, count)`: values of shape `(k, *shape)`, right-aligned, and how
    many of them there are, an int32 that stops at k. A *generator* is one value, of `shape`: `expand`
    makes a buffer of it with count 1, and `advance` shifts it in. Before k values were met, the
    first slots are 0.

    Hazard: a buffer shared between episodes shows one episode's frames to the next: give `start` to
    [`memoalg.trajectory`][]. Slots that were not filled mean nothing, so elements are equal up to
    them: `canon` zeros them.

    Arguments:
        shape: of one value; `4` means `(4,)`, `()` a number.
        k: how many are remembered, at least 1.
        dtype: of the values, any; None is the default float, fixed at construction.

    Raises:
        ValueError: where k is not a positive int.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> m = ma.Recent((), k=2)
        >>> _, (values, count) = ma.trajectory(m, m.initial_state(), jnp.array([1.0, 2.0, 3.0]), None)
        >>> print(values, count)
        [[0. 1.]
         [1. 2.]
         [2. 3.]] [1 2 2]
    """

    shape: tuple[int, ...] = eqx.field(static=True)
    k: int = eqx.field(static=True)
    dtype: np.dtype = eqx.field(static=True)

    def __init__(self, shape: Shape, k: int, dtype: DTypeLike | None = None):
        self.shape = as_shape(shape)
        self.k = k
        self.dtype = fixed_dtype(dtype)

    def __check_init__(self) -> None:
        if not isinstance(self.k, int) or isinstance(self.k, bool) or self.k < 1:
            raise ValueError(
                f"Recent(shape, k) remembers k values: k is a positive int, got {self.k!r}; "
                "write for example ma.Recent(shape, k=4)"
            )

    def identity(self) -> State:
        return jnp.zeros((self.k, *self.shape), self.dtype), jnp.zeros((), jnp.int32)

    def combine(self, left: State, right: State) -> State:
        (values, count), (values_later, count_later) = left, right
        together = jnp.minimum(count + count_later, self.k)
        return join(values, values_later, count_later, self.k), together

    def expand(self, generator: Shaped[Array, "..."]) -> State:
        nothing, _ = self.identity()
        return push(nothing, generator), jnp.ones((), jnp.int32)

    def advance(self, state: State, generator: Shaped[Array, "..."]) -> State:
        values, count = state
        return push(values, generator), jnp.minimum(count + 1, self.k)

    def canon(self, element: State) -> State:
        values, count = element
        return tree_where(filled(count, self.k), values, jnp.zeros_like(values)), count
