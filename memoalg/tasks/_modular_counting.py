"""Counting modulo a number."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from ._check import check_size
from ._symbols import AbstractSymbolTask, one_hot
from ._task import Example


class ModularCounting(AbstractSymbolTask):
    """Say at every step how many ones there were so far, modulo `modulus`: a cyclic group to be tracked.

    Each step shows a bit, 0 and 1 with equal probability, as a one-hot pair. The answer at each step
    counts the step's own bit. With a modulus of 2 it is [`memoalg.tasks.Parity`][], which a real decay
    of -1 does; from 3 on a linear recurrence needs a rotation, that is complex decays or matrices that
    are not triangular.

    Arguments:
        modulus: of the count, at least 2.
        length: steps of an example.

    Raises:
        ValueError: where a size is too small.
        TypeError: where one is no int.

    Source: Grazzi et al., Unlocking State-Tracking in Linear RNNs Through Negative Eigenvalues
        (arXiv 2411.12537); a walk on a cycle, as Delétang et al., Neural Networks and the Chomsky
        Hierarchy (arXiv 2207.02098), "cycle navigation", but with the steps 0 and 1.

    Example:
        >>> import jax, memoalg as ma
        >>> example = ma.tasks.ModularCounting(modulus=3, length=8).sample(jax.random.key(8))
        >>> print(example.xs.argmax(1), example.targets)
        [1 1 0 0 1 1 1 0] [1 2 2 2 0 1 2 2]
    """

    modulus: int = eqx.field(static=True, default=5)
    length: int = eqx.field(static=True, default=16)

    def __check_init__(self) -> None:
        check_size(self.modulus, "ModularCounting: modulus", 2)
        check_size(self.length, "ModularCounting: length", 1)

    @property
    def in_size(self) -> int:
        return 2

    @property
    def out_size(self) -> int:
        return self.modulus

    @property
    def chance(self) -> float:
        return count_chance(self.modulus, self.length)

    def sample(self, key: PRNGKeyArray) -> Example:
        return count_example(key, self.modulus, self.length)


def count_example(key: PRNGKeyArray, modulus: int, length: int) -> Example:
    """Fair bits, and the number of ones so far."""
    bits = jax.random.bernoulli(key, shape=(length,)).astype(jnp.int32)
    return Example(
        xs=one_hot(bits, 2),
        start=None,
        targets=jnp.cumsum(bits) % modulus,
        mask=jnp.ones(length, bool),
    )


def count_chance(modulus: int, length: int) -> float:
    """The score of the best guess from the present bit alone.

    What was counted before a step is independent of its bit; so the best is always to name the one
    number that is the likeliest over all steps, plus the bit.
    """
    before = np.zeros(modulus)
    before[0] = 1.0
    total = np.zeros(modulus)
    for _ in range(length):
        total += before
        before = (before + np.roll(before, 1)) / 2
    return float(total.max() / length)
