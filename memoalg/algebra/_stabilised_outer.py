"""The monoid of exponentially gated outer products, with a shared exponent."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._typing import DTypeLike
from ._ground import fixed_dtype, require_real_floating
from ._matrix import require_size
from ._monoid import AbstractMonoid

Scalar = Float[Array, ""]
Memory = Float[Array, "key value"]
Key = Float[Array, " key"]
Value = Float[Array, " value"]
StateOf = tuple[Scalar, Memory, Key]
ElementOf = tuple[Scalar, Scalar, Memory, Key]
Generator = tuple[Key, Value, Scalar, Scalar]


class StabilisedOuter(AbstractMonoid[ElementOf, StateOf]):
    r"""Outer products under exponential gates: the memory of the mLSTM (xLSTM).

    An element $(F, m, C, n)$ stands for a total log-forget F and for the memory $e^m C$ with the
    normaliser $e^m n$; only the scaled parts are stored, and the exponent m is shared.

    $$(F, m, C, n) \bullet (F', m', C', n') = (F + F',\; \mu,\;
      e^{m + F' - \mu} C + e^{m' - \mu} C',\; e^{m + F' - \mu} n + e^{m' - \mu} n'), \qquad
      \mu = \max(m + F', m'),$$

    with identity $(0, -\infty, 0, 0)$. A state is $(m, C, n)$. The generator
    $(k, v, \log f, \log i)$ stands for $(\log f, \log i, k v^\top, k)$. A query reads

    $$\mathrm{read}((m, C, n), q) = C^\top q \,/\, \max(|n \cdot q|,\; e^{-m}),$$

    and zero where both are zero. Elements that differ by $(m + \delta, e^{-\delta} C, e^{-\delta} n)$
    mean the same: `canon` makes the largest stored number 1, and $m = -\infty$ where nothing is
    stored.

    Hazard: two empty memories have $\mu = -\infty$ and $-\infty - (-\infty)$ is NaN: the shift is
    selected before it is subtracted, which keeps value and gradient finite. $e^{-m}$ overflows for
    $m < -88$ in float32: numerator and denominator are scaled by $e^{\min(m, 0)}$.

    Arguments:
        key_size: length of keys and queries.
        value_size: length of values.
        dtype: real floating; None is the default float.

    Raises:
        ValueError: where a size is not a positive int, or the dtype is not real and floating.

    Source: Beck et al., xLSTM (arXiv 2405.04517), eqs. 19 to 27 and appendix A.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> m, log_gate = ma.StabilisedOuter(1, 1), jnp.full(3, 80.0)
        >>> steps = jnp.ones((3, 1)), jnp.array([[1.0], [2.0], [6.0]]), jnp.zeros(3), log_gate
        >>> last, reads = ma.trajectory(m, m.initial_state(), steps, None, queries=jnp.ones((3, 1)))
        >>> print(reads[:, 0])
        [1.  1.5 3. ]
    """

    key_size: int = eqx.field(static=True)
    value_size: int = eqx.field(static=True)
    dtype: np.dtype = eqx.field(static=True)

    def __init__(self, key_size: int, value_size: int, dtype: DTypeLike | None = None):
        require_size("StabilisedOuter", "key_size", key_size)
        require_size("StabilisedOuter", "value_size", value_size)
        self.key_size, self.value_size = key_size, value_size
        self.dtype = fixed_dtype(dtype)
        require_real_floating("StabilisedOuter", self.dtype)

    def identity(self) -> ElementOf:
        return (jnp.zeros((), self.dtype), *self.initial_state())

    def combine(self, left: ElementOf, right: ElementOf) -> ElementOf:
        return (left[0] + right[0], *self.act(left[1:], right))

    def initial_state(self) -> StateOf:
        return (
            jnp.full((), -jnp.inf, self.dtype),
            jnp.zeros((self.key_size, self.value_size), self.dtype),
            jnp.zeros(self.key_size, self.dtype),
        )

    def act(self, state: StateOf, element: ElementOf) -> StateOf:
        (m, memory, normaliser), (forget, m_new, memory_new, normaliser_new) = state, element
        m_kept = m + forget
        m_both = jnp.maximum(m_kept, m_new)
        # Without anything stored the shift is zero, and both weights are exp(-inf) = 0.
        shift = jnp.where(jnp.isneginf(m_both), jnp.zeros_like(m_both), m_both)
        kept, added = jnp.exp(m_kept - shift), jnp.exp(m_new - shift)
        return (
            m_both,
            kept * memory + added * memory_new,
            kept * normaliser + added * normaliser_new,
        )

    def embed(self, state: StateOf) -> ElementOf:
        return (jnp.zeros((), self.dtype), *state)

    def project(self, element: ElementOf) -> StateOf:
        return element[1:]

    def expand(self, generator: Generator) -> ElementOf:
        key, value, log_forget, log_input = generator
        return log_forget, log_input, key[:, None] * value[None, :], key

    def read(self, state: StateOf, query: Key) -> Value:
        m, memory, normaliser = state
        scale = jnp.exp(jnp.minimum(m, jnp.zeros_like(m)))
        floor = jnp.exp(-jnp.maximum(m, jnp.zeros_like(m)))
        total = jnp.maximum(jnp.abs(normaliser @ query) * scale, floor)
        empty = total == 0
        ratio = query @ memory * scale / jnp.where(empty, jnp.ones_like(total), total)
        return jnp.where(empty, jnp.zeros_like(ratio), ratio)

    def canon(self, element: ElementOf) -> ElementOf:
        forget, m, memory, normaliser = element
        largest = jnp.maximum(jnp.abs(memory).max(), jnp.abs(normaliser).max())
        empty = jnp.isneginf(m) | (largest == 0)
        scale = jnp.where(empty, jnp.ones_like(largest), largest)
        nothing = self.initial_state()
        return (
            forget,
            jnp.where(empty, nothing[0], m + jnp.log(scale)),
            jnp.where(empty, nothing[1], memory / scale),
            jnp.where(empty, nothing[2], normaliser / scale),
        )
