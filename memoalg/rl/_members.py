"""One member of a population or several at once, as jitted programs: start, updates, evaluation."""

import dataclasses
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, Key, PyTree

from .._tree import tree_where
from ._layout import Layout
from ._population import Population, member_algorithm
from ._state import SEED_AXES, Evaluation

# Arrays of a population, apart from its algorithm's: swept values by name, each (members,).
Values = dict[str, Array]


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


def split(algorithm: Any) -> tuple[PyTree, Static]:
    """An algorithm's arrays, and the rest."""
    arrays, rest = eqx.partition(algorithm, _is_array)
    leaves, structure = jax.tree.flatten(rest)
    return arrays, Static(tuple(leaves), structure)


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray)


# Beginning


def state_shape(population: Population, layout: Layout) -> PyTree[jax.ShapeDtypeStruct]:
    """Shapes and dtypes of `start_members(…)`, without computing it."""
    arrays, static = split(population.algo)
    keys = jax.eval_shape(population.keys, jax.random.key(0))
    program = partial(_start_program, static, layout)
    return jax.eval_shape(program, arrays, population.stacked_values(), keys)


def start_members(population: Population, layout: Layout, keys: Key[Array, " members"]) -> Any:
    """The first state of every member, stacked where there are several; compiled.

    Args:
        population: what is trained.
        layout: where.
        keys: one per member.
    """
    arrays, static = split(population.algo)
    values = layout.divide(population.stacked_values())
    return _start_program(static, layout, layout.copy(arrays), values, layout.divide(keys))


@partial(jax.jit, static_argnums=(0, 1))
def _start_program(
    static: Static, layout: Layout, arrays: PyTree, values: Values, keys: Key[Array, " members"]
) -> Any:
    algorithm = static.join(arrays)

    def start(values: Values, key: Key[Array, ""]) -> Any:
        return member_algorithm(algorithm, values).init(key)

    if layout.members == 1:
        return start(_first(values), keys[0])
    if layout.sequential:
        return _one_counter(jax.lax.map(lambda parts: start(*parts), (values, keys)))
    return layout.constrain(jax.vmap(start, out_axes=SEED_AXES)(values, keys))


def _first(stacked: PyTree) -> PyTree:
    return jax.tree.map(lambda x: x[0], stacked)


def _one_counter(state: Any) -> Any:
    """After `lax.map` the shared counters are stacked too; they are equal for all members."""
    return eqx.tree_at(lambda s: s.shared, state, _first(state.shared))


def take_member(state: Any, members: int, index: int) -> Any:
    """The state of one member, as if it had been trained alone.

    Args:
        state: of all members.
        members: how many.
        index: which, from 0.
    """
    if members == 1:
        return state
    own = jax.tree.map(lambda x: x[index], (state.agent, state.rollout, state.key))
    return type(state)(state.shared, *own)


# Updates


def update_members(
    algorithm: Any, layout: Layout, values: Values, state: Any
) -> tuple[Any, PyTree[Array]]:
    """One update of every member; the metrics always get a leading axis of members.

    Args:
        algorithm: of the population.
        layout: how the members are mapped.
        values: swept values, each `(members,)`.
        state: of all members. Its shared counters are never mapped over, so that a branch on one
            stays a branch.
    """

    def update(values: Values, state: Any) -> tuple[Any, Any]:
        return member_algorithm(algorithm, values).update(state)

    def update_parts(parts: tuple[Values, Any, Any, Any]) -> tuple[Any, Any]:
        return update(parts[0], type(state)(state.shared, *parts[1:]))

    if layout.members == 1:
        state, metrics = update(_first(values), state)
        return state, jax.tree.map(lambda x: x[None], metrics)
    if layout.sequential:
        new, metrics = jax.lax.map(update_parts, (values, state.agent, state.rollout, state.key))
        return _one_counter(new), metrics
    mapped = jax.vmap(update, in_axes=(0, SEED_AXES), out_axes=(SEED_AXES, 0))
    new, metrics = mapped(values, state)
    return layout.constrain(new), metrics


@partial(jax.jit, static_argnums=(0, 1, 2), donate_argnums=7)
def run_chunk(
    static: Static,
    layout: Layout,
    size: int,
    arrays: PyTree,
    values: Values,
    count: Int[Array, ""],
    healthy: Bool[Array, ""],
    state: Any,
) -> tuple[Any, Any, Int[Array, ""], Bool[Array, ""]]:
    """Up to `count` updates of all members; stops before the first whose loss is not finite.

    The count is a traced number, so that a last, shorter chunk needs no second compilation.

    Args:
        static: the algorithm without its arrays.
        layout: how the members are mapped.
        size: rows of the metrics buffer.
        arrays: those of the algorithm.
        values: swept values.
        count: updates to do, at most `size`.
        healthy: whether all was good before, without which nothing is done: the host learns of a
            failure only after it has sent off the next chunk.
        state: of all members; donated.

    Returns:
        The state (the last good one), the metrics with leading axes `(size, members)`, how many
        updates were good, and whether all were. The failing update's metrics follow the good ones.
    """
    algorithm = static.join(arrays)

    # The jit inside keeps the trace: the shapes below and the loop body share it.
    @jax.jit
    def update(state: Any) -> tuple[Any, Any]:
        return update_members(algorithm, layout, values, state)

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
    return layout.constrain(state), rows, done, healthy


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


# Evaluation


@partial(jax.jit, static_argnums=(0, 1, 2, 3))
def evaluate_members(
    static: Static,
    layout: Layout,
    episodes: int,
    greedy: bool,
    arrays: PyTree,
    values: Values,
    state: Any,
    keys: Key[Array, " members"],
) -> Evaluation:
    """Evaluation of every member on its own key; leading axis of members.

    Args:
        static: the algorithm without its arrays.
        layout: how the members are mapped.
        episodes: per member.
        greedy: the likeliest action, or a sample.
        arrays: those of the algorithm.
        values: swept values.
        state: of all members; only read.
        keys: one per member.
    """
    algorithm = static.join(arrays)

    def evaluate(values: Values, state: Any, key: Key[Array, ""]) -> Evaluation:
        own = member_algorithm(algorithm, values)
        return own.evaluate(state, key, episodes, greedy=greedy)

    def evaluate_parts(parts: tuple[Values, Any, Any, Any, Array]) -> Evaluation:
        values, *own, key = parts
        return evaluate(values, type(state)(state.shared, *own), key)

    if layout.members == 1:
        result = evaluate(_first(values), state, keys[0])
        return jax.tree.map(lambda x: x[None], result)
    parts = (values, state.agent, state.rollout, state.key, keys)
    if layout.sequential:
        return jax.lax.map(evaluate_parts, parts)
    return jax.vmap(evaluate_parts)(parts)
