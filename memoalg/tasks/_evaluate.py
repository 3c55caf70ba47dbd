"""What a model does on a task, without training."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PRNGKeyArray, UInt32

from ..nn import AbstractLayer
from ._check import check_model, check_size
from ._task import AbstractTask, Example


class Evaluation(eqx.Module):
    """Means over examples.

    Attributes:
        loss: the task's loss.
        score: the task's score, in [0, 1]; see the task's `chance`.
    """

    loss: Float[Array, ""]
    score: Float[Array, ""]


def evaluate(
    model: AbstractLayer,
    task: AbstractTask,
    key: PRNGKeyArray,
    examples: int = 1024,
) -> Evaluation:
    """How good a model is on examples of a task.

    Arguments:
        model: a layer from the task's `in_size` to its `out_size`.
        task: what is asked.
        key: random key of the examples.
        examples: how many.

    Returns:
        The mean loss and score.

    Raises:
        ValueError: the model's sizes are not the task's, or there is no example.
        TypeError: `model` is no layer, or `task` no task.

    Example:
        >>> import jax, memoalg as ma
        >>> task = ma.tasks.Packed(ma.tasks.Copy(symbols=4, items=3), episodes=2)
        >>> recall = ma.nn.Pointwise(lambda x: x[:4])
        >>> model = ma.nn.Serial(ma.nn.Delay(5, 3), recall)
        >>> float(ma.tasks.evaluate(model, task, jax.random.key(0)).score)
        1.0
    """
    check_model("evaluate", model, task)
    check_size(examples, "evaluate: examples", 1)
    return _evaluate(model, task, jax.random.split(key, examples))


@eqx.filter_jit
def _evaluate(
    model: AbstractLayer, task: AbstractTask, keys: Key[Array, " n"] | UInt32[Array, "n 2"]
) -> Evaluation:
    def one(key: PRNGKeyArray) -> Evaluation:
        return measure(model, task, task.sample(key))

    # In parts: any number of examples fits into memory.
    return jax.tree.map(jnp.mean, jax.lax.map(one, keys, batch_size=256))


def measure(model: AbstractLayer, task: AbstractTask, example: Example) -> Evaluation:
    """Loss and score of a model on one example, from a fresh carry."""
    # The carry is made here and not outside: so a learned initial state gets its gradient.
    _, ys = model(model.init_carry(), example.xs, example.start)
    return Evaluation(loss=task.loss(ys, example), score=task.score(ys, example))
