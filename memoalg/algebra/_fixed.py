"""A part of a generator that does not change over time."""

from collections.abc import Callable
from typing import Generic, TypeVar

import equinox as eqx
import jax
from jaxtyping import PyTree

from .._typing import TreeDef

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


def split_fixed(generators: PyTree) -> tuple[list, list, TreeDef]:
    """Split into fixed values and timed leaves, each with None in the other's places."""
    nodes, treedef = jax.tree.flatten(generators, is_leaf=is_fixed)
    fixed = [node.value if is_fixed(node) else None for node in nodes]
    timed = [None if is_fixed(node) else node for node in nodes]
    return fixed, timed, treedef


def merge_fixed(treedef: TreeDef, fixed: list, timed: list) -> PyTree:
    """The generator with its fixed parts unwrapped: the inverse of `split_fixed`."""
    pairs = zip(fixed, timed, strict=True)
    return jax.tree.unflatten(treedef, [f if t is None else t for f, t in pairs])


def mark_fixed(treedef: TreeDef, fixed: list, timed: list) -> PyTree:
    """As `merge_fixed`, with the fixed parts wrapped again."""
    return merge_fixed(treedef, [None if f is None else Fixed(f) for f in fixed], timed)


def over_time(function: Callable[[PyTree], PyTree], sequence: PyTree) -> PyTree:
    """`jax.vmap` over the time axis, in which `Fixed` parts of input and output have none.

    Raises:
        ValueError: where the function marks as `Fixed` what depends on a timed input.
    """
    fixed, timed, treedef = split_fixed(sequence)
    structures: list[TreeDef] = []

    def at_one_time(timed: list) -> tuple[list, list]:
        fixed_out, timed_out, structure = split_fixed(function(mark_fixed(treedef, fixed, timed)))
        structures.append(structure)
        return fixed_out, timed_out

    try:
        fixed_out, timed_out = jax.vmap(at_one_time, out_axes=(None, 0))(timed)
    except ValueError as error:
        if "out_axes" in str(error):
            raise ValueError(
                "a part marked ma.Fixed depends on the input of its step; mark only what is the same "
                "at every step"
            ) from error
        raise
    return mark_fixed(structures[0], fixed_out, timed_out)
