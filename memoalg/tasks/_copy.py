"""Copy."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from ._check import check_size
from ._symbols import AbstractSymbolTask, one_hot
from ._task import Example


class Copy(AbstractSymbolTask):
    """Say a string of symbols after it was shown: what a memory can hold, and in which order.

    `items` symbols are drawn uniformly and independently and shown one a step; then follow `delay`
    empty steps (inputs of zeros); then `items` steps on which only the last channel is 1, and on which
    the symbols are to be said in their order. The last channel is 1 throughout the recall, so that
    nothing has to be counted from the delimiter on but the place in the string.

    Arguments:
        symbols: how many different symbols there are, at least 2.
        items: symbols in the string.
        delay: empty steps between the string and the recall.

    Raises:
        ValueError: where a size is too small.
        TypeError: where one is no int.

    Source: Graves et al., Neural Turing Machines (arXiv 1410.5401), section 4.1; with a delay, as in
        Hochreiter and Schmidhuber, Long Short-Term Memory (Neural Computation 9, 1997).

    Example:
        >>> import jax, memoalg as ma
        >>> task = ma.tasks.Copy(symbols=4, items=3, delay=2)
        >>> example = task.sample(jax.random.key(0))
        >>> print(example.xs[:3].argmax(1), example.targets[-3:])
        [1 0 0] [1 0 0]
        >>> task.length, task.chance
        (8, 0.25)
    """

    symbols: int = eqx.field(static=True, default=8)
    items: int = eqx.field(static=True, default=5)
    delay: int = eqx.field(static=True, default=0)

    def __check_init__(self) -> None:
        check_size(self.symbols, "Copy: symbols", 2)
        check_size(self.items, "Copy: items", 1)
        check_size(self.delay, "Copy: delay", 0)

    @property
    def in_size(self) -> int:
        return self.symbols + 1

    @property
    def out_size(self) -> int:
        return self.symbols

    @property
    def length(self) -> int:
        return 2 * self.items + self.delay

    @property
    def chance(self) -> float:
        return 1 / self.symbols

    def sample(self, key: PRNGKeyArray) -> Example:
        string = jax.random.randint(key, (self.items,), 0, self.symbols)
        before = jnp.zeros(self.items + self.delay, jnp.int32)
        shown = [string, before[: self.delay] - 1, jnp.full(self.items, self.symbols, jnp.int32)]
        return Example(
            xs=one_hot(jnp.concatenate(shown), self.in_size),
            start=None,
            targets=jnp.concatenate([before, string]),
            mask=jnp.arange(self.length) >= self.items + self.delay,
        )
