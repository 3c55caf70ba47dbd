"""Derivatives of a tree of states whose numbers go on each by itself: one more tree."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from .._tree import split_inexact, tree_where
from .._typing import TreeDef
from ..algebra import (
    AbstractMonoid,
    Affine,
    DirectProduct,
    Fixed,
    Power,
    Resettable,
    has_embedding,
    is_elementwise,
)
from ..algebra._fixed import mark_fixed
from ._derivative import AbstractRule, alike
from ._loop import Step
from ._method import initial_state_of
from ._states import states_of


def is_diagonal(monoid: Any) -> bool:
    """Whether each number of the next state depends on the same number of the state alone."""
    if isinstance(monoid, DirectProduct):
        return all(is_diagonal(factor) for factor in monoid.factors)
    if isinstance(monoid, Power):
        return is_diagonal(monoid.monoid)
    if isinstance(monoid, Resettable) or not is_elementwise(monoid) or not has_embedding(monoid):
        return False
    state = jax.eval_shape(monoid.initial_state)
    return isinstance(state, jax.ShapeDtypeStruct)


class Diagonal(AbstractRule):
    r"""All states of a trajectory by a tree, and their derivatives by a tree.

    Operands: ((arrays, fixed, initial state), state, (timed, resets)); outputs: the states. With
    $J_t = \partial s_t / \partial s_{t-1}$, which is diagonal, tangents and adjoints solve

    $$\dot s_t = J_t \dot s_{t-1} + \dot u_t, \qquad \lambda_t = \bar s_t + J_{t+1} \lambda_{t+1},$$

    without the term in J at a reset, where $\dot u_t$ is the tangent of the step for a state that
    stands still. What generators and constants get is then one vmapped adjoint of the step.
    """

    step: Step = eqx.field(static=True)
    monoid: AbstractMonoid = eqx.field(static=True)
    treedef: TreeDef = eqx.field(static=True)

    def primal(self, operands: PyTree) -> PyTree:
        (arrays, fixed, initial), state, (timed, resets) = operands
        monoid = eqx.combine(arrays, self.monoid)
        generators = mark_fixed(self.treedef, fixed, timed)
        return states_of(monoid, state, generators, resets, initial, folds=True)

    def forward(self, operands: PyTree) -> tuple[PyTree, PyTree]:
        states = self.primal(operands)
        return states, states

    def tangent(self, operands: PyTree, kept: PyTree, moving: PyTree) -> PyTree:
        constants_dot, state_dot, steps_dot = moving
        befores, factors = self._linearised(operands, kept)
        still = jax.tree.map(jnp.zeros_like, split_inexact(befores)[0])
        run, primals = self._moving_steps(operands, befores)
        _, added = jax.jvp(run, primals, (constants_dot, still, steps_dot))
        return _solve(state_dot, factors, added, operands[2][1])

    def adjoint(self, operands: PyTree, kept: PyTree, moving: PyTree) -> PyTree:
        befores, factors = self._linearised(operands, kept)
        bars = self._adjoint_states(operands, factors, moving)
        run, primals = self._moving_steps(operands, befores)
        _, pull = jax.vjp(run, *primals)
        constants_bar, befores_bar, steps_bar = pull(bars)
        return constants_bar, jax.tree.map(lambda leaf: leaf[0], befores_bar), steps_bar

    def timed(self, operands: PyTree, kept: PyTree, outputs: PyTree) -> tuple:
        constants, state, steps = operands
        flags = alike(False, constants), alike(False, state), alike(True, steps)
        return flags, alike(True, kept), alike(True, outputs)

    def _moving_steps(self, operands: PyTree, befores: PyTree) -> tuple:
        """All steps at once, between moving parts, and those of their operands."""
        constants, _, (timed, resets) = operands
        moving, still = split_inexact((constants, befores, (timed, resets)))

        def run(*moving: PyTree) -> PyTree:
            constants, befores, (timed, resets) = eqx.combine(moving, still)
            steps = jax.vmap(self.step, in_axes=(None, 0, 0))
            return split_inexact(steps(constants, befores, (timed, resets, None))[0])[0]

        return run, moving

    def _linearised(self, operands: PyTree, states: PyTree) -> tuple[PyTree, PyTree]:
        """The states before each step, and J for each; `Fixed` where it is the same at all steps."""
        (arrays, fixed, initial), state, (timed, resets) = operands
        befores = jax.tree.map(lambda s, x: jnp.concatenate([s[None], x[:-1]]), state, states)
        monoid = eqx.combine(arrays, self.monoid)
        if resets is not None:
            fresh = initial_state_of(monoid, initial)
            befores = jax.vmap(lambda r, before: tree_where(r, fresh, before))(resets, befores)

        def factor(before: PyTree, timed: PyTree) -> PyTree:
            moving, still = split_inexact(before)

            def advance(moving: PyTree) -> PyTree:
                constants = arrays, fixed, initial
                after, _ = self.step(constants, eqx.combine(moving, still), (timed, None, None))
                return split_inexact(after)[0]

            ones = jax.tree.map(jnp.ones_like, moving)
            return jax.jvp(advance, (moving,), (ones,))[1]

        try:  # JAX refuses this where a factor differs from step to step.
            same = jax.vmap(factor, out_axes=None)(befores, timed)
            return befores, jax.tree.map(Fixed, same)
        except ValueError:
            return befores, jax.vmap(factor)(befores, timed)

    def _adjoint_states(self, operands: PyTree, factors: PyTree, bars: PyTree) -> PyTree:
        """lambda: the same recurrence from the end, with the factor of the step that comes after."""
        resets = operands[2][1]

        def later(leaf: Array) -> Array:
            return jnp.concatenate([leaf[1:], jnp.zeros_like(leaf[:1])])

        def flipped(tree: PyTree) -> PyTree:
            return jax.tree.map(lambda leaf: jnp.flip(leaf, 0), tree)

        if not any(isinstance(node, Fixed) for node in _nodes(factors)):
            factors = flipped(jax.tree.map(later, factors))
        if resets is not None:
            resets = flipped(later(resets))
        still = jax.tree.map(lambda leaf: jnp.zeros_like(leaf[0]), bars)
        return flipped(_solve(still, factors, flipped(bars), resets))


def _solve(state: PyTree, factors: PyTree, added: PyTree, resets: Array | None) -> PyTree:
    """h_t = factor_t h_{t-1} + added_t, leaf by leaf, from `state`; from zero at a reset."""
    states, structure = jax.tree.flatten(state)
    pairs = list(zip(_nodes(factors), jax.tree.leaves(added), strict=True))
    algebras = [Affine(leaf.shape, leaf.dtype) for leaf in states]
    if len(states) == 1:
        return jax.tree.unflatten(
            structure, [states_of(algebras[0], states[0], pairs[0], resets, None, folds=True)]
        )
    solved = states_of(DirectProduct(*algebras), tuple(states), tuple(pairs), resets, None)
    return jax.tree.unflatten(structure, solved)


def _nodes(factors: PyTree) -> list:
    return jax.tree.leaves(factors, is_leaf=lambda node: isinstance(node, Fixed))
