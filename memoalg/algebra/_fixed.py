"""A part of a generator that does not change over time."""

from typing import Generic, TypeVar

import equinox as eqx
import jax
from jax.tree_util import PyTreeDef
from jaxtyping import PyTree

Value = TypeVar("Value")


class Fixed(eqx.Module, Generic[Value]):
    r"""Marks a part of a generator (or of elements) as the same at every step.

    It has no time axis and is never broadcast: `(Fixed(decay), inputs)` describes the elements
    `(decay, inputs[t])`. Monoids never see it; scans unwrap it at each step.

    Arguments:
        value: a pytree of arrays for one step.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> generators = ma.Fixed(jnp.float32(0.5)), jnp.ones(3)
        >>> last, states = ma.trajectory(ma.Affine(), jnp.zeros(()), generators, None)
        >>> print(states)
        [1.   1.5  1.75]
    """

    value: Value


def is_fixed(node: object) -> bool:
    """Whether a node of a generator is marked."""
    return isinstance(node, Fixed)


def split_fixed(generators: PyTree) -> tuple[list, list, PyTreeDef]:
    """Split into fixed values and timed leaves, each with None in the other's places."""
    nodes, treedef = jax.tree.flatten(generators, is_leaf=is_fixed)
    fixed = [node.value if is_fixed(node) else None for node in nodes]
    timed = [None if is_fixed(node) else node for node in nodes]
    return fixed, timed, treedef


def merge_fixed(treedef: PyTreeDef, fixed: list, timed: list) -> PyTree:
    """The generator with its fixed parts unwrapped: the inverse of `split_fixed`."""
    pairs = zip(fixed, timed, strict=True)
    return jax.tree.unflatten(treedef, [f if t is None else t for f, t in pairs])
