"""States along a sequence: what every layer and every return runs."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, PyTree

from ..algebra import AbstractMonoid
from ._auto import Auto
from ._blocks import run_in_blocks
from ._check import check_method, check_start, check_step, sequence_length
from ._edges import resets_in_reverse, sees_whole
from ._method import AbstractMethod


def trajectory(
    monoid: AbstractMonoid,
    state: PyTree,
    generators: PyTree,
    start: Bool[Array, " time"] | None,
    *,
    initial_state: PyTree | None = None,
    queries: PyTree | None = None,
    reverse: bool = False,
    every: int = 1,
    method: AbstractMethod = Auto(),
) -> tuple[PyTree, PyTree]:
    r"""The states of a memory along a sequence, and what is read of them.

    $$s_t = \mathrm{advance}(\text{initial state if start}_t \text{ else } s_{t-1},\; g_t), \qquad
      \mathrm{reads}_t = \mathrm{read}(s_t, q_t).$$

    With `reverse` the steps run from the end, $s_t = \mathrm{advance}(s_{t+1}, g_t)$, beginning with
    `state` after the last step; `start` keeps its meaning, so the state is reset on passing from the
    first step of an episode to the last step of the one before. The discounted return is the reverse
    trajectory of [`memoalg.Affine`][].

    For a batch wrap the call in `jax.vmap`.

    Arguments:
        monoid: the algebra.
        state: the state before the first step (after the last one where `reverse`), a pytree as
            `monoid.initial_state()` returns it, without a time axis.
        generators: a pytree whose leaves have a leading time axis; parts wrapped in
            [`memoalg.Fixed`][] have none. T = 0 is allowed.
        start: bool (time,), true on the first step of each episode; None means no step is one. A
            start at step 0 discards `state`.
        initial_state: the state in which an episode begins; None for `monoid.initial_state()`.
            A learned one gets its gradient, from every start.
        queries: a pytree with a leading time axis; None to return the states themselves.
        reverse: run from the last step to the first.
        every: return what every `every`-th step executed reads, instead of every step. The steps
            between are then run in blocks of that length, each by `method`, and again for the gradient:
            only one state for each block is stored.
        method: how to execute it; the numbers do not depend on it.

    Returns:
        `(last_state, reads)`: the state after the last step executed, and reads (or states) with a
        leading time axis, in the order of time; T // every of them.

    Raises:
        TypeError: where `start` is not bool or `method` is not a method.
        ValueError: where lengths, shapes or dtypes do not fit; the message says which leaf. Where
            `every` is not a positive int.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> start = jnp.array([True, False, True])
        >>> last, states = ma.trajectory(ma.Add(), jnp.float32(9), jnp.ones(3), start)
        >>> print(states)
        [1. 2. 1.]
    """
    if not isinstance(monoid, AbstractMonoid):
        raise TypeError(f"trajectory needs a monoid, got {type(monoid).__name__}")
    check_method(method)
    if not isinstance(every, int) or every < 1:
        raise ValueError(f"every is a positive int, got {every!r}; ma.last_state reads nothing")
    if every > 1 and not sees_whole(method):
        raise ValueError(
            f"every={every}: a time axis over several devices is not cut into blocks; read every step and "
            "slice, or let each device recompute: ma.Sharded(..., ma.Sequential(remat=...))"
        )
    length = sequence_length("generators", generators)
    resets = check_start(start, length)
    if length is None and resets is None:
        raise ValueError("generators: every part is Fixed; give `start` to say how many steps")
    if queries is not None:
        expected = length if resets is None else resets.shape[0]
        if sequence_length("queries", queries) != expected:
            raise ValueError(f"queries must have {expected} steps, as the generators have")
    state = jax.tree.map(jnp.asarray, state)
    check_step(monoid, state, generators, initial_state, queries)
    if reverse and resets is not None:
        resets = resets_in_reverse(method, resets)
    operands = (monoid, state, generators, resets, initial_state, queries, reverse)
    if every == 1:
        return method.run(*operands)
    return run_in_blocks(method, every, True, *operands)
