"""Associative recall."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from ._check import check_size
from ._symbols import AbstractSymbolTask, distinct, one_hot
from ._task import Example


class AssociativeRecall(AbstractSymbolTask):
    """Say the value that was shown with a key: whether a memory can be asked by content.

    `pairs` different keys are drawn, every ordered choice with equal probability, and for each a value,
    uniformly and independently. They are shown as key, value, key, value, ..., one a step; with
    `together` key and value share a step. Then follow `queries` steps, each with one of the shown keys,
    drawn uniformly and independently, and a 1 in the last channel: its value is to be said on that
    step. Keys have the first channels, values the next. A linear recurrence, or attention, without a
    convolution or a token shift in front of it cannot bind a value to the key of the step before: give it
    two layers, or `together`.

    Arguments:
        keys: how many different keys there are.
        values: how many different values, at least 2.
        pairs: pairs that are shown, at most `keys`.
        queries: keys that are asked for.
        together: whether a key and its value are shown on one step.

    Raises:
        ValueError: where a size is too small, or `pairs` is more than `keys`.
        TypeError: where a size is no int.

    Source: Ba et al., Using Fast Weights to Attend to the Recent Past (arXiv 1610.06258), section 4.1,
        with one query; with several, Arora et al., Zoology (arXiv 2312.04927).

    Example:
        >>> import jax, memoalg as ma
        >>> task = ma.tasks.AssociativeRecall(keys=3, values=3, pairs=2, queries=1)
        >>> example = task.sample(jax.random.key(0))
        >>> print(example.xs.astype(int), example.targets[-1])
        [[0 1 0 0 0 0 0]
         [0 0 0 0 0 1 0]
         [0 0 1 0 0 0 0]
         [0 0 0 0 1 0 0]
         [0 0 1 0 0 0 1]] 1
    """

    keys: int = eqx.field(static=True, default=8)
    values: int = eqx.field(static=True, default=8)
    pairs: int = eqx.field(static=True, default=4)
    queries: int = eqx.field(static=True, default=4)
    together: bool = eqx.field(static=True, default=False)

    def __check_init__(self) -> None:
        check_size(self.keys, "AssociativeRecall: keys", 1)
        check_size(self.values, "AssociativeRecall: values", 2)
        check_size(self.pairs, "AssociativeRecall: pairs", 1)
        check_size(self.queries, "AssociativeRecall: queries", 1)
        check_size(self.keys, f"AssociativeRecall: keys with pairs={self.pairs}", self.pairs)

    @property
    def in_size(self) -> int:
        return self.keys + self.values + 1

    @property
    def out_size(self) -> int:
        return self.values

    @property
    def length(self) -> int:
        return self.pairs * (1 if self.together else 2) + self.queries

    @property
    def chance(self) -> float:
        return 1 / self.values

    def sample(self, key: PRNGKeyArray) -> Example:
        key_key, value_key, query_key = jax.random.split(key, 3)
        keys = distinct(key_key, self.pairs, self.keys)
        values = jax.random.randint(value_key, (self.pairs,), 0, self.values)
        asked = jax.random.randint(query_key, (self.queries,), 0, self.pairs)
        key_rows = one_hot(keys, self.in_size)
        value_rows = one_hot(self.keys + values, self.in_size)
        rows = [key_rows + value_rows] if self.together else [key_rows, value_rows]
        shown = jnp.stack(rows, axis=1).reshape(-1, self.in_size)
        flag = one_hot(jnp.full(self.queries, self.in_size - 1), self.in_size)
        return Example(
            xs=jnp.concatenate([shown, key_rows[asked] + flag]),
            start=None,
            targets=jnp.concatenate([jnp.zeros(len(shown), jnp.int32), values[asked]]),
            mask=jnp.arange(self.length) >= len(shown),
        )
