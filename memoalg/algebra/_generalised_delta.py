"""The monoid of the generalised delta rule: transitions that are diagonal plus rank one."""

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
Generator = tuple[Key, Value, Key, Key, Key]


class GeneralisedDelta(AbstractMonoid[tuple[Transition, Memory], Memory]):
    r"""A fast weight matrix with a decay for each key, and one direction rewritten: RWKV-7.

    $$(M, S) \bullet (M', S') = (M M',\; S M' + S'), \qquad e = (I, 0), \qquad
      s \cdot (M, S) = s M + S.$$

    The generator $(k, v, w, a, b)$ stands for the element
    $(\mathrm{diag}(w) + a b^\top,\; v k^\top)$, and a step is

    $$s \mapsto s\,\mathrm{diag}(w) + (s a)\, b^\top + v k^\top,$$

    without a (key, key) matrix: what is stored under a is read and written again under b. A query reads
    $\mathrm{read}(S, q) = S q$. With $w = \alpha 1$, $a = -\alpha \beta k$, $b = k$ and $\beta v$ for v
    it is [`memoalg.DeltaRule`][], whose decay is the same for all keys, and whose key is the direction
    that is erased; here key, erased direction and its replacement are three vectors.

    Hazard: nothing bounds the transition by itself. RWKV-7 keeps it stable by $\|a\| = 1$,
    $b = -c \odot a$ with $0 \le c \le 1$, and $0 < w < 1$. A parallel scan multiplies (key, key)
    matrices.

    Arguments:
        key_size: length of keys, of queries, and of w, a and b.
        value_size: length of values; the state is (value_size, key_size).
        dtype: real floating; None is the default float.

    Raises:
        ValueError: where a size is not a positive int, or the dtype is not real and floating.

    Source: Peng et al., RWKV-7 "Goose" (arXiv 2503.14456), section 4.1.

    Example:
        What is stored under the first key moves to the second.

        >>> import jax.numpy as jnp, memoalg as ma
        >>> m, (one, two) = ma.GeneralisedDelta(2, 1), jnp.eye(2)
        >>> state = m.advance(m.initial_state(), (one, jnp.array([5.0]), jnp.ones(2), one, 0 * one))
        >>> state = m.advance(state, (0 * one, jnp.zeros(1), jnp.zeros(2), one, two))
        >>> print(state)
        [[0. 5.]]
    """

    key_size: int = eqx.field(static=True)
    value_size: int = eqx.field(static=True)
    dtype: np.dtype = eqx.field(static=True)

    def __init__(self, key_size: int, value_size: int, dtype: DTypeLike | None = None):
        require_size("GeneralisedDelta", "key_size", key_size)
        require_size("GeneralisedDelta", "value_size", value_size)
        self.key_size, self.value_size = key_size, value_size
        self.dtype = fixed_dtype(dtype)
        require_real_floating("GeneralisedDelta", self.dtype)

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
        key, value, decay, erased, replaced = generator
        transition = jnp.diag(decay) + erased[:, None] * replaced[None, :]
        return transition, value[:, None] * key[None, :]

    def advance(self, state: Memory, generator: Generator) -> Memory:
        key, value, decay, erased, replaced = generator
        moved = (state @ erased)[:, None] * replaced[None, :]
        return state * decay[None, :] + moved + value[:, None] * key[None, :]

    def read(self, state: Memory, query: Key) -> Value:
        return state @ query


@tracks.register
def _(monoid: GeneralisedDelta) -> Tracks:
    return matrix_tracks(monoid.key_size, monoid.dtype)


@group_in.register
def _(monoid: GeneralisedDelta) -> tuple[tuple[Array, Array], ...]:
    # Orthogonal matrices are products of reflections, the steps with w = 1, a = -2 b and |b| = 1.
    memory = monoid.initial_state()
    return tuple((jnp.asarray(g), memory) for g in matrices(monoid.key_size, monoid.dtype))
