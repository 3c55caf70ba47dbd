r"""The linear systems of `Newton`: $v_t - J_t v_{t-1} = b_t$ for all t, and its transpose.

With full Jacobians one parallel scan solves them. Where only diagonals are formed the scan uses these,
and what they leave out goes through the iteration again. Where the states came from the loop, or
something is not finite, a loop solves them too.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from .._tree import tree_where
from ..algebra import Affine, MatrixAffine
from ._associative import Associative
from ._newton_search import Problem, largest, search
from ._newton_vector import Scheme
from ._sequential import Sequential


class Linearised(NamedTuple):
    """Where a recurrence is linearised.

    Attributes:
        constants: what every step reads.
        entering: the states that enter the steps.
        steps: what each step reads.
        known: bool (time,), where what enters is not the state before: J is 0 there.
    """

    constants: PyTree
    entering: Float[Array, "time state"]
    steps: PyTree
    known: Bool[Array, " time"]


def solve_linear(
    scheme: Scheme, at: Linearised, skip: Array, inputs: Float[Array, "time state"]
) -> Float[Array, "time state"]:
    """v with v_t - J_t v_{t-1} = inputs_t, linear in `inputs` and differentiable in everything."""

    def matvec(v: Array) -> Array:
        return v - _applied(scheme, False, at, jnp.zeros_like(v), v)

    def solve(_: Any, inputs: Array) -> Array:
        return _solved(scheme, False, at, skip, inputs)

    def transpose_solve(_: Any, bars: Array) -> Array:
        # Cotangents of what enters each step; what reaches a state is its own and what the step after
        # asks of it.
        befores_bar = _solved(scheme, True, at, skip, bars)
        return bars + shifted(jnp.zeros_like(bars[0]), befores_bar, not scheme.reverse)

    return jax.lax.custom_linear_solve(matvec, inputs, solve, transpose_solve)


def shifted(first: Array, states: Array, reverse: bool) -> Array:
    """The state that entered each step: the neighbour's, or the given one at the beginning."""
    parts = [states[1:], first[None]] if reverse else [first[None], states[:-1]]
    return jnp.concatenate(parts)


def affine_scan(
    jacobians: Array, inputs: Float[Array, "time state"], reverse: bool
) -> Float[Array, "time state"]:
    """v_t = J_t v_{t-1} + inputs_t from 0, J being matrices or diagonals. No resets: J is 0 there."""
    size, dtype = inputs.shape[-1], inputs.dtype
    monoid = MatrixAffine(size, dtype) if jacobians.ndim > inputs.ndim else Affine(size, dtype)

    def execute(method: Sequential | Associative, jacobians: Array, inputs: Array) -> Array:
        zeros = jnp.zeros(size, dtype)
        return method.run(monoid, zeros, (jacobians, inputs), None, None, None, reverse)[1]

    # On a CPU nothing is gained by a tree.
    return jax.lax.platform_dependent(
        jacobians,
        inputs,
        cpu=functools.partial(execute, Sequential()),
        default=functools.partial(execute, Associative()),
    )


def _solved(
    scheme: Scheme, transposed: bool, at: Linearised, skip: Array, inputs: Array
) -> Float[Array, "time state"]:
    leaves, treedef = jax.tree.flatten((at, inputs))

    def reading(function: Callable) -> Callable:
        def read(leaves: Any, *rest: Any) -> Any:
            return function(scheme, transposed, *jax.tree.unflatten(treedef, leaves), *rest)

        return read

    problem = Problem(
        begin=reading(_begin),
        refine=reading(_refine),
        loop=reading(_loop),
        limit=0 if scheme.full else scheme.limit,
        tolerance=scheme.tolerance,
    )
    return search(problem, skip, tuple(leaves))[0]


def _begin(
    scheme: Scheme, transposed: bool, at: Linearised, inputs: Array
) -> tuple[Array, Any, Array]:
    jacobians = jax.vmap(scheme.linearise, (None, 0, 0))(at.constants, at.entering, at.steps)[1]
    jacobians = tree_where(at.known, jnp.zeros_like(jacobians), jacobians)
    if transposed and scheme.full:
        jacobians = jnp.swapaxes(jacobians, 1, 2)
    values = _applied(scheme, transposed, at, inputs, jnp.zeros_like(inputs))
    answer = affine_scan(jacobians, values, scheme.reverse != transposed)
    finite = jnp.where(jnp.all(jnp.isfinite(answer)), 0, jnp.nan).astype(answer.dtype)
    if scheme.full:
        return answer, None, finite
    return answer, jacobians, finite + jnp.finfo(answer.dtype).max


def _refine(
    scheme: Scheme, transposed: bool, at: Linearised, inputs: Array, kept: Array, guess: Array
) -> tuple[Array, Array, Array]:
    values = _applied(scheme, transposed, at, inputs, guess)
    change = affine_scan(kept, values - guess, scheme.reverse != transposed)
    better = guess + change
    # Relative to the largest: cotangents have no natural size.
    size = jnp.maximum(largest(jnp.abs(better)), jnp.finfo(better.dtype).tiny)
    error = largest(jnp.abs(change)) / size
    return better, error, error


def _loop(scheme: Scheme, transposed: bool, at: Linearised, inputs: Array) -> Array:
    def body(before: Array, now: tuple) -> tuple[Array, Array]:
        after = _one(scheme, transposed, at.constants, before, now)
        return after, after

    steps = at.entering, at.steps, at.known, inputs
    backward = scheme.reverse != transposed
    return jax.lax.scan(body, jnp.zeros_like(inputs[0]), steps, reverse=backward)[1]


def _applied(scheme: Scheme, transposed: bool, at: Linearised, inputs: Array, v: Array) -> Array:
    """One step from every v at once."""
    before = shifted(jnp.zeros_like(v[0]), v, scheme.reverse != transposed)
    one = functools.partial(_one, scheme, transposed)
    return jax.vmap(one, (None, 0, 0))(
        at.constants, before, (at.entering, at.steps, at.known, inputs)
    )


def _one(scheme: Scheme, transposed: bool, constants: PyTree, v: Array, now: tuple) -> Array:
    """J v + input, or what enters the step before, J^T (v + input)."""
    entering, step, known, given = now
    zeros = jnp.zeros_like(v)

    def from_state(entering: Array) -> Array:
        return scheme.step(constants, entering, step)

    # Selected after, too: 0 times an infinite Jacobian is not 0.
    if transposed:
        pulled = jax.vjp(from_state, entering)[1](given + v)[0]
        return tree_where(known, zeros, pulled)
    pushed = jax.jvp(from_state, (entering,), (tree_where(known, zeros, v),))[1]
    return given + tree_where(known, zeros, pushed)
