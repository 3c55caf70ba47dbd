r"""Recurrent cells: layers whose step is not a monoid's.

A cell is $s_t = f(s_{t-1}, W s_{t-1}, p_t)$ with $f$ elementwise and $p_t$ projected from the input.
Running it is one loop with one small matrix product in it. The gradient is found in two parts:

1. the states come from a loop that is not differentiated;
2. an adjoint loop, also with one small product, gives $\delta_t = \partial L / \partial (W s_{t-1})$;
   then $\partial L / \partial W = \sum_t \delta_t s_{t-1}^\top$ is ONE large matrix product over all
   steps (and, under `vmap`, all sequences), outside any loop.

Automatic differentiation of a plain scan accumulates $\partial L / \partial W$ inside the loop instead.
"""

import abc
import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from .._tree import first_difference, shape_of, tree_where
from ..scans import AbstractMethod, Associative, Auto
from ._check import check_sequence, check_step
from ._layer import AbstractLayer


class AbstractRecurrent(AbstractLayer):
    """A cell with one recurrent weight and an elementwise rest; the carry is its state vector.

    A cell writes `project`, `activate` and `initial_state`; loop, reset, adjoint and `step` are
    inherited.
    """

    recurrent: eqx.AbstractVar[Float[Array, "gates state"]]

    @abc.abstractmethod
    def project(self, x: Float[Array, " in"]) -> Float[Array, " projected"]:
        """What the input contributes: all steps at once, outside the loop."""

    @abc.abstractmethod
    def recur(self, state: Float[Array, "*time state"]) -> Float[Array, "*time gates"]:
        """The product of the recurrent weight with the state, and a bias if there is one."""

    @abc.abstractmethod
    def activate(
        self,
        state: Float[Array, " state"],
        recurred: Float[Array, " gates"],
        projected: Float[Array, " projected"],
    ) -> Float[Array, " state"]:
        """The next state, elementwise: holds no learnable arrays and no product."""

    @abc.abstractmethod
    def initial_state(self) -> Float[Array, " state"]:
        """The state in which an episode begins."""

    def init_carry(self) -> Float[Array, " state"]:
        return jnp.array(self.initial_state(), copy=True)

    def __call__(
        self,
        carry: Float[Array, " state"],
        xs: Float[Array, "time in"],
        start: Bool[Array, " time"] | None,
        *,
        method: AbstractMethod = Auto(),
    ) -> tuple[Float[Array, " state"], Float[Array, "time state"]]:
        check_sequence(self, xs, start)
        if isinstance(method, Associative):
            raise TypeError(
                f"{type(self).__name__} is no monoid, so it has no parallel tree: use ma.Sequential() or "
                "ma.Auto()"
            )
        difference = first_difference(shape_of(self.initial_state()), shape_of(carry))
        if difference is not None:
            raise ValueError(f"{type(self).__name__}: the carry differs in {difference}")
        if xs.shape[0] == 0:
            return carry, jnp.zeros((0, *carry.shape), carry.dtype)
        projected = jax.vmap(self.project)(xs)
        stopped = jax.lax.stop_gradient(self)
        states, recurred = stopped._loop(*jax.lax.stop_gradient((carry, projected)), start)
        entering = _entering(states, carry, self.initial_state(), start)
        # The value of this product is never read, so the compiler drops it. What it leaves is its
        # gradient: delta_t s_{t-1}^T of all steps and sequences as one product.
        path = self.recur(jax.lax.stop_gradient(entering))
        still = jax.lax.stop_gradient((states, entering, recurred, self.recurrent, start))
        states = self._attach(still, (path, projected, carry, self.initial_state()))
        return states[-1], states

    def step(
        self, carry: Float[Array, " state"], x: Float[Array, " in"], start: Bool[Array, ""] | None
    ) -> tuple[Float[Array, " state"], Float[Array, " state"]]:
        check_step(self, x, start)
        entering = carry if start is None else tree_where(start, self.initial_state(), carry)
        state = self.activate(entering, self.recur(entering), self.project(x))
        return state, state

    def _loop(self, carry: Array, projected: Array, start: Array | None) -> tuple[Array, Array]:
        """(state after each step, its recurred part), to be called without gradient."""
        initial = self.initial_state()

        def body(before: Array, now: tuple) -> tuple[Array, tuple[Array, Array]]:
            reset, inputs = now
            entering = before if reset is None else tree_where(reset, initial, before)
            recurred = self.recur(entering)
            after = self.activate(entering, recurred, inputs)
            return after, (after, recurred)

        return jax.lax.scan(body, carry, (start, projected))[1]

    def _attach(self, still: tuple, moving: tuple) -> Array:
        """The states, differentiable in (recurred parts, projected parts, carry, initial state)."""
        static = eqx.filter(self, lambda leaf: not eqx.is_array(leaf))
        activate = functools.partial(type(self).activate, static)

        # Every array goes in as an argument: what a rule closes over would leak out of its trace.
        @jax.custom_vjp
        def attach(still: tuple, moving: tuple) -> Array:
            return still[0]

        def forward(still: tuple, moving: tuple) -> tuple[Array, tuple]:
            return still[0], (still[1:], moving[1])

        def backward(residuals: tuple, states_bar: Array) -> tuple[None, tuple]:
            (entering, recurred, weight, start), projected = residuals
            return None, _adjoint(
                activate, weight, entering, recurred, projected, start, states_bar
            )

        attach.defvjp(forward, backward)
        return attach(still, moving)


def _entering(states: Array, carry: Array, initial: Array, start: Array | None) -> Array:
    """The state that enters each step."""
    before = jnp.concatenate([carry[None], states[:-1]])
    return before if start is None else jnp.where(start[:, None], initial[None], before)


def _adjoint(
    activate: Any,
    weight: Array,
    entering: Array,
    recurred: Array,
    projected: Array,
    start: Array | None,
    states_bar: Array,
) -> tuple[Array, Array, Array, Array]:
    """Cotangents of the recurred and projected parts, of the carry and of the initial state."""

    def body(carry: tuple[Array, Array], now: tuple) -> tuple[tuple[Array, Array], tuple]:
        after_bar, initial_bar = carry
        reset, state_bar, state, recur, inputs = now
        _, pull = jax.vjp(activate, state, recur, inputs)
        before_bar, recurred_bar, projected_bar = pull(after_bar + state_bar)
        before_bar = before_bar + recurred_bar @ weight
        if reset is not None:
            zeros = jnp.zeros_like(before_bar)
            initial_bar = initial_bar + tree_where(reset, before_bar, zeros)
            before_bar = tree_where(reset, zeros, before_bar)
        return (before_bar, initial_bar), (recurred_bar, projected_bar)

    zeros = jnp.zeros_like(entering[0])
    steps = (start, states_bar, entering, recurred, projected)
    bars, (recurred_bar, projected_bar) = jax.lax.scan(body, (zeros, zeros), steps, reverse=True)
    return recurred_bar, projected_bar, *bars
