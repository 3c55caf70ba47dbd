"""Tasks whose answers are symbols."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ..nn._precision import wide
from ._task import AbstractTask, Example


class AbstractSymbolTask(AbstractTask):
    """A task whose outputs are the logits of `out_size` symbols.

    The loss is the cross entropy in nats, the score the accuracy: means over the steps at which an
    answer is asked for. A task of your own derives from it and says `in_size`, `out_size`, `length`,
    `chance` and `sample`.

    Example:
        >>> import jax, memoalg as ma
        >>> task = ma.tasks.Parity(length=4)
        >>> example = task.sample(jax.random.key(0))
        >>> float(task.score(jax.nn.one_hot(example.targets, 2), example))
        1.0
    """

    def loss(self, ys: Float[Array, "time out"], example: Example) -> Float[Array, ""]:
        # Selected before the logarithm, so that no NaN of an unasked step gets into the gradient.
        logits = wide(jnp.where(example.mask[:, None], ys, 0))
        right = jax.nn.one_hot(example.targets, self.out_size, dtype=logits.dtype)
        return _mean(-jnp.sum(right * jax.nn.log_softmax(logits), axis=-1), example)

    def score(self, ys: Float[Array, "time out"], example: Example) -> Float[Array, ""]:
        hits = jnp.argmax(ys, axis=-1) == example.targets
        return _mean(hits.astype(float), example)


def _mean(values: Float[Array, " time"], example: Example) -> Float[Array, ""]:
    asked = jnp.sum(example.mask).astype(values.dtype)
    return jnp.sum(jnp.where(example.mask, values, 0)) / asked


def one_hot(symbols: Int[Array, " n"], size: int) -> Float[Array, "n {size}"]:
    """Rows with a 1 at each symbol; a negative symbol is a row of zeros."""
    return jax.nn.one_hot(symbols, size, dtype=float)


def distinct(key: PRNGKeyArray, count: int, below: int) -> Int[Array, " {count}"]:
    """`count` different numbers of `range(below)`, every choice and order with equal probability."""
    # Sorting random words: jax.random.permutation compiles two sorts for the same.
    return jnp.argsort(jax.random.bits(key, (below,), jnp.uint32))[:count].astype(jnp.int32)
