"""A loop over steps with derivatives of its own."""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from .._tree import split_inexact, tree_where
from .._typing import TreeDef
from ..algebra import AbstractMonoid
from ..algebra._fixed import merge_fixed
from ._derivative import SHARED, AbstractRule, Axes, alike, differentiable
from ._method import initial_state_of

Step = Callable[[PyTree, PyTree, PyTree], tuple[PyTree, PyTree]]
"""(constants, state before, what comes at this step) -> (state after, read)."""


def step_of(static: AbstractMonoid, treedef: TreeDef) -> Step:
    """The step of a trajectory.

    Constants are the monoid's arrays, `Fixed` parts and a learned initial state; what comes at a step
    is the timed parts of the generator, whether the state is reset, and the query.

    Arguments:
        static: the monoid without its arrays.
        treedef: of the generators.
    """

    def step(constants: PyTree, before: PyTree, now: PyTree) -> tuple[PyTree, PyTree]:
        arrays, fixed, initial = constants
        timed, reset, query = now
        algebra = eqx.combine(arrays, static)
        if reset is None:
            entering = before
        else:
            # The monoid's own is made here: as an operand it would be differentiated.
            entering = tree_where(reset, initial_state_of(algebra, initial), before)
        after = algebra.advance(entering, merge_fixed(treedef, fixed, timed))
        return after, after if query is None else algebra.read(after, query)

    return step


class Loop(AbstractRule):
    """A scan of `step(constants, before, now) -> (after, read)` with its own derivatives.

    Operands: (constants, state, steps). Outputs: (last state, reads).
    """

    step: Callable = eqx.field(static=True)
    reverse: bool = eqx.field(static=True)
    unroll: int = eqx.field(static=True)
    reads_states: bool = eqx.field(static=True)

    def run(self, constants: PyTree, state: PyTree, steps: PyTree) -> tuple[PyTree, PyTree]:
        if jax.tree.leaves(steps)[0].shape[0] == 0:
            return self.primal((constants, state, steps))
        return differentiable(self, (constants, state, steps))

    def primal(self, operands: PyTree) -> tuple[PyTree, PyTree]:
        constants, state, steps = operands

        def body(before: PyTree, now: PyTree) -> tuple[PyTree, PyTree]:
            return self.step(constants, before, now)

        return self._scan(body, state, steps)

    def forward(self, operands: PyTree) -> tuple[PyTree, PyTree]:
        constants, state, steps = operands
        if self.reads_states:
            last, states = self.primal(operands)
            return (last, states), states

        def body(before: PyTree, now: PyTree) -> tuple[PyTree, PyTree]:
            after, read = self.step(constants, before, now)
            return after, (read, before)

        last, (reads, befores) = self._scan(body, state, steps)
        return (last, reads), befores

    def tangent(self, operands: PyTree, kept: PyTree, moving: PyTree) -> PyTree:
        constants, state, steps = operands
        constants_dot, state_dot, steps_dot = moving

        def body(before_dot: PyTree, now: PyTree) -> tuple[PyTree, PyTree]:
            here, now, now_dot = now
            before = self._before(state, kept, here)
            step, primals = self._moving_step(constants, before, now)
            return jax.jvp(step, primals, (constants_dot, before_dot, now_dot))[1]

        return self._scan(body, state_dot, (self._places(kept), steps, steps_dot))

    def adjoint(self, operands: PyTree, kept: PyTree, moving: PyTree) -> PyTree:
        constants, state, steps = operands
        last_bar, reads_bar = moving

        def body(carry: PyTree, now: PyTree) -> tuple[PyTree, PyTree]:
            after_bar, constants_bar = carry
            here, now, read_bar = now
            before = self._before(state, kept, here)
            step, primals = self._moving_step(constants, before, now)
            _, pull = jax.vjp(step, *primals)
            constants_now, before_bar, now_bar = pull((after_bar, read_bar))
            constants_bar = jax.tree.map(jnp.add, constants_bar, constants_now)
            return (before_bar, constants_bar), now_bar

        carry = (last_bar, jax.tree.map(jnp.zeros_like, split_inexact(constants)[0]))
        (state_bar, constants_bar), steps_bar = self._scan(
            body, carry, (self._places(kept), steps, reads_bar), back=True
        )
        return constants_bar, state_bar, steps_bar

    def timed(self, operands: PyTree, kept: PyTree, outputs: PyTree) -> tuple:
        (constants, state, steps), (last, reads) = operands, outputs
        into = alike(False, constants), alike(False, state), alike(True, steps)
        return into, alike(True, kept), (alike(False, last), alike(True, reads))

    def batched(self, axes: Axes) -> "Loop":
        """A batch of steps is one step of the batch: the loop itself is not batched."""
        constants, _, steps = jax.tree.map(
            lambda axis: None if axis == SHARED else 0, axes.trees()[0]
        )
        return dataclasses.replace(self, step=jax.vmap(self.step, in_axes=(constants, 0, steps)))

    def _scan(
        self, body: Callable, carry: PyTree, steps: PyTree, back: bool = False
    ) -> tuple[PyTree, PyTree]:
        return jax.lax.scan(body, carry, steps, reverse=self.reverse != back, unroll=self.unroll)

    def _places(self, kept: PyTree) -> PyTree:
        """What a loop needs of each step to find the state that entered it."""
        return jnp.arange(_length(kept)) if self.reads_states else kept

    def _before(self, state: PyTree, kept: PyTree, here: PyTree) -> PyTree:
        """The state that entered a step. States that were returned are found there, not copied."""
        if not self.reads_states:
            return here
        length = _length(kept)
        is_first = here == (length - 1 if self.reverse else 0)
        neighbour = jnp.clip(here + 1 if self.reverse else here - 1, 0, length - 1)
        before = jax.tree.map(lambda leaf: leaf[neighbour], kept)
        return tree_where(is_first, state, before)

    def _moving_step(self, constants: PyTree, before: PyTree, now: PyTree) -> tuple[Callable, Any]:
        """The step between the moving parts of its operands and outputs, and those of its operands."""
        moving, still = split_inexact((constants, before, now))

        def step(*moving: PyTree) -> PyTree:
            return split_inexact(self.step(*eqx.combine(moving, still)))[0]

        return step, moving


def _length(states: PyTree) -> int:
    return jax.tree.leaves(states)[0].shape[0]
