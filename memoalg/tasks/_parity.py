"""Parity."""

import equinox as eqx
from jaxtyping import PRNGKeyArray

from ._check import check_size
from ._modular_counting import count_chance, count_example
from ._symbols import AbstractSymbolTask
from ._task import Example


class Parity(AbstractSymbolTask):
    """Say at every step whether the number of ones so far is odd: the smallest group to be tracked.

    Each step shows a bit, 0 and 1 with equal probability, as a one-hot pair. The answer at each step
    counts the step's own bit. A diagonal or triangular linear recurrence whose decays are positive
    cannot do it at any length; what it can do at a small length is learned by heart.

    Arguments:
        length: steps of an example.

    Raises:
        ValueError: where it is below 1.
        TypeError: where it is no int.

    Source: Delétang et al., Neural Networks and the Chomsky Hierarchy (arXiv 2207.02098), "parity
        check"; Grazzi et al., Unlocking State-Tracking in Linear RNNs Through Negative Eigenvalues
        (arXiv 2411.12537). There only the answer after the last bit counts.

    Example:
        >>> import jax, memoalg as ma
        >>> example = ma.tasks.Parity(length=6).sample(jax.random.key(1))
        >>> print(example.xs.argmax(1), example.targets)
        [1 0 1 1 0 0] [1 1 0 1 1 1]
    """

    length: int = eqx.field(static=True, default=16)

    def __check_init__(self) -> None:
        check_size(self.length, "Parity: length", 1)

    @property
    def in_size(self) -> int:
        return 2

    @property
    def out_size(self) -> int:
        return 2

    @property
    def chance(self) -> float:
        # On the first step, and only there, the bit is the answer.
        return count_chance(2, self.length)

    def sample(self, key: PRNGKeyArray) -> Example:
        return count_example(key, 2, self.length)
