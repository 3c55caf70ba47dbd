"""What every task keeps: how an example is drawn, what a wrong answer costs, what it scores."""

import abc

import equinox as eqx
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray


class Example(eqx.Module):
    """One sequence with its answers; batches have leading axes on every field.

    Attributes:
        xs: inputs, `(time, in_size)`.
        start: true on the first step of each episode; None for a single episode.
        targets: the right answers: symbols `(time,)` or numbers `(time, out_size)`; 0 where
            none is asked for.
        mask: true where an answer is asked for.
    """

    xs: Float[Array, "time in"]
    start: Bool[Array, " time"] | None
    targets: Int[Array, " time"] | Float[Array, "time out"]
    mask: Bool[Array, " time"]


class AbstractTask(eqx.Module):
    """A family of sequences with answers. Its fields are static: a task is an argument of `jax.jit`.

    Example:
        >>> import jax, memoalg as ma
        >>> task = ma.tasks.Copy(symbols=4, items=3)
        >>> example = task.sample(jax.random.key(0))
        >>> example.xs.shape, example.targets.shape, int(example.mask.sum())
        ((6, 5), (6,), 3)
    """

    @property
    @abc.abstractmethod
    def in_size(self) -> int:
        """Length of an input vector."""

    @property
    @abc.abstractmethod
    def out_size(self) -> int:
        """Length of an output vector."""

    @property
    @abc.abstractmethod
    def length(self) -> int:
        """Steps of an example."""

    @property
    @abc.abstractmethod
    def chance(self) -> float:
        """The expected score of the best guess from the present input alone, exactly."""

    @abc.abstractmethod
    def sample(self, key: PRNGKeyArray) -> Example:
        """Draw one example.

        Arguments:
            key: random key.

        Returns:
            The example, without a batch axis: `jax.vmap(task.sample)(keys)` is a batch.
        """

    @abc.abstractmethod
    def loss(self, ys: Float[Array, "time out"], example: Example) -> Float[Array, ""]:
        """What is minimised, over the steps at which an answer is asked for.

        Arguments:
            ys: what a model said at every step.
            example: the sequence that it saw.

        Returns:
            The loss; what is said at other steps does not touch it, nor its gradient.
        """

    @abc.abstractmethod
    def score(self, ys: Float[Array, "time out"], example: Example) -> Float[Array, ""]:
        """How good the answers are.

        Arguments:
            ys: what a model said at every step.
            example: the sequence that it saw.

        Returns:
            A number in [0, 1]; 1 where every answer is right.
        """
