"""The loop: one `lax.scan` forward and one reversed `lax.scan` backward."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, PyTree

from .._tree import split_inexact, tree_where
from ..algebra import AbstractMonoid
from ..algebra._fixed import merge_fixed, split_fixed
from ._method import AbstractMethod, initial_state_of


class Sequential(AbstractMethod):
    """Step after step, O(1) memory beyond the outputs: the fastest method on a CPU.

    A reset is a select inside the step. The gradient is a hand-written adjoint: one reversed loop that
    recomputes each step from the state before it, so nothing but the states is stored, and NaN or
    inf before a start reaches neither values nor gradients after it. Reverse mode only: use
    `Associative()` under `jax.jvp` and `jax.jacfwd`.

    Arguments:
        unroll: steps per iteration of the compiled loop.

    Raises:
        ValueError: where `unroll` is not a positive int.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> print(ma.scan(ma.Add(), jnp.ones(3), method=ma.Sequential()))
        [1. 2. 3.]
    """

    unroll: int = eqx.field(static=True, default=1)

    def __check_init__(self) -> None:
        if not isinstance(self.unroll, int) or self.unroll < 1:
            raise ValueError(f"unroll is a positive int, got {self.unroll!r}")

    def run(
        self,
        monoid: AbstractMonoid,
        state: PyTree,
        generators: PyTree,
        resets: Bool[Array, " time"] | None,
        initial_state: PyTree | None,
        queries: PyTree | None,
        reverse: bool,
    ) -> tuple[PyTree, PyTree]:
        arrays, static = eqx.partition(monoid, eqx.is_array)
        fixed, timed, treedef = split_fixed(generators)
        initial = None if resets is None else initial_state_of(monoid, initial_state)

        def step(constants: PyTree, before: PyTree, now: PyTree) -> tuple[PyTree, PyTree]:
            arrays, fixed, initial = constants
            timed, reset, query = now
            algebra = eqx.combine(arrays, static)
            entering = before if reset is None else tree_where(reset, initial, before)
            after = algebra.advance(entering, merge_fixed(treedef, fixed, timed))
            return after, after if query is None else algebra.read(after, query)

        loop = Loop(step, reverse, self.unroll, reads_states=queries is None)
        # The default initial state is a constant: its gradient is not accumulated.
        constants = (arrays, fixed, initial)
        return loop.run(constants, state, (timed, resets, queries), initial_state is not None)


class Loop(eqx.Module):
    """A scan of `step(constants, before, now) -> (after, read)` with its own adjoint."""

    step: Callable = eqx.field(static=True)
    reverse: bool = eqx.field(static=True)
    unroll: int = eqx.field(static=True)
    reads_states: bool = eqx.field(static=True)

    def run(
        self, constants: PyTree, state: PyTree, steps: PyTree, learns_initial: bool
    ) -> tuple[PyTree, PyTree]:
        if not learns_initial:
            arrays, fixed, initial = constants
            constants = (arrays, fixed, jax.lax.stop_gradient(initial))
        if jax.tree.leaves(steps)[0].shape[0] == 0:
            return self._scan(constants, state, steps)
        moving, still = split_inexact((constants, state, steps))
        run = jax.custom_vjp(self._primal)
        run.defvjp(self._forward, self._backward)
        return run(moving, still)

    def _scan(self, constants: PyTree, state: PyTree, steps: PyTree) -> tuple[PyTree, PyTree]:
        def body(before: PyTree, now: PyTree) -> tuple[PyTree, PyTree]:
            return self.step(constants, before, now)

        return jax.lax.scan(body, state, steps, reverse=self.reverse, unroll=self.unroll)

    def _primal(self, moving: PyTree, still: PyTree) -> tuple[PyTree, PyTree]:
        return self._scan(*eqx.combine(moving, still))

    def _forward(self, moving: PyTree, still: PyTree) -> tuple[tuple[PyTree, PyTree], PyTree]:
        constants, state, steps = eqx.combine(moving, still)
        if self.reads_states:
            last, states = self._scan(constants, state, steps)
            return (last, states), (moving, still, self._shifted(state, states))

        def body(before: PyTree, now: PyTree) -> tuple[PyTree, PyTree]:
            after, read = self.step(constants, before, now)
            return after, (read, before)

        last, (reads, befores) = jax.lax.scan(
            body, state, steps, reverse=self.reverse, unroll=self.unroll
        )
        return (last, reads), (moving, still, befores)

    def _backward(self, residuals: PyTree, cotangents: PyTree) -> tuple[PyTree, None]:
        moving, still, befores = residuals
        moving_constants, _, moving_steps = moving
        (still_constants, _, still_steps) = still
        last_bar, reads_bar = _without_float0(cotangents)

        def body(carry: PyTree, now: PyTree) -> tuple[PyTree, PyTree]:
            after_bar, constants_bar = carry
            before, moving_now, still_now, read_bar = now
            moving_before, still_before = split_inexact(before)

            def step(constants: PyTree, before: PyTree, now: PyTree) -> PyTree:
                result = self.step(
                    eqx.combine(constants, still_constants),
                    eqx.combine(before, still_before),
                    eqx.combine(now, still_now),
                )
                return split_inexact(result)[0]

            _, pull = jax.vjp(step, moving_constants, moving_before, moving_now)
            constants_now, before_bar, now_bar = pull((after_bar, read_bar))
            constants_bar = jax.tree.map(jnp.add, constants_bar, constants_now)
            return (before_bar, constants_bar), now_bar

        carry = (last_bar, jax.tree.map(jnp.zeros_like, moving_constants))
        steps = (befores, moving_steps, still_steps, reads_bar)
        (state_bar, constants_bar), steps_bar = jax.lax.scan(
            body, carry, steps, reverse=not self.reverse, unroll=self.unroll
        )
        return (constants_bar, state_bar, steps_bar), None

    def _shifted(self, state: PyTree, states: PyTree) -> PyTree:
        """The state that entered each step: the neighbour's, or the given one at the beginning."""

        def shift(first: Array, leaf: Array) -> Array:
            parts = [leaf[1:], first[None]] if self.reverse else [first[None], leaf[:-1]]
            return jnp.concatenate(parts)

        return jax.tree.map(shift, state, states)


def _without_float0(cotangents: PyTree) -> PyTree:
    """JAX gives integer outputs cotangents of dtype float0: None here, as `split_inexact` does."""

    def keep(cotangent: Any) -> Any:
        return None if cotangent.dtype == jax.dtypes.float0 else cotangent

    return jax.tree.map(keep, cotangents)
