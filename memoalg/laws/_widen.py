"""The same monoid in double precision: the oracle that tells rounding from a broken law."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..algebra import AbstractSemigroup


def wide_dtype(dtype: Any) -> np.dtype:
    """float64 for a real floating dtype, complex128 for a complex one; others as they are."""
    if jnp.issubdtype(dtype, jnp.complexfloating):
        return np.dtype(np.complex128)
    return np.dtype(np.float64 if jnp.issubdtype(dtype, jnp.floating) else dtype)


def widened(node: Any) -> Any:
    """A copy of a module in which every floating dtype and array among the fields is double precision."""
    if isinstance(node, np.dtype):
        return wide_dtype(node)
    if isinstance(node, tuple) and type(node) is tuple:
        return tuple(widened(member) for member in node)
    if isinstance(node, tuple):
        return type(node)(*(widened(member) for member in node))
    if isinstance(node, eqx.Module):
        return _rebuilt(node)
    if isinstance(node, jax.Array | np.ndarray):
        return jnp.asarray(np.asarray(node).astype(wide_dtype(node.dtype)))
    return node


def widened_values(values: Any) -> Any:
    """Arrays in double precision; they were rounded to the narrow dtype before."""
    return jax.tree.map(lambda leaf: leaf.astype(wide_dtype(leaf.dtype)), values)


def is_oracle_for(wide: AbstractSemigroup, narrow: AbstractSemigroup) -> bool:
    """Whether the copy works on double precision, and is not the same monoid. Needs x64."""
    try:
        wider, found = wide.element, narrow.element
    except Exception:  # a class may hard-code what it likes: then there is no oracle
        return False
    if jax.tree.structure(wider) != jax.tree.structure(found):
        return False
    pairs = list(zip(jax.tree.leaves(wider), jax.tree.leaves(found), strict=True))
    same_shapes = all(w.shape == n.shape and w.dtype == wide_dtype(n.dtype) for w, n in pairs)
    return same_shapes


def is_wide(monoid: AbstractSemigroup) -> bool:
    """Whether the monoid already computes in double precision, or exactly."""
    return all(leaf.dtype == wide_dtype(leaf.dtype) for leaf in jax.tree.leaves(monoid.element))


def _rebuilt(module: eqx.Module) -> eqx.Module:
    # Not by __init__: its arguments need not be the fields. This is how a module is unflattened.
    copy = object.__new__(type(module))
    for field in dataclasses.fields(module):
        if field.name in vars(module):
            object.__setattr__(copy, field.name, widened(getattr(module, field.name)))
    return copy
