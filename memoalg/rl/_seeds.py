"""One seed or several at once, as jitted programs: start, a chunk of updates, evaluation."""

import dataclasses
from functools import partial
from typing import Any, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, Key, PyTree, UInt32

from .._tree import tree_where
from ._state import SEED_AXES, Evaluation, TrainState


@runtime_checkable
class Algorithm(Protocol):
    """What `fit` asks of an algorithm: three pure functions and a number."""

    @property
    def frames_per_update(self) -> int:
        """Environment steps of one seed in one update."""
        ...

    def init(self, key: Key[Array, ""]) -> Any:
        """The first training state."""
        ...

    def update(self, state: Any) -> tuple[Any, Any]:
        """One rollout and what is learned from it: the next state and scalar metrics."""
        ...

    def evaluate(
        self, state: Any, key: Key[Array, ""], episodes: int, *, greedy: bool = True
    ) -> Evaluation:
        """Complete episodes, one per lane."""
        ...


@dataclasses.dataclass(frozen=True)
class Static:
    """Everything of an algorithm but its arrays: hashable, so that jit knows it again.

    `eqx.filter_jit` does the same, but waits for the result on the way out (equinox 0.13), and the
    host would stand still while a chunk runs.
    """

    leaves: tuple[Any, ...]
    structure: Any

    def join(self, arrays: PyTree) -> Any:
        """The algorithm with these arrays."""
        return eqx.combine(jax.tree.unflatten(self.structure, self.leaves), arrays)


def split(algorithm: Algorithm) -> tuple[PyTree, Static]:
    """An algorithm's arrays, and the rest."""
    arrays, rest = eqx.partition(algorithm, _is_array)
    leaves, structure = jax.tree.flatten(rest)
    return arrays, Static(tuple(leaves), structure)


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray)


def seed_keys(key: Key[Array, ""] | UInt32[Array, " 2"], seeds: int) -> Key[Array, " seeds"]:
    """The key of each seed: the given one for a single seed, else a split of it.

    Seed `i` of several is therefore the run `fit(algo, jax.random.split(key, seeds)[i], …)`.

    Args:
        key: a random key, typed or old.
        seeds: how many, at least 1.

    Returns:
        Typed keys, shape `(seeds,)`.

    >>> seed_keys(jax.random.key(0), 3).shape
    (3,)
    """
    if not jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        key = jax.random.wrap_key_data(key)
    return key[None] if seeds == 1 else jax.random.split(key, seeds)


def sequential_seeds() -> bool:
    """Whether seeds run one after another: on a CPU, where `vmap` over them is slower."""
    return jax.default_backend() == "cpu"


def state_shape(algorithm: Algorithm, keys: Key[Array, " seeds"]) -> PyTree[jax.ShapeDtypeStruct]:
    """Shapes and dtypes of `start_seeds(algorithm, keys)`, without computing it."""
    arrays, static = split(algorithm)
    return jax.eval_shape(partial(_start_program, static), arrays, keys)


def start_seeds(algorithm: Algorithm, keys: Key[Array, " seeds"]) -> Any:
    """The first state of every seed, stacked where there are several; compiled.

    Args:
        algorithm: what is trained.
        keys: one per seed.
    """
    arrays, static = split(algorithm)
    return _start_program(static, arrays, keys)


@partial(jax.jit, static_argnums=0)
def _start_program(static: Static, arrays: PyTree, keys: Key[Array, " seeds"]) -> Any:
    algorithm = static.join(arrays)
    if len(keys) == 1:
        return algorithm.init(keys[0])
    if not sequential_seeds():
        return jax.vmap(algorithm.init, out_axes=SEED_AXES)(keys)
    return _one_counter(jax.lax.map(algorithm.init, keys))


def _one_counter(state: TrainState) -> TrainState:
    """After `lax.map` the shared counters are stacked too; they are equal for all seeds."""
    return eqx.tree_at(lambda s: s.shared, state, jax.tree.map(lambda x: x[0], state.shared))


def _update(algorithm: Algorithm, seeds: int, state: Any) -> tuple[Any, Any]:
    """One update of every seed; the metrics always get a leading axis of seeds."""
    if seeds == 1:
        state, metrics = algorithm.update(state)
        return state, jax.tree.map(lambda x: x[None], metrics)
    if not sequential_seeds():
        vmapped = jax.vmap(algorithm.update, in_axes=(SEED_AXES,), out_axes=(SEED_AXES, 0))
        return vmapped(state)

    def one(parts: tuple[Any, Any, Any]) -> tuple[Any, Any]:
        return algorithm.update(type(state)(state.shared, *parts))

    state, metrics = jax.lax.map(one, (state.agent, state.rollout, state.key))
    return _one_counter(state), metrics


@partial(jax.jit, static_argnums=(0, 1, 2), donate_argnums=6)
def run_chunk(
    static: Static,
    seeds: int,
    size: int,
    arrays: PyTree,
    count: Int[Array, ""],
    healthy: Bool[Array, ""],
    state: Any,
) -> tuple[Any, Any, Int[Array, ""], Bool[Array, ""]]:
    """Up to `count` updates of all seeds; stops before the first one whose loss is not finite.

    The count is a traced number, so that a last, shorter chunk needs no second compilation.

    Args:
        static: the algorithm without its arrays.
        seeds: how many at once.
        size: rows of the metrics buffer.
        arrays: those of the algorithm.
        count: updates to do, at most `size`.
        healthy: whether all was good before, without which nothing is done: the host learns of a
            failure only after it has sent off the next chunk.
        state: of all seeds; donated.

    Returns:
        The state (the last good one), the metrics with leading axes `(size, seeds)`, how many
        updates were good, and whether all were. The failing update's metrics follow the good ones.
    """
    algorithm = static.join(arrays)

    # The jit inside keeps the trace: the shapes below and the loop body share it.
    @jax.jit
    def update(state: Any) -> tuple[Any, Any]:
        return _update(algorithm, seeds, state)

    def go_on(loop: Any) -> Array:
        i, healthy, _, _ = loop
        return (i < count) & healthy

    def body(loop: Any) -> Any:
        i, _, state, rows = loop
        new, metrics = update(state)
        healthy = all_finite(metrics)
        rows = jax.tree.map(partial(_put_row, i), rows, metrics)
        return i + healthy.astype(i.dtype), healthy, tree_where(healthy, new, state), rows

    shapes = jax.eval_shape(update, state)[1]
    rows = jax.tree.map(lambda s: jnp.zeros((size, *s.shape), s.dtype), shapes)
    start = (jnp.zeros_like(count), healthy, state, rows)
    done, healthy, state, rows = jax.lax.while_loop(go_on, body, start)
    return state, rows, done, healthy


def _put_row(i: Int[Array, ""], rows: Array, row: Array) -> Array:
    return jax.lax.dynamic_update_index_in_dim(rows, row, i, 0)


def all_finite(metrics: PyTree) -> Bool[Array, ""]:
    """Whether every loss and norm among the metrics is finite.

    Other metrics may be undefined for good reasons (an explained variance of a constant).
    """
    flat = jax.tree_util.tree_flatten_with_path(metrics)[0]
    checked = [x for path, x in flat if is_vital(jax.tree_util.keystr(path)) and _is_float(x)]
    return jnp.stack([jnp.array(True), *(jnp.isfinite(x).all() for x in checked)]).all()


def is_vital(name: str) -> bool:
    """Whether training stops when this metric is not finite."""
    return "loss" in name or "norm" in name


def _is_float(x: Array) -> bool:
    return jnp.issubdtype(x.dtype, jnp.floating)


@partial(jax.jit, static_argnums=(0, 1, 2, 3))
def evaluate_seeds(
    static: Static,
    seeds: int,
    episodes: int,
    greedy: bool,
    arrays: PyTree,
    state: Any,
    keys: Key[Array, " seeds"],
) -> Evaluation:
    """Evaluation of every seed on its own key; leading axis of seeds.

    Args:
        static: the algorithm without its arrays.
        seeds: in the state.
        episodes: per seed.
        greedy: the likeliest action, or a sample.
        arrays: those of the algorithm.
        state: of all seeds; only read.
        keys: one per seed.
    """
    algorithm = static.join(arrays)
    if seeds == 1:
        result = algorithm.evaluate(state, keys[0], episodes, greedy=greedy)
        return jax.tree.map(lambda x: x[None], result)

    def one(parts: tuple[Any, Any, Any, Array]) -> Evaluation:
        *own, key = parts
        return algorithm.evaluate(type(state)(state.shared, *own), key, episodes, greedy=greedy)

    parts = (state.agent, state.rollout, state.key, keys)
    return jax.lax.map(one, parts) if sequential_seeds() else jax.vmap(one)(parts)
