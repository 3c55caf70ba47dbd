"""The monoid of the gated delta rule."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._typing import DTypeLike
from ._finite_groups import matrices, matrix_tracks
from ._ground import fixed_dtype, require_real_floating
from ._inverse import group_in
from ._matrix import require_size
from ._monoid import AbstractMonoid
from ._traits import Tracks, tracks

Transition = Float[Array, "key key"]
Memory = Float[Array, "value key"]
Key = Float[Array, " key"]
Value = Float[Array, " value"]
Scalar = Float[Array, ""]
Generator = tuple[Key, Value, Scalar, Scalar]


class DeltaRule(AbstractMonoid[tuple[Transition, Memory], Memory]):
    r"""A fast weight matrix that is corrected, not only added to: DeltaNet and Gated DeltaNet.

    $$(M, S) \bullet (M', S') = (M M',\; S M' + S'), \qquad e = (I, 0), \qquad
      s \cdot (M, S) = s M + S.$$

    The generator $(k, v, \beta, \alpha)$ stands for the element
    $(\alpha\,(I - \beta k k^\top),\; \beta v k^\top)$, and a step is one pass of the delta rule,

    $$s \mapsto \alpha s + \beta\,(v - \alpha s k)\,k^\top,$$

    without a (key, key) matrix. A query reads $\mathrm{read}(S, q) = S q$. With $\|k\| = 1$ and
    $\beta = 1$ what was stored under k is *replaced*, and what is stored under keys orthogonal to k
    is left alone. With $\beta = 2$ a step reflects: products of reflections are all rotations, which
    is why a delta rule follows groups that no diagonal recurrence can.

    Hazard: the transition contracts only for $\|k\| = 1$, $\beta \in [0, 2]$, $|\alpha| \le 1$:
    normalise keys. A parallel scan multiplies (key, key) matrices.

    Arguments:
        key_size: length of keys and queries.
        value_size: length of values; the state is (value_size, key_size).
        dtype: real floating; None is the default float.

    Raises:
        ValueError: where a size is not a positive int, or the dtype is not real and floating.

    Source: Yang, Kautz and Hatamizadeh, Gated Delta Networks (arXiv 2412.06464), eq. 10.

    Example:
        The second value replaces the first under the same key.

        >>> import jax.numpy as jnp, memoalg as ma
        >>> m, key, one = ma.DeltaRule(2, 1), jnp.array([0.6, 0.8]), jnp.ones(())
        >>> state = m.advance(m.initial_state(), (key, jnp.array([5.0]), one, one))
        >>> state = m.advance(state, (key, jnp.array([7.0]), one, one))
        >>> print(m.read(state, key).round(4))
        [7.]
    """

    key_size: int = eqx.field(static=True)
    value_size: int = eqx.field(static=True)
    dtype: np.dtype = eqx.field(static=True)

    def __init__(self, key_size: int, value_size: int, dtype: DTypeLike | None = None):
        require_size("DeltaRule", "key_size", key_size)
        require_size("DeltaRule", "value_size", value_size)
        self.key_size, self.value_size = key_size, value_size
        self.dtype = fixed_dtype(dtype)
        require_real_floating("DeltaRule", self.dtype)

    def identity(self) -> tuple[Transition, Memory]:
        return jnp.eye(self.key_size, dtype=self.dtype), self.initial_state()

    def combine(
        self, left: tuple[Transition, Memory], right: tuple[Transition, Memory]
    ) -> tuple[Transition, Memory]:
        return left[0] @ right[0], self.act(left[1], right)

    def initial_state(self) -> Memory:
        return jnp.zeros((self.value_size, self.key_size), self.dtype)

    def act(self, state: Memory, element: tuple[Transition, Memory]) -> Memory:
        return state @ element[0] + element[1]

    def embed(self, state: Memory) -> tuple[Transition, Memory]:
        return jnp.eye(self.key_size, dtype=self.dtype), state

    def project(self, element: tuple[Transition, Memory]) -> Memory:
        return element[1]

    def expand(self, generator: Generator) -> tuple[Transition, Memory]:
        key, value, strength, decay = generator
        write = strength * key
        transition = jnp.eye(self.key_size, dtype=self.dtype) - write[:, None] * key[None, :]
        return decay * transition, value[:, None] * write[None, :]

    def advance(self, state: Memory, generator: Generator) -> Memory:
        key, value, strength, decay = generator
        kept = decay * state
        error = value - kept @ key
        return kept + error[:, None] * (strength * key)[None, :]

    def read(self, state: Memory, query: Key) -> Value:
        return state @ query


@tracks.register
def _(monoid: DeltaRule) -> Tracks:
    return matrix_tracks(monoid.key_size, monoid.dtype)


@group_in.register
def _(monoid: DeltaRule) -> tuple[tuple[Array, Array], ...]:
    # Orthogonal matrices are products of reflections, the steps with a strength of 2.
    memory = monoid.initial_state()
    return tuple((jnp.asarray(g), memory) for g in matrices(monoid.key_size, monoid.dtype))
