"""Pytree helpers: selection, comparison with key paths, and the split of a tree by leaf kind."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jaxtyping import Array, Bool, PyTree


def tree_where(condition: Bool[Array, "*batch"], if_true: PyTree, if_false: PyTree) -> PyTree:
    """Select leaf by leaf; `condition` is aligned with the *leading* axes of every leaf.

    Arguments:
        condition: bool, of shape `(*batch)`; `()` selects whole leaves.
        if_true: a pytree of arrays whose leaves begin with `batch` (or broadcast against it).
        if_false: the same structure.

    Returns:
        The selected tree. It is a select and never a product, so NaN and inf in the branch that is
        not taken do not reach the result.
    """
    # The tree's own structure equality is checked by tree.map.
    return jax.tree.map(lambda a, b: _where_leaf(condition, a, b), if_true, if_false)


def _where_leaf(condition: Array, a: Any, b: Any) -> Array:
    if jnp.ndim(condition) == 0:
        # lax.select takes a scalar predicate: no broadcast is written to memory.
        shape = jnp.broadcast_shapes(jnp.shape(a), jnp.shape(b))
        a, b = _expand(a, shape), _expand(b, shape)
        return jax.lax.select(condition, a, b)
    shape = jnp.broadcast_shapes(jnp.shape(a), jnp.shape(b))
    ndim = len(shape)
    mask = jnp.reshape(condition, jnp.shape(condition) + (1,) * (ndim - jnp.ndim(condition)))
    return jnp.where(mask, _expand(a, shape), _expand(b, shape))


def _expand(x: Any, shape: tuple[int, ...]) -> Array:
    """Broadcast with trailing alignment, spelled out (rank promotion may be switched off)."""
    if jnp.shape(x) == shape:
        return jnp.asarray(x)
    return jnp.broadcast_to(x, shape)


def shape_of(tree: PyTree) -> PyTree:
    """The tree of `ShapeDtypeStruct`s of a tree of arrays."""
    return jax.eval_shape(_identity, tree)


def _identity(tree: PyTree) -> PyTree:
    return tree


def key_path(path: jtu.KeyPath) -> str:
    """A leaf's address as one would write it after a variable: `[0].x['y']`; the root is `itself`."""
    return jtu.keystr(path) or "itself"


def leaf_text(leaf: Any) -> str:
    """`float32[3,4]`, with a remark where the type is weak."""
    shape = ",".join(str(size) for size in leaf.shape)
    weak = " (weakly typed)" if getattr(leaf, "weak_type", False) else ""
    return f"{leaf.dtype.name}[{shape}]{weak}"


def first_difference(expected: PyTree, actual: PyTree) -> str | None:
    """Say where two trees of shapes and dtypes differ first, or return None where they agree."""
    expected_leaves, expected_def = jtu.tree_flatten_with_path(expected)
    actual_leaves, actual_def = jtu.tree_flatten_with_path(actual)
    if expected_def != actual_def:
        return f"the pytree structure: expected {expected_def}, got {actual_def}"
    for (path, want), (_, got) in zip(expected_leaves, actual_leaves, strict=True):
        if want.shape != got.shape or want.dtype != got.dtype:
            return f"leaf {key_path(path)}: expected {leaf_text(want)}, got {leaf_text(got)}"
    return None


def zeros_of(tree: PyTree) -> PyTree:
    """Zeros with the shapes and dtypes of a tree of arrays or `ShapeDtypeStruct`s."""
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), tree)


def nbytes(tree: PyTree) -> int:
    """Bytes of all leaves of a tree of arrays or `ShapeDtypeStruct`s."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def split_inexact(tree: PyTree) -> tuple[PyTree, PyTree]:
    """Split into (differentiable arrays, everything else), each with None in the other's places."""
    return eqx.partition(tree, eqx.is_inexact_array)


def map_with_path(function: Callable[[str, Any], Any], tree: PyTree) -> PyTree:
    """`jax.tree.map` whose function also gets the leaf's address as text."""
    return jtu.tree_map_with_path(lambda path, leaf: function(key_path(path), leaf), tree)


def varying_axes(tree: PyTree) -> frozenset[str]:
    """The mesh axes over which any leaf varies: under `jax.shard_map` that is part of its type."""
    return frozenset().union(*(_varying_axes(leaf) for leaf in jax.tree.leaves(tree)))


def as_varying(tree: PyTree, axes: frozenset[str]) -> PyTree:
    """The same numbers, of a type that varies over all of `axes`.

    What meets in a loop, or in a primitive of our own, must vary over the same axes. The transpose of
    the cast is the sum over shards: it is what gives a replicated operand its whole gradient.
    """

    def cast(leaf: Any) -> Any:
        missing = tuple(sorted(axes - _varying_axes(leaf)))
        return jax.lax.pcast(leaf, missing, to="varying") if missing else leaf

    return jax.tree.map(cast, tree)


def _varying_axes(leaf: Any) -> frozenset[str]:
    return jax.typeof(leaf).manual_axis_type.varying
