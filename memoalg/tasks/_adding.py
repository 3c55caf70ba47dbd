"""The adding problem."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ..nn._precision import wide
from ._check import check_size
from ._task import AbstractTask, Example


class Adding(AbstractTask):
    r"""Say the sum of the two numbers that were marked: an exact value held over a long time.

    Each of `items` steps shows a number drawn uniformly from [0, 1) in channel 0, and in channel 1 a
    mark, which is 1 on one step of the first half and on one step of the second half, each uniformly
    chosen, and 0 elsewhere. On the step after them only channel 2 is 1: there the sum of the two marked
    numbers is to be said.

    The loss is the squared error $e^2$. The score is $\max(0, 1 - 6 e^2)$: 1 is exact, and 0 is off by
    the standard deviation of the sum, which is $1/\sqrt 6$. Always to say 1 is the best guess; it
    scores 0.461.

    Arguments:
        items: numbers that are shown, at least 2; the first half are the first `items // 2`.

    Raises:
        ValueError: where there are fewer than 2.
        TypeError: where it is no int.

    Source: Hochreiter and Schmidhuber, Long Short-Term Memory (Neural Computation 9, 1997), experiment
        4. There the numbers are of [-1, 1], the first mark is on one of the first ten steps, and the
        marks of the first and the last step are -1.

    Example:
        >>> import jax, memoalg as ma
        >>> task = ma.tasks.Adding(items=4)
        >>> example = task.sample(jax.random.key(0))
        >>> numbers, marks, _ = example.xs.T
        >>> print(marks, bool(example.targets[-1, 0] == (numbers * marks).sum()))
        [1. 0. 0. 1. 0.] True
    """

    items: int = eqx.field(static=True, default=20)

    def __check_init__(self) -> None:
        check_size(self.items, "Adding: items", 2)

    @property
    def in_size(self) -> int:
        return 3

    @property
    def out_size(self) -> int:
        return 1

    @property
    def length(self) -> int:
        return self.items + 1

    @property
    def chance(self) -> float:
        # The sum lies e from 1 with density 2 (1 - e): the integral of that times 1 - 6 e² up to a.
        a = 6**-0.5
        return 2 * a - a**2 - 4 * a**3 + 3 * a**4

    def sample(self, key: PRNGKeyArray) -> Example:
        number_key, first_key, second_key = jax.random.split(key, 3)
        numbers = jax.random.uniform(number_key, (self.items,))
        first = jax.random.randint(first_key, (), 0, self.items // 2)
        second = jax.random.randint(second_key, (), self.items // 2, self.items)
        marks = jnp.zeros(self.items).at[first].set(1).at[second].set(1)
        shown = jnp.stack([numbers, marks, jnp.zeros(self.items)], axis=1)
        target = numbers[first] + numbers[second]
        return Example(
            xs=jnp.concatenate([shown, jnp.array([[0.0, 0.0, 1.0]])]),
            start=None,
            targets=jnp.zeros((self.length, 1)).at[-1, 0].set(target),
            mask=jnp.arange(self.length) == self.items,
        )

    def loss(self, ys: Float[Array, "time out"], example: Example) -> Float[Array, ""]:
        asked = jnp.sum(example.mask).astype(float)
        return jnp.sum(_squared_errors(ys, example)) / asked

    def score(self, ys: Float[Array, "time out"], example: Example) -> Float[Array, ""]:
        worth = jnp.maximum(0, 1 - 6 * _squared_errors(ys, example))
        asked = jnp.sum(example.mask).astype(worth.dtype)
        return jnp.sum(jnp.where(example.mask, worth, 0)) / asked


def _squared_errors(ys: Float[Array, "time out"], example: Example) -> Float[Array, " time"]:
    """0 where nothing is asked; selected first, so that no NaN of such a step gets into the gradient."""
    error = jnp.where(example.mask[:, None], wide(ys) - example.targets, 0)
    return jnp.sum(error**2, axis=1)
