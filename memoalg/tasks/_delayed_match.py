"""Delayed match to sample."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from ._check import check_size
from ._symbols import AbstractSymbolTask, one_hot
from ._task import Example


class DelayedMatch(AbstractSymbolTask):
    """Say whether a probe is the sample that was shown before a delay: one item held and compared.

    The first step shows a symbol, drawn uniformly, and a 1 in the last channel but one. Then follow
    `delay` steps: empty ones (inputs of zeros), or with `distractors` each a symbol, drawn uniformly
    and independently, without a flag. The last step shows the probe with a 1 in the last channel: with
    probability 1/2 the sample, else one of the other symbols, uniformly. The answer, on that step, is 1
    for a match and 0 otherwise. The probe alone says nothing about it.

    Arguments:
        symbols: how many different symbols there are, at least 2.
        delay: steps between the sample and the probe.
        distractors: whether they show symbols.

    Raises:
        ValueError: where a size is too small.
        TypeError: where one is no int.

    Source: the laboratory's test of working memory, with stimuli in the delay as in Miller et al.,
        Neural Mechanisms of Visual Working Memory in Prefrontal Cortex of the Macaque (Journal of
        Neuroscience 16, 1996).

    Example:
        >>> import jax, memoalg as ma
        >>> task = ma.tasks.DelayedMatch(symbols=3, delay=2)
        >>> example = task.sample(jax.random.key(0))
        >>> print(example.xs.astype(int), example.targets)
        [[0 1 0 1 0]
         [0 0 0 0 0]
         [0 0 0 0 0]
         [0 1 0 0 1]] [0 0 0 1]
    """

    symbols: int = eqx.field(static=True, default=8)
    delay: int = eqx.field(static=True, default=10)
    distractors: bool = eqx.field(static=True, default=False)

    def __check_init__(self) -> None:
        check_size(self.symbols, "DelayedMatch: symbols", 2)
        check_size(self.delay, "DelayedMatch: delay", 0)

    @property
    def in_size(self) -> int:
        return self.symbols + 2

    @property
    def out_size(self) -> int:
        return 2

    @property
    def length(self) -> int:
        return self.delay + 2

    @property
    def chance(self) -> float:
        return 0.5

    def sample(self, key: PRNGKeyArray) -> Example:
        string_key, match_key, other_key = jax.random.split(key, 3)
        string = jax.random.randint(string_key, (self.delay + 1,), 0, self.symbols)
        match = jax.random.bernoulli(match_key)
        other = string[0] + jax.random.randint(other_key, (), 1, self.symbols)
        probe = jnp.where(match, string[0], other % self.symbols)
        if not self.distractors:
            string = string.at[1:].set(-1)
        flags = jnp.full(self.length, -1).at[0].set(self.symbols).at[-1].set(self.symbols + 1)
        shown = jnp.concatenate([string, probe[None]])
        return Example(
            xs=one_hot(shown, self.in_size) + one_hot(flags, self.in_size),
            start=None,
            targets=jnp.zeros(self.length, jnp.int32).at[-1].set(match.astype(jnp.int32)),
            mask=jnp.arange(self.length) == self.delay + 1,
        )
