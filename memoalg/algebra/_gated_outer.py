"""The monoid of gated sums of outer products."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Num

from .._typing import DTypeLike
from ._action import multiply
from ._ground import fixed_dtype
from ._inverse import group_in
from ._matrix import require_numbers, require_size
from ._monoid import AbstractMonoid
from ._traits import Tracks, tracks

Decay = Num[Array, "*key"]
Memory = Num[Array, "key value"]
Key = Num[Array, " key"]
Value = Num[Array, " value"]


class GatedOuter(AbstractMonoid[tuple[Decay, Memory], Memory]):
    r"""Outer products of keys and values that decay: the memory of GLA, RetNet and Mamba-2.

    $$(a, S) \bullet (a', S') = (a\,a',\; a' S + S'), \qquad e = (1, 0), \qquad
      s \cdot (a, S) = a\,s + S,$$

    where a decay acts on the rows of S, one number per key. The generator (k, v, a) stands for the
    element $(a, k v^\top)$; a step never forms more than the state, and a query reads
    $\mathrm{read}(S, q) = S^\top q$.

    Hazard: a decay near 1 rounds to 1 in bfloat16 (0.9999 does); give `decay_dtype=jnp.float32`.

    Arguments:
        key_size: length of keys and queries.
        value_size: length of values.
        dtype: of keys, values and the (key_size, value_size) state; None is the default float.
        per_key: decays are (key_size,), one per key (GLA); False: (), one for all (RetNet, Mamba-2).
        decay_dtype: of the decays; None is `dtype`.

    Raises:
        ValueError: where a size is not a positive int, or for bools.

    Source: Yang et al., Gated Linear Attention Transformers (arXiv 2312.06635), eq. 3; Sun et al.,
    Retentive Network (arXiv 2307.08621), eq. 6.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> m = ma.GatedOuter(2, 1, per_key=False)
        >>> keys, values, decays = jnp.eye(2), jnp.array([[4.0], [6.0]]), jnp.full(2, 0.5)
        >>> last, reads = ma.trajectory(
        ...     m, m.initial_state(), (keys, values, decays), None, queries=jnp.ones((2, 2))
        ... )
        >>> print(reads)
        [[4.]
         [8.]]
    """

    key_size: int = eqx.field(static=True)
    value_size: int = eqx.field(static=True)
    dtype: np.dtype = eqx.field(static=True)
    per_key: bool = eqx.field(static=True)
    decay_dtype: np.dtype = eqx.field(static=True)

    def __init__(
        self,
        key_size: int,
        value_size: int,
        dtype: DTypeLike | None = None,
        *,
        per_key: bool = True,
        decay_dtype: DTypeLike | None = None,
    ):
        require_size("GatedOuter", "key_size", key_size)
        require_size("GatedOuter", "value_size", value_size)
        self.key_size, self.value_size, self.per_key = key_size, value_size, per_key
        self.dtype = fixed_dtype(dtype)
        self.decay_dtype = self.dtype if decay_dtype is None else fixed_dtype(decay_dtype)
        require_numbers("GatedOuter", self.dtype)

    def identity(self) -> tuple[Decay, Memory]:
        keys = (self.key_size,) if self.per_key else ()
        return jnp.ones(keys, self.decay_dtype), self.initial_state()

    def combine(
        self, left: tuple[Decay, Memory], right: tuple[Decay, Memory]
    ) -> tuple[Decay, Memory]:
        return left[0] * right[0], self.act(left[1], right)

    def initial_state(self) -> Memory:
        return jnp.zeros((self.key_size, self.value_size), self.dtype)

    def act(self, state: Memory, element: tuple[Decay, Memory]) -> Memory:
        return multiply(state, element[0]) + element[1]

    def embed(self, state: Memory) -> tuple[Decay, Memory]:
        return self.identity()[0], state

    def project(self, element: tuple[Decay, Memory]) -> Memory:
        return element[1]

    def expand(self, generator: tuple[Key, Value, Decay]) -> tuple[Decay, Memory]:
        key, value, decay = generator
        return decay, key[:, None] * value[None, :]

    def advance(self, state: Memory, generator: tuple[Key, Value, Decay]) -> Memory:
        key, value, decay = generator
        return multiply(state, decay) + key[:, None] * value[None, :]

    def read(self, state: Memory, query: Key) -> Value:
        return query @ state


@tracks.register
def _(monoid: GatedOuter) -> Tracks:
    # A decay of -1 follows parity; decays commute, so nothing richer is followed.
    return Tracks.ABELIAN


@group_in.register
def _(monoid: GatedOuter) -> tuple[tuple[Array, Array], ...]:
    decay, memory = monoid.identity()
    return ((-decay, memory),)
