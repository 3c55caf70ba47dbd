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
from jaxtyping import Array, Bool, Float, PyTree

from .._tree import first_difference, shape_of, tree_where
from ..scans import AbstractMethod, Associative, Auto
from ._check import check_sequence, check_step
from ._layer import AbstractLayer

Parts = tuple[tuple[Array, ...], tuple[Array, ...]]
"""Gates (recurred and projected parts added) and the rest of the recurred part."""


class AbstractRecurrent(AbstractLayer):
    """A cell with one recurrent weight and an elementwise rest; the carry is its state vector.

    The rows of `recurrent` are blocks of the state's size. For the first of them the input's part is
    simply added (`gates`); what is left is the cell's own affair (`rest`). Telling the two apart saves
    a third of what the gradient stores. A cell writes `project`, `recur`, `activate` and
    `initial_state`; loop, reset, adjoint and `step` are inherited.
    """

    recurrent: eqx.AbstractVar[Float[Array, "gates state"]]

    @abc.abstractmethod
    def project(self, x: Float[Array, " in"]) -> tuple[tuple[Array, ...], PyTree[Array]]:
        """What the input contributes, all steps at once, outside the loop: (added to the gates, own).

        One array per gate: slicing a wider one inside the loop costs more than the loop's product.
        """

    @abc.abstractmethod
    def recur(self, state: Float[Array, "*time state"]) -> Float[Array, "*time gates"]:
        """The product of the state with `recurrent`, and biases inside it."""

    @abc.abstractmethod
    def activate(
        self,
        state: Float[Array, " state"],
        gates: tuple[Float[Array, " state"], ...],
        rest: tuple[Float[Array, " state"], ...],
        own: PyTree[Array],
    ) -> Float[Array, " state"]:
        """The next state, elementwise: reads no learnable arrays and forms no product."""

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
        states, entering, parts = self._run(carry, projected, start)
        # This product's value is never read, so XLA drops it. What stays is its gradient: the sum of
        # delta_t s_{t-1}^T over all steps, and all sequences, as one product.
        recurred = self.recur(jax.lax.stop_gradient(entering))
        states = self._attach(states, entering, parts, (recurred, projected, carry), start)
        return states[-1], states

    def step(
        self, carry: Float[Array, " state"], x: Float[Array, " in"], start: Bool[Array, ""] | None
    ) -> tuple[Float[Array, " state"], Float[Array, " state"]]:
        check_step(self, x, start)
        entering = carry if start is None else tree_where(start, self.initial_state(), carry)
        state, _ = self._advance(entering, *self.project(x))
        return state, state

    def _advance(
        self, entering: Array, added: tuple[Array, ...], own: PyTree[Array]
    ) -> tuple[Array, Parts]:
        recurred = self.recur(entering)
        blocks = jnp.split(recurred, recurred.shape[0] // entering.shape[0])
        gates = tuple(block + x for block, x in zip(blocks, added, strict=False))
        rest = tuple(blocks[len(added) :])
        return self.activate(entering, gates, rest, own), (gates, rest)

    def _run(
        self, carry: Array, projected: PyTree[Array], start: Array | None
    ) -> tuple[Array, Array, Parts]:
        """(states, states that entered, gates and rest) of every step, without gradient."""
        model, carry, projected = jax.lax.stop_gradient((self, carry, projected))
        initial = model.initial_state()

        def body(before: Array, now: tuple) -> tuple[Array, tuple[Array, Parts]]:
            reset, inputs = now
            entering = before if reset is None else tree_where(reset, initial, before)
            after, parts = model._advance(entering, *inputs)
            return after, (after, parts)

        _, (states, parts) = jax.lax.scan(body, carry, (start, projected))
        entering = jnp.concatenate([carry[None], states[:-1]])
        if start is not None:
            entering = jnp.where(start[:, None], jnp.broadcast_to(initial, states.shape), entering)
        return states, entering, parts

    def _attach(
        self, states: Array, entering: Array, parts: Parts, moving: tuple, start: Array | None
    ) -> Array:
        """`states`, differentiable in `moving`: recurred and projected parts and the carry."""
        static = eqx.filter(self, lambda leaf: not eqx.is_array(leaf))
        activate = functools.partial(type(self).activate, static)

        # Every array goes in as an argument: what a rule closes over would leak out of its trace.
        @jax.custom_vjp
        def attach(still: tuple, moving: tuple) -> Array:
            return still[0]

        def forward(still: tuple, moving: tuple) -> tuple[Array, tuple]:
            _, (_, own), _, _ = moving
            return still[0], (*still[1:], own)

        def backward(residuals: tuple, states_bar: Array) -> tuple[None, tuple]:
            entering, weight, start, parts, own = residuals
            return None, _adjoint(activate, entering, weight, start, parts, own, states_bar)

        attach.defvjp(forward, backward)
        still = jax.lax.stop_gradient((states, entering, self.recurrent, start, parts))
        return attach(still, (*moving, self.initial_state()))


def _adjoint(
    activate: Any,
    entering: Array,
    weight: Array,
    start: Array | None,
    parts: Parts,
    own: PyTree[Array],
    states_bar: Array,
) -> tuple[Array, PyTree[Array], Array, Array]:
    """Cotangents of the recurred and projected parts, of the carry and of the initial state."""

    def body(carry: tuple[Array, Array], now: tuple) -> tuple[tuple[Array, Array], tuple]:
        after_bar, initial_bar = carry
        reset, state_bar, state, (gates, rest), own = now
        _, pull = jax.vjp(activate, state, gates, rest, own)
        before_bar, gates_bar, rest_bar, own_bar = pull(after_bar + state_bar)
        before_bar = before_bar + jnp.concatenate([*gates_bar, *rest_bar]) @ weight
        if reset is not None:
            zeros = jnp.zeros_like(before_bar)
            initial_bar = initial_bar + tree_where(reset, before_bar, zeros)
            before_bar = tree_where(reset, zeros, before_bar)
        return (before_bar, initial_bar), (gates_bar, rest_bar, own_bar)

    zeros = jnp.zeros_like(entering[0])
    steps = (start, states_bar, entering, parts, own)
    bars, (gates_bar, rest_bar, own_bar) = jax.lax.scan(body, (zeros, zeros), steps, reverse=True)
    recurred_bar = jnp.concatenate([*gates_bar, *rest_bar], axis=-1)
    return recurred_bar, (gates_bar, own_bar), *bars
