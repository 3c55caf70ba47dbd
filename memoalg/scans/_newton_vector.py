"""States as vectors, and their steps as functions of vectors, which is what `Newton` linearises."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from .._typing import TreeDef, common_dtype

BLOCK = 16
"""Columns of a Jacobian that are formed at once when only its diagonal is kept."""


class Vectors(eqx.Module):
    """How states of one type are laid out in vectors of `size` numbers.

    Raises:
        TypeError: where a part of the state is not of real floats.
    """

    shapes: tuple[tuple[int, ...], ...] = eqx.field(static=True)
    dtypes: tuple[np.dtype, ...] = eqx.field(static=True)
    treedef: TreeDef = eqx.field(static=True)

    def __init__(self, what: str, state: PyTree):
        leaves, self.treedef = jax.tree.flatten(state)
        self.shapes = tuple(jnp.shape(leaf) for leaf in leaves)
        self.dtypes = tuple(np.dtype(jnp.result_type(leaf)) for leaf in leaves)
        wrong = [dtype.name for dtype in self.dtypes if not jnp.issubdtype(dtype, jnp.floating)]
        if wrong or not leaves:
            raise TypeError(
                f"Newton linearises a state of real floats, but that of {what} has "
                f"{', '.join(wrong) if wrong else 'no parts'}: use ma.Sequential() or ma.Auto()"
            )

    @property
    def size(self) -> int:
        return sum(int(np.prod(shape)) for shape in self.shapes)

    @property
    def dtype(self) -> np.dtype:
        dtype = self.dtypes[0]
        for other in self.dtypes[1:]:
            dtype = common_dtype(dtype, other)
        return dtype

    def flat(self, state: PyTree) -> Float[Array, " size"]:
        leaves = [jnp.ravel(leaf).astype(self.dtype) for leaf in jax.tree.leaves(state)]
        return leaves[0] if len(leaves) == 1 else jnp.concatenate(leaves)

    def tree(self, vector: Float[Array, " size"]) -> PyTree:
        ends = np.cumsum([int(np.prod(shape)) for shape in self.shapes])[:-1]
        parts = [vector] if len(self.shapes) == 1 else jnp.split(vector, ends)
        leaves = [
            part.reshape(shape).astype(dtype)
            for part, shape, dtype in zip(parts, self.shapes, self.dtypes, strict=True)
        ]
        return jax.tree.unflatten(self.treedef, leaves)


Step = Callable[[Any, Array, Any], Array]
Linearise = Callable[[Any, Array, Any], tuple[Array, Array]]


class Scheme(eqx.Module):
    """A recurrence s_t = step(constants, s_{t-1}, x_t) of vectors, and how to solve it.

    Attributes:
        step: (constants, before, now) -> after.
        linearise: (constants, before, now) -> (after, its Jacobian in `before`, or the diagonal).
        full: which of the two `linearise` gives.
        limit: rounds at most.
        tolerance: largest change, and residual, at which to stop.
        reverse: run from the last step to the first.
    """

    step: Step = eqx.field(static=True)
    linearise: Linearise = eqx.field(static=True)
    full: bool = eqx.field(static=True)
    limit: int = eqx.field(static=True)
    tolerance: float = eqx.field(static=True)
    reverse: bool = eqx.field(static=True)


def linearised(step: Step, full: bool) -> Linearise:
    """(constants, before, now) -> (after, the Jacobian in `before` or its diagonal), of any step."""
    return _Jacobian(step) if full else _Diagonal(step)


class _Jacobian(eqx.Module):
    step: Step = eqx.field(static=True)

    def __call__(self, constants: Any, before: Array, now: Any) -> tuple[Array, Array]:
        after, push = jax.linearize(lambda before: self.step(constants, before, now), before)
        basis = jnp.eye(before.shape[0], dtype=before.dtype)
        return after, jax.vmap(push, out_axes=1)(basis)


class _Diagonal(eqx.Module):
    step: Step = eqx.field(static=True)

    def __call__(self, constants: Any, before: Array, now: Any) -> tuple[Array, Array]:
        after, push = jax.linearize(lambda before: self.step(constants, before, now), before)

        def entry(index: Array) -> Array:
            return push(jnp.zeros_like(before).at[index].set(1))[index]

        # Columns come in blocks, so that no full Jacobian is ever held.
        indices = jnp.arange(before.shape[0])
        return after, jax.lax.map(entry, indices, batch_size=BLOCK)
