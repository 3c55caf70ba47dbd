"""A memory over a batch of sequences, as a function to compile: forward, or forward and backward."""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, PRNGKeyArray, PyTree

import memoalg as ma

from ..scans import plan
from ..scans._method import length_of

Shapes = PyTree
"""`jax.ShapeDtypeStruct`s, or arrays where it matters what is in them (parameters)."""


class ForGPU(ma.AbstractMethod):
    """What the planner chooses for a GPU, also in a process that has none."""

    def run(
        self,
        monoid: ma.AbstractMonoid,
        state: PyTree,
        generators: PyTree,
        resets: Bool[Array, " time"] | None,
        initial_state: PyTree | None,
        queries: PyTree | None,
        reverse: bool,
    ) -> tuple[PyTree, PyTree]:
        length = length_of(generators, resets)
        chosen = plan(monoid, length=length, platform="cuda", reads=queries is not None)
        method = chosen.method
        return method.run(monoid, state, generators, resets, initial_state, queries, reverse)


@dataclasses.dataclass(frozen=True)
class Batched:
    """A function over a batch, and the shapes of its arguments.

    Attributes:
        function: of (moving, fixed); returns the results, of which the inexact ones are differentiated.
        moving: arguments that get gradients.
        fixed: arguments that get none.
    """

    function: Callable[[Any, Any], Any]
    moving: Shapes
    fixed: Shapes

    def forward(self) -> tuple[Callable[..., Any], tuple[Shapes, ...]]:
        """The function and its arguments."""
        return self.function, (self.moving, self.fixed)

    def gradient(self) -> tuple[Callable[..., Any], tuple[Shapes, ...]]:
        """Results and gradients of all that moves, from cotangents as one more argument."""

        def both(moving: Any, fixed: Any, cotangents: Any) -> Any:
            def smooth(moving: Any) -> Any:
                return eqx.partition(self.function(moving, fixed), eqx.is_inexact_array)

            inexact, pull_back, others = jax.vjp(smooth, moving, has_aux=True)
            return inexact, others, pull_back(cotangents)

        return both, (self.moving, self.fixed, self._smooth_results())

    def _results(self) -> Shapes:
        return jax.eval_shape(self.function, self.moving, self.fixed)

    def _smooth_results(self) -> Shapes:
        return eqx.filter(self._results(), is_inexact)

    def ideal(self, *, gradient: bool) -> int:
        """Bytes that have to be moved, if nothing but arguments and results were.

        Forward every argument is read and every result written. Backward what is differentiated is
        read once more (or as many bytes of states instead) with the cotangents, and the gradients are
        written.
        """
        forward = size_of((self.moving, self.fixed)) + size_of(self._results())
        if not gradient:
            return forward
        return forward + 2 * size_of(self.moving) + size_of(self._smooth_results())


def is_inexact(leaf: Any) -> bool:
    """Whether a leaf has a floating or complex dtype."""
    return jnp.issubdtype(leaf.dtype, jnp.inexact)


def size_of(tree: PyTree) -> int:
    """Bytes of all arrays in a tree of arrays or shapes."""
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(tree))


def layer_program(
    layer: ma.nn.AbstractLayer,
    method: ma.AbstractMethod,
    *,
    length: int,
    batch: int,
    width: int,
    axis: int,
) -> Batched:
    """A layer with start flags; its parameters and inputs are differentiated.

    Args:
        layer: any.
        method: of execution.
        length: steps.
        batch: sequences.
        width: of inputs, where the layer does not say.
        axis: of the batch in inputs and outputs: 0 before time, 1 behind it.
    """
    arrays, rest = eqx.partition(layer, eqx.is_array)
    parameters, constants = eqx.partition(arrays, is_inexact)
    size = width if layer.in_size is None else layer.in_size
    xs = jax.ShapeDtypeStruct(_lead(axis, batch, length, size), jnp.result_type(float))
    carry = _with_axis(jax.eval_shape(layer.init_carry), 0, batch)

    def function(moving: Any, fixed: Any) -> Any:
        (parameters, xs), (constants, carry, start) = moving, fixed
        layer = eqx.combine(parameters, constants, rest)

        def one(carry: Any, xs: Any, start: Any) -> Any:
            return layer(carry, xs, start, method=method)

        return jax.vmap(one, in_axes=(0, axis, axis), out_axes=(0, axis))(carry, xs, start)

    return Batched(function, (parameters, xs), (constants, carry, _starts(axis, batch, length)))


def monoid_program(
    monoid: ma.AbstractMonoid,
    method: ma.AbstractMethod,
    *,
    length: int,
    batch: int,
    axis: int,
) -> Batched:
    """A trajectory with start flags; states, generators and queries are differentiated.

    Memories that write outer products are asked with a query as long as a key; of all others the
    states are returned.
    """
    example = ma.laws.draw(monoid, ma.laws.Source(0, 1))
    step = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), example)
    query = step[0] if ma.scans.outer_form(monoid) is not None else None
    timed = _with_axis(_with_axis((step, query), 0, length), axis, batch)
    state = _with_axis(jax.eval_shape(monoid.initial_state), 0, batch)
    moving, integers = eqx.partition((state, timed), is_inexact)

    def function(moving: Any, fixed: Any) -> Any:
        integers, start = fixed
        state, (generators, queries) = eqx.combine(moving, integers)

        def one(state: Any, generators: Any, queries: Any, start: Any) -> Any:
            return ma.trajectory(monoid, state, generators, start, queries=queries, method=method)

        return jax.vmap(one, in_axes=(0, axis, axis, axis), out_axes=(0, axis))(
            state, generators, queries, start
        )

    return Batched(function, moving, (integers, _starts(axis, batch, length)))


def random_arguments(shapes: PyTree, seed: int) -> PyTree:
    """Arrays in place of shapes; what is an array already stays.

    Numbers are such as no decay overflows by: in [0.1, 0.9). Whole numbers are zero. Flags are true
    once in 64.

    Args:
        shapes: a tree of shapes and arrays.
        seed: of the numbers.
    """
    leaves, treedef = jax.tree.flatten(shapes)
    keys = jax.random.split(jax.random.key(seed), max(len(leaves), 1))
    return treedef.unflatten(map(_random, leaves, keys))


def _random(leaf: Any, key: PRNGKeyArray) -> Any:
    if not isinstance(leaf, jax.ShapeDtypeStruct):
        return leaf
    if jnp.issubdtype(leaf.dtype, jnp.complexfloating):
        angle = jax.random.uniform(key, leaf.shape, maxval=2 * jnp.pi)
        return jax.lax.complex(0.9 * jnp.cos(angle), 0.9 * jnp.sin(angle)).astype(leaf.dtype)
    if is_inexact(leaf):
        return jax.random.uniform(key, leaf.shape, leaf.dtype, 0.1, 0.9)
    if leaf.dtype == np.bool_:
        return jax.random.bernoulli(key, 1 / 64, leaf.shape)
    return jnp.zeros(leaf.shape, leaf.dtype)


def _lead(axis: int, batch: int, length: int, *rest: int) -> tuple[int, ...]:
    return (batch, length, *rest) if axis == 0 else (length, batch, *rest)


def _with_axis(tree: Shapes, axis: int, size: int) -> Shapes:
    def one(x: Any) -> Any:
        return jax.ShapeDtypeStruct((*x.shape[:axis], size, *x.shape[axis:]), x.dtype)

    return jax.tree.map(one, tree)


def _starts(axis: int, batch: int, length: int) -> Shapes:
    return jax.ShapeDtypeStruct(_lead(axis, batch, length), np.bool_)
