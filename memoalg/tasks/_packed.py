"""Several episodes in one sequence."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ._check import check_size
from ._task import AbstractTask, Example


class Packed(AbstractTask):
    """Several independent examples of a task one after the other, with `start` where each begins.

    What a model remembers of one is of no use in the next: so its resets are trained and tested too.
    It is again a task, with the same chance.

    Arguments:
        task: whose examples are packed.
        episodes: how many in one sequence.

    Raises:
        ValueError: where there is no episode.
        TypeError: where `task` is no task, or `episodes` no int.

    Example:
        >>> import jax, memoalg as ma
        >>> task = ma.tasks.Packed(ma.tasks.Parity(length=2), episodes=3)
        >>> example = task.sample(jax.random.key(0))
        >>> print(example.start.astype(int))
        [1 0 1 0 1 0]
    """

    task: AbstractTask
    episodes: int = eqx.field(static=True)

    def __check_init__(self) -> None:
        if not isinstance(self.task, AbstractTask):
            raise TypeError(f"Packed takes a task, got {type(self.task).__name__}")
        check_size(self.episodes, "Packed: episodes", 1)

    @property
    def in_size(self) -> int:
        return self.task.in_size

    @property
    def out_size(self) -> int:
        return self.task.out_size

    @property
    def length(self) -> int:
        return self.episodes * self.task.length

    @property
    def chance(self) -> float:
        return self.task.chance

    def sample(self, key: PRNGKeyArray) -> Example:
        examples = jax.vmap(self.task.sample)(jax.random.split(key, self.episodes))
        start = jnp.zeros(examples.mask.shape, bool) if examples.start is None else examples.start
        return Example(
            xs=examples.xs.reshape(self.length, -1),
            start=start.at[:, 0].set(True).reshape(-1),
            targets=examples.targets.reshape(self.length, *examples.targets.shape[2:]),
            mask=examples.mask.reshape(-1),
        )

    def loss(self, ys: Float[Array, "time out"], example: Example) -> Float[Array, ""]:
        return self.task.loss(ys, example)

    def score(self, ys: Float[Array, "time out"], example: Example) -> Float[Array, ""]:
        return self.task.score(ys, example)
