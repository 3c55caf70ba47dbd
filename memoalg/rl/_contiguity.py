"""Is a minibatch made of unbroken stretches of time, each with its own memory?"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from ._minibatch import Batch

_STEPS, _ENVS = 8, 4


def contiguity(take: Callable[[Batch, Int[Array, " n"]], Any]) -> int:
    """Count the steps of a minibatch that do not follow the step before them.

    The batch that is split is numbered: the entry of step t and environment e is `t E + e`, and the
    memory of environment e is e. A reshape of `(T, E)` that makes sequences of every other step, or
    a memory that does not go with its environment, is seen on the numbers alone.

    Args:
        take: `(batch, indices) -> minibatch` of the chosen environments, with fields `(T, n)`; such
            as `take_environments`, or what stands in its place in a loop of one's own.

    Returns:
        How many steps are misplaced: 0 for a correct split.

    Example:
        >>> import jax
        >>> import memoalg as ma
        >>> def strided(batch, indices):
        ...     return jax.tree.map(lambda x: x.reshape(2, -1, *x.shape[2:]).swapaxes(0, 1)
        ...                         if x.ndim > 1 else x[indices], batch)
        >>> ma.rl.contiguity(strided)
        16
    """
    indices = jnp.array([2, 0])
    part = take(numbered_batch(_STEPS, _ENVS), indices)
    numbers, carry = np.asarray(part.actions), np.asarray(part.carry)
    wanted = np.arange(_STEPS)[:, None] * _ENVS + np.asarray(indices)[None]
    if numbers.shape != wanted.shape or carry.shape != (wanted.shape[1],):
        return wanted.size
    fields = jax.tree.leaves((part.observations[..., 0], part.log_probs, part.targets))
    agree = [np.asarray(field).astype(int) == numbers for field in fields]
    follows = np.diff(numbers, axis=0, prepend=carry[None] - _ENVS) == _ENVS
    return int(np.sum(~(follows & np.logical_and.reduce(agree))))


def numbered_batch(num_steps: int, num_envs: int) -> Batch:
    """A batch in which the entry of step t and environment e is `t E + e`, and the carry is e.

    Args:
        num_steps: `T`.
        num_envs: `E`.
    """
    number = jnp.arange(num_steps * num_envs, dtype=jnp.int32).reshape(num_steps, num_envs)
    real, first = number.astype(float), jnp.zeros((num_steps, num_envs), bool)
    carry = jnp.arange(num_envs, dtype=jnp.int32)
    return Batch(carry, real[..., None], first, number, real, real, real, real)
