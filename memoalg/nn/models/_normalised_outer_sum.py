"""Sums of outer products together with their normaliser."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from ..._typing import DTypeLike
from ...algebra import AbstractMonoid
from ...algebra._ground import fixed_dtype
from ...scans import AbstractOuterForm, Memory, Outer, outer_form
from ...scans._outer_form import with_ones

KeyValue = tuple[Float[Array, "key value"], Float[Array, " key"]]


class NormalisedOuterSum(AbstractMonoid[KeyValue]):
    r"""Sums of outer products together with their normaliser: the memory of linear attention.

    $$(S, z) \bullet (S', z') = (S + S', z + z'), \qquad \mathrm{read}((S, z), q) = \frac{S^\top q}{z
      \cdot q}.$$

    A generator is the pair (k, v) that stands for $(k v^\top, k)$; keys and queries must be positive.
    Where $z \cdot q$ is zero, in floats an empty memory, the read is zero.

    Arguments:
        key_size: length of keys and queries.
        value_size: length of values.
        dtype: None is the default float.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> m = ma.nn.NormalisedOuterSum(1, 2)
        >>> state = m.advance(m.identity(), (jnp.ones(1), jnp.array([4.0, 6.0])))
        >>> print(m.read(state, jnp.ones(1)))
        [4. 6.]
    """

    key_size: int = eqx.field(static=True)
    value_size: int = eqx.field(static=True)
    dtype: np.dtype = eqx.field(static=True)

    def __init__(self, key_size: int, value_size: int, dtype: DTypeLike | None = None):
        self.key_size, self.value_size = key_size, value_size
        self.dtype = fixed_dtype(dtype)

    def identity(self) -> KeyValue:
        return (
            jnp.zeros((self.key_size, self.value_size), self.dtype),
            jnp.zeros(self.key_size, self.dtype),
        )

    def combine(self, left: KeyValue, right: KeyValue) -> KeyValue:
        return left[0] + right[0], left[1] + right[1]

    def expand(self, generator: tuple[Float[Array, " key"], Float[Array, " value"]]) -> KeyValue:
        k, v = generator
        return k[:, None] * v[None, :], k

    def read(self, state: KeyValue, query: Float[Array, " key"]) -> Float[Array, " value"]:
        total, normaliser = state
        return _normalised(query @ total, normaliser @ query)


def _normalised(total: Float[Array, "*time value"], weight: Float[Array, "*time"]) -> Array:
    weight = weight[..., None]
    # Select before and after the division: a zero must reach neither the value nor the gradient.
    safe = jnp.where(weight == 0, jnp.ones_like(weight), weight)
    return jnp.where(weight == 0, jnp.zeros_like(total), total / safe)


class NormalisedForm(AbstractOuterForm):
    """The normaliser is one more value, always one: it is read by the same row, and divides the others."""

    def writes(self, generators: PyTree) -> Outer:
        keys, values = generators
        return Outer(keys, with_ones(values), None, None)

    def memory(self, state: PyTree) -> Memory:
        total, normaliser = state
        return Memory(jnp.concatenate([total, normaliser[:, None]], axis=1))

    def state(self, memory: Memory) -> PyTree:
        return memory.matrix[:, :-1], memory.matrix[:, -1]

    def rows(self, queries: PyTree) -> Float[Array, "time key"]:
        return queries

    def reads(
        self, read: Float[Array, "time value"], exponents: Float[Array, " time"] | None
    ) -> PyTree:
        return _normalised(read[:, :-1], read[:, -1])


@outer_form.register
def _(monoid: NormalisedOuterSum) -> AbstractOuterForm | None:
    return NormalisedForm()
