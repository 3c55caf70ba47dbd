"""Supervised training of a layer on a task."""

import math
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from ..nn import AbstractLayer
from ._check import check_model
from ._config import FitConfig
from ._evaluate import Evaluation, measure
from ._task import AbstractTask, Example

Model = TypeVar("Model", bound=AbstractLayer)


class Fitted(eqx.Module, Generic[Model]):
    """What `fit` returns.

    Attributes:
        model: the trained model.
        losses: of each update's batch, before the update.
        scores: likewise, in [0, 1].
    """

    model: Model
    losses: Float[np.ndarray, " updates"]
    scores: Float[np.ndarray, " updates"]


class Settings(eqx.Module):
    """Numbers of `FitConfig` as arrays: other values use the same compiled program."""

    learning_rate: Float[Array, ""]
    warm_up: Int[Array, ""]
    weight_decay: Float[Array, ""]
    max_grad_norm: Float[Array, ""]


class Sizes(NamedTuple):
    """What shapes depend on."""

    batch: int
    chunk: int


class TrainState(eqx.Module):
    """What is carried from update to update.

    Attributes:
        params: the model's inexact arrays; None in the other places.
        optimizer: optax's state.
        key: random key of the whole run.
        update: number of updates so far.
    """

    params: PyTree
    optimizer: PyTree
    key: PRNGKeyArray
    update: Int[Array, ""]


def fit(
    model: Model,
    task: AbstractTask,
    key: PRNGKeyArray,
    config: FitConfig = FitConfig(),
    progress: Callable[[int, float, float], None] | None = None,
) -> Fitted[Model]:
    """Train a model on a task: AdamW behind a clip of the global norm, in jitted chunks of updates.

    Examples are drawn on the device, new ones for each update or from a fixed number of them
    (`config.examples`). The same key and settings give the same model, whatever the chunk.

    Arguments:
        model: a layer from the task's `in_size` to its `out_size`; it is not changed.
        task: what is learned.
        key: random key of the examples.
        config: settings.
        progress: called after each chunk with the number of updates so far, and the chunk's mean loss
            and score.

    Returns:
        The trained model, and loss and score of every update.

    Raises:
        ValueError: the model's sizes are not the task's.
        TypeError: `model` is no layer, or `task` no task.
        ArithmeticError: a loss is NaN or infinite; the message names the update.

    Example:
        >>> import jax, memoalg as ma
        >>> task = ma.tasks.Copy(symbols=2, items=1)
        >>> model = ma.nn.make("gru", in_size=3, out_size=2, width=8, key=jax.random.key(0))
        >>> fitted = ma.tasks.fit(model, task, jax.random.key(1), ma.tasks.FitConfig(steps=200))
        >>> float(ma.tasks.evaluate(fitted.model, task, jax.random.key(2)).score)
        1.0
    """
    check_model("fit", model, task)
    settings = _settings(config)
    state, static, pool = _begin(model, task, key, config, settings)
    sizes = Sizes(config.batch, config.chunk)
    losses, scores = np.zeros(0, np.float32), np.zeros(0, np.float32)
    while len(losses) < config.steps:
        count = min(config.chunk, config.steps - len(losses))
        state, metrics = _chunk(state, static, pool, task, settings, sizes, jnp.asarray(count))
        loss, score = np.asarray(metrics.loss)[:count], np.asarray(metrics.score)[:count]
        _require_finite(loss, len(losses))
        losses, scores = np.append(losses, loss), np.append(scores, score)
        if progress is not None:
            progress(len(losses), float(loss.mean()), float(score.mean()))
        if config.goal is not None and score.mean() >= config.goal:
            break
    return Fitted(eqx.combine(state.params, static), losses, scores)


def _settings(config: FitConfig) -> Settings:
    # Weakly typed: parameters in half precision stay what they are.
    return Settings(
        learning_rate=jnp.asarray(float(config.learning_rate)),
        warm_up=jnp.asarray(config.warm_up),
        weight_decay=jnp.asarray(float(config.weight_decay)),
        max_grad_norm=jnp.asarray(float(config.max_grad_norm)),
    )


def _begin(
    model: AbstractLayer,
    task: AbstractTask,
    key: PRNGKeyArray,
    config: FitConfig,
    settings: Settings,
) -> tuple[TrainState, PyTree, Example | None]:
    """The first state, what of the model does not train, and the fixed examples if there are any."""
    pool_key, key = jax.random.split(key)
    params, static = eqx.partition(model, eqx.is_inexact_array)
    # Without weak types, which the first update would lose: that would compile everything twice.
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, leaf.dtype), params)
    state = TrainState(params, _optimizer(settings).init(params), key, jnp.zeros((), jnp.int32))
    return state, static, _draw(task, pool_key, config.examples) if config.examples else None


@eqx.filter_jit
def _chunk(
    state: TrainState,
    static: PyTree,
    pool: Example | None,
    task: AbstractTask,
    settings: Settings,
    sizes: Sizes,
    count: Int[Array, ""],
) -> tuple[TrainState, Evaluation]:
    """`sizes.chunk` updates, of which those from `count` on are skipped: the last chunk is shorter."""

    def body(state: TrainState, index: Int[Array, ""]) -> tuple[TrainState, Evaluation]:
        return jax.lax.cond(index < count, update, skip, state)

    def update(state: TrainState) -> tuple[TrainState, Evaluation]:
        examples = _batch(task, pool, jax.random.fold_in(state.key, state.update), sizes.batch)
        return _update(state, static, task, examples, settings)

    def skip(state: TrainState) -> tuple[TrainState, Evaluation]:
        _, metrics = jax.eval_shape(update, state)
        return state, jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), metrics)

    return jax.lax.scan(body, state, jnp.arange(sizes.chunk))


def _update(
    state: TrainState, static: PyTree, task: AbstractTask, examples: Example, settings: Settings
) -> tuple[TrainState, Evaluation]:
    def loss(params: PyTree) -> tuple[Float[Array, ""], Evaluation]:
        model = eqx.combine(params, static)
        each = jax.vmap(lambda example: measure(model, task, example))(examples)
        mean = jax.tree.map(jnp.mean, each)
        return mean.loss, mean

    gradient, metrics = jax.grad(loss, has_aux=True)(state.params)
    # optax raises a Python float to an int32 count, which strict promotion forbids.
    with jax.numpy_dtype_promotion("standard"):
        changes, optimizer = _optimizer(settings).update(gradient, state.optimizer, state.params)
        params = optax.apply_updates(state.params, changes)
    return TrainState(params, optimizer, state.key, state.update + 1), metrics


def _batch(task: AbstractTask, pool: Example | None, key: PRNGKeyArray, batch: int) -> Example:
    if pool is None:
        return _draw(task, key, batch)
    if batch >= len(pool.mask):
        return pool
    chosen = jax.random.randint(key, (batch,), 0, len(pool.mask))
    return jax.tree.map(lambda leaf: leaf[chosen], pool)


@eqx.filter_jit
def _draw(task: AbstractTask, key: PRNGKeyArray, count: int) -> Example:
    return jax.vmap(task.sample)(jax.random.split(key, count))


def _optimizer(settings: Settings) -> optax.GradientTransformation:
    def rate(count: ArrayLike) -> Float[Array, ""]:
        # Not from 0: the first update would do nothing.
        part = (jnp.asarray(count) + 1) / (settings.warm_up + 1)
        return settings.learning_rate * jnp.minimum(1, part)

    return optax.chain(
        optax.clip_by_global_norm(settings.max_grad_norm),
        optax.adamw(rate, weight_decay=settings.weight_decay),
    )


def _require_finite(losses: np.ndarray, before: int) -> None:
    wrong = [i for i, loss in enumerate(losses) if not math.isfinite(loss)]
    if wrong:
        raise ArithmeticError(
            f"fit: the loss of update {before + wrong[0] + 1} is {losses[wrong[0]]}: "
            "try a smaller learning_rate or a longer warm_up in FitConfig"
        )
