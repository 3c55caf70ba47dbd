r"""Gates in log space: the running maximum of exponents, taken before anything is exponentiated.

A memory $e^{m} C$ with the step $C_t = e^{f_t} C_{t-1} + e^{i_t} k_t v_t^\top$ keeps
$m_t = \max(m_{t-1} + f_t, i_t)$. Relative to it the step is one of an ordinary gated memory, whose decay
$e^{m_{t-1} + f_t - m_t}$ and whose weight $e^{i_t - m_t}$ are at most one.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from ..algebra import Add, Max, SemidirectProduct, shift
from ._method import AbstractMethod


class LogGates(NamedTuple):
    """Gates by their logarithms, with a leading axis of steps: -inf is a gate of zero.

    Arguments:
        forget: of what was stored, (steps,).
        write: of what is written, (steps,).

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> ma.scans.LogGates(forget=jnp.zeros(5), write=jnp.full(5, 80.0)).write.shape
        (5,)
    """

    forget: Float[Array, "*steps"]
    write: Float[Array, "*steps"]


class Exponents(NamedTuple):
    """What became of the gates.

    Arguments:
        here: m, the exponent after each step.
        decays: of what was stored, relative to it.
        weights: of what is written, relative to it.
        finite: whether the gates of a step were numbers.
    """

    here: Float[Array, " time"]
    decays: Float[Array, " time"]
    weights: Float[Array, " time"]
    finite: Bool[Array, " time"]


def exponents(
    method: AbstractMethod,
    gates: LogGates,
    state: Float[Array, ""],
    initial: Float[Array, ""],
    resets: Bool[Array, " time"] | None,
    reverse: bool,
    dtype: np.dtype,
) -> Exponents:
    """The running maximum from `state`, which a reset replaces by `initial`."""
    finite = valid(gates.forget) & valid(gates.write)
    forget, write = (jnp.where(finite, x, 0).astype(dtype) for x in gates)
    state, initial = (jnp.where(valid(m), m, 0).astype(dtype) for m in (state, initial))
    monoid = SemidirectProduct(Add((), dtype), Max((), dtype), shift)
    _, here = method.run(monoid, state, (forget, write), resets, initial, None, reverse)
    before = jnp.concatenate([here[1:], state[None]] if reverse else [state[None], here[:-1]])
    if resets is not None:
        before = jnp.where(resets, initial, before)
    kept = before + forget
    # With nothing stored the shift is zero, and both gates are exp(-inf) = 0.
    level = jnp.where(jnp.isneginf(here), 0, here)
    return Exponents(here, jnp.exp(kept - level), jnp.exp(write - level), finite)


def valid(exponent: Float[Array, "..."]) -> Bool[Array, "..."]:
    """Whether it is a number or -inf."""
    return exponent < jnp.inf
