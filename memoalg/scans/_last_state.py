"""The state at the end, for those who want no other."""

import math

from jaxtyping import Array, Bool, PyTree

from ..algebra import AbstractMonoid
from ._auto import Auto
from ._check import sequence_length
from ._edges import sees_whole
from ._method import AbstractMethod
from ._trajectory import trajectory


def last_state(
    monoid: AbstractMonoid,
    state: PyTree,
    generators: PyTree,
    start: Bool[Array, " time"] | None,
    *,
    initial_state: PyTree | None = None,
    reverse: bool = False,
    method: AbstractMethod = Auto(),
) -> PyTree:
    """The state after a sequence: `trajectory(...)[0]`, in memory of the square root of its length.

    The sequence is run in blocks of about the root of T steps. The gradient stores one state for each
    block, and runs the blocks again one by one. (Over several devices, [`memoalg.Sharded`][], each
    device runs its piece as a whole.)

    Arguments:
        monoid: and what follows: as for [`memoalg.trajectory`][].
        state: before the first step.
        generators: with a leading time axis.
        start: bool (time,), or None.
        initial_state: in which an episode begins; None for the monoid's own.
        reverse: run from the last step to the first.
        method: how each block is executed.

    Returns:
        The state.

    Raises:
        TypeError: as for [`memoalg.trajectory`][].
        ValueError: likewise.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> print(ma.last_state(ma.Add(), jnp.float32(0), jnp.ones(100), None))
        100.0
    """
    length = sequence_length("generators", generators)
    if length is None:
        length = 0 if start is None else len(start)
    return trajectory(
        monoid,
        state,
        generators,
        start,
        initial_state=initial_state,
        reverse=reverse,
        every=max(1, math.isqrt(length)) if sees_whole(method) else 1,
        method=method,
    )[0]
