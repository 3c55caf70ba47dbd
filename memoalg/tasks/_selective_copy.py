"""Selective copy."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from ._check import check_size
from ._symbols import AbstractSymbolTask, distinct, one_hot
from ._task import Example


class SelectiveCopy(AbstractSymbolTask):
    """Copy symbols that stand at random places among empty steps: what to store depends on the input.

    Of `context` steps, `items` are chosen, every choice with equal probability; each shows a symbol
    drawn uniformly and independently, the others are empty (inputs of zeros). Then follow `items` steps
    on which only the last channel is 1, and on which the symbols are to be said in their order. A
    memory with a fixed delay does [`memoalg.tasks.Copy`][], but not this.

    Arguments:
        symbols: how many different symbols there are, at least 2.
        items: symbols that are shown.
        context: steps among which they stand, at least `items`.

    Raises:
        ValueError: where a size is too small.
        TypeError: where one is no int.

    Source: Gu and Dao, Mamba: Linear-Time Sequence Modeling with Selective State Spaces
        (arXiv 2312.00752), sections 3.1 and 4.1.1. There 16 of 4,096 steps show a symbol.

    Example:
        >>> import jax, memoalg as ma
        >>> task = ma.tasks.SelectiveCopy(symbols=4, items=2, context=5)
        >>> example = task.sample(jax.random.key(5))
        >>> print(example.xs[:5, :4].sum(1), example.xs[-1])
        [1. 0. 1. 0. 0.] [0. 0. 0. 0. 1.]
    """

    symbols: int = eqx.field(static=True, default=8)
    items: int = eqx.field(static=True, default=4)
    context: int = eqx.field(static=True, default=12)

    def __check_init__(self) -> None:
        check_size(self.symbols, "SelectiveCopy: symbols", 2)
        check_size(self.items, "SelectiveCopy: items", 1)
        check_size(self.context, f"SelectiveCopy: context with items={self.items}", self.items)

    @property
    def in_size(self) -> int:
        return self.symbols + 1

    @property
    def out_size(self) -> int:
        return self.symbols

    @property
    def length(self) -> int:
        return self.context + self.items

    @property
    def chance(self) -> float:
        return 1 / self.symbols

    def sample(self, key: PRNGKeyArray) -> Example:
        place_key, symbol_key = jax.random.split(key)
        string = jax.random.randint(symbol_key, (self.items,), 0, self.symbols)
        places = jnp.sort(distinct(place_key, self.items, self.context))
        context = jnp.full(self.context, -1, jnp.int32).at[places].set(string)
        recall = jnp.full(self.items, self.symbols, jnp.int32)
        return Example(
            xs=one_hot(jnp.concatenate([context, recall]), self.in_size),
            start=None,
            targets=jnp.concatenate([jnp.zeros(self.context, jnp.int32), string]),
            mask=jnp.arange(self.length) >= self.context,
        )
