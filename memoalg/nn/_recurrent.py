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

from .._tree import tree_where
from ..scans import AbstractMethod, Auto, Newton, NewtonInfo
from ..scans._newton import recurrence
from ..scans._newton_vector import Vectors
from ._cell import check_carry, newton_of
from ._check import check_sequence, check_step
from ._layer import AbstractLayer

State = PyTree[Float[Array, " state"]]
"""One vector, or several of the same length, of which the first is the output."""

States = PyTree[Array]
"""The same with a time axis in front."""

Parts = tuple[tuple[Array, ...], tuple[Array, ...]]
"""Gates (recurred and projected parts added) and the rest of the recurred part."""


class AbstractRecurrent(AbstractLayer):
    """A cell with one recurrent weight and an elementwise rest; the carry is its state.

    The state is a vector, or a tuple of vectors of the same length (an LSTM's output and cell). The first
    is the output, and what the recurrent weight multiplies.

    The rows of `recurrent` are blocks of the state's size. For the first of them the input's part is
    simply added (`gates`); what is left is the cell's own affair (`rest`). Telling the two apart saves
    a third of what the gradient stores. A cell writes `project`, `recur`, `activate` and
    `initial_state`; loop, reset, adjoint and `step` are inherited, and [`memoalg.Newton`][], for which
    the Jacobian is put together from elementwise derivatives and the weight.
    """

    recurrent: eqx.AbstractVar[Float[Array, "gates state"]]

    @abc.abstractmethod
    def project(self, x: Float[Array, " in"]) -> tuple[tuple[Array, ...], PyTree[Array]]:
        """What the input contributes, all steps at once, outside the loop: (added to the gates, own).

        One array per gate: slicing a wider one inside the loop costs more than the loop's product.
        """

    @abc.abstractmethod
    def recur(self, state: Float[Array, "*time state"]) -> Float[Array, "*time gates"]:
        """The product of the output part of the state with `recurrent`, and biases inside it."""

    @abc.abstractmethod
    def activate(
        self,
        state: State,
        gates: tuple[Float[Array, " state"], ...],
        rest: tuple[Float[Array, " state"], ...],
        own: PyTree[Array],
    ) -> State:
        """The next state, elementwise: reads no learnable arrays and forms no product."""

    @abc.abstractmethod
    def initial_state(self) -> State:
        """The state in which an episode begins."""

    def init_carry(self) -> State:
        return jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), self.initial_state())

    def __call__(
        self,
        carry: State,
        xs: Float[Array, "time in"],
        start: Bool[Array, " time"] | None,
        *,
        method: AbstractMethod = Auto(),
    ) -> tuple[State, Float[Array, "time state"]]:
        check_sequence(self, xs, start)
        newton = newton_of(self, method)
        check_carry(self, self.initial_state(), carry)
        if xs.shape[0] == 0:
            output = _output(carry)
            return carry, jnp.zeros((0, *output.shape), output.dtype)
        projected = jax.vmap(self.project)(xs)
        if newton is not None:
            last, states, _ = self._parallel(newton, carry, projected, start)
            return last, _output(states)
        states, entering, parts = self._run(carry, projected, start)
        # This product's value is never read, so XLA drops it. What stays is its gradient: the sum of
        # delta_t s_{t-1}^T over all steps, and all sequences, as one product.
        recurred = self.recur(jax.lax.stop_gradient(_output(entering)))
        states = self._attach(states, entering, parts, (recurred, projected, carry), start)
        return jax.tree.map(lambda leaf: leaf[-1], states), _output(states)

    def step(
        self, carry: State, x: Float[Array, " in"], start: Bool[Array, ""] | None
    ) -> tuple[State, Float[Array, " state"]]:
        check_step(self, x, start)
        entering = carry if start is None else tree_where(start, self.initial_state(), carry)
        state, _ = self._advance(entering, *self.project(x))
        return state, _output(state)

    def _advance(
        self, entering: State, added: tuple[Array, ...], own: PyTree[Array]
    ) -> tuple[State, Parts]:
        gates, rest = self._parts(self.recur(_output(entering)), added)
        return self.activate(entering, gates, rest, own), (gates, rest)

    def _parts(self, recurred: Array, added: tuple[Array, ...]) -> Parts:
        blocks = jnp.split(recurred, recurred.shape[0] // self.recurrent.shape[1])
        gates = tuple(block + x for block, x in zip(blocks, added, strict=False))
        return gates, tuple(blocks[len(added) :])

    def _parallel(
        self, method: Newton, carry: State, projected: PyTree[Array], start: Array | None
    ) -> tuple[State, States, NewtonInfo]:
        """(last state, states, how it went) by Newton's method."""
        arrays, static = eqx.partition(self, eqx.is_array)
        vectors = Vectors(type(self).__name__, carry)

        def step(arrays: PyTree, before: Array, now: tuple) -> Array:
            model = eqx.combine(arrays, static)
            return vectors.flat(model._advance(vectors.tree(before), *now)[0])

        def linearise(full: bool, arrays: PyTree, before: Array, now: tuple) -> tuple:
            model = eqx.combine(arrays, static)
            return _linearised(model, vectors, full, before, now)

        return recurrence(
            method,
            vectors,
            step,
            lambda full: functools.partial(linearise, full),
            arrays,
            carry,
            self.initial_state(),
            projected,
            start,
            False,
        )

    def _run(
        self, carry: State, projected: PyTree[Array], start: Array | None
    ) -> tuple[States, States, Parts]:
        """(states, states that entered, gates and rest) of every step, without gradient."""
        model, carry, projected = jax.lax.stop_gradient((self, carry, projected))
        initial = model.initial_state()

        def body(before: State, now: tuple) -> tuple[State, tuple[State, State, Parts]]:
            reset, inputs = now
            entering = before if reset is None else tree_where(reset, initial, before)
            after, parts = model._advance(entering, *inputs)
            # Written down here: shifting the states afterwards is another pass over them.
            return after, (after, entering, parts)

        return jax.lax.scan(body, carry, (start, projected))[1]

    def _attach(
        self, states: States, entering: States, parts: Parts, moving: tuple, start: Array | None
    ) -> States:
        """`states`, differentiable in `moving`: recurred and projected parts and the carry."""
        static = eqx.filter(self, lambda leaf: not eqx.is_array(leaf))
        activate = functools.partial(type(self).activate, static)

        # Every array goes in as an argument: what a rule closes over would leak out of its trace.
        @jax.custom_vjp
        def attach(still: tuple, moving: tuple) -> States:
            return still[0]

        def forward(still: tuple, moving: tuple) -> tuple[States, tuple]:
            _, (_, own), _, _ = moving
            return still[0], (*still[1:], own)

        def backward(residuals: tuple, states_bar: States) -> tuple[None, tuple]:
            entering, weight, start, parts, own = residuals
            return None, _adjoint(activate, entering, weight, start, parts, own, states_bar)

        attach.defvjp(forward, backward)
        still = jax.lax.stop_gradient((states, entering, self.recurrent, start, parts))
        return attach(still, (*moving, self.initial_state()))


def _output(state: States) -> Array:
    return jax.tree.leaves(state)[0]


def _adjoint(
    activate: Any,
    entering: States,
    weight: Array,
    start: Array | None,
    parts: Parts,
    own: PyTree[Array],
    states_bar: States,
) -> tuple[Array, PyTree[Array], State, State]:
    """Cotangents of the recurred and projected parts, of the carry and of the initial state."""

    def body(carry: tuple[State, State], now: tuple) -> tuple[tuple[State, State], tuple]:
        after_bar, initial_bar = carry
        reset, state_bar, state, (gates, rest), own = now
        _, pull = jax.vjp(activate, state, gates, rest, own)
        before_bar, gates_bar, rest_bar, own_bar = pull(_sum(after_bar, state_bar))
        (first, *others), structure = jax.tree.flatten(before_bar)
        recurred_bar = jnp.concatenate([*gates_bar, *rest_bar])
        first = first + recurred_bar @ weight
        before_bar = jax.tree.unflatten(structure, [first, *others])
        if reset is not None:
            zeros = jax.tree.map(jnp.zeros_like, before_bar)
            initial_bar = _sum(initial_bar, tree_where(reset, before_bar, zeros))
            before_bar = tree_where(reset, zeros, before_bar)
        return (before_bar, initial_bar), (recurred_bar, own_bar)

    zeros = jax.tree.map(lambda leaf: jnp.zeros_like(leaf[0]), entering)
    steps = (start, states_bar, entering, parts, own)
    bars, (recurred_bar, own_bar) = jax.lax.scan(body, (zeros, zeros), steps, reverse=True)
    size = weight.shape[1]
    gates_bar = tuple(recurred_bar[:, size * i : size * (i + 1)] for i in range(len(parts[0])))
    return recurred_bar, (gates_bar, own_bar), *bars


def _sum(one: State, two: State) -> State:
    return jax.tree.map(jnp.add, one, two)


def _linearised(
    model: AbstractRecurrent, vectors: Vectors, full: bool, before: Array, now: tuple
) -> tuple[Array, Array]:
    """The next state and its Jacobian in the state, or the diagonal: with no product but the step's.

    `activate` is elementwise, so its derivative in each of its vectors is a vector; the recurrent part
    reaches the output part of the state through the weight.
    """
    added, own = now
    state = vectors.tree(before)
    recurred = model.recur(_output(state))

    def activated(state: State, recurred: Array) -> list[Array]:
        return jax.tree.leaves(model.activate(state, *model._parts(recurred, added), own))

    after, push = jax.linearize(activated, state, recurred)
    count, size = len(after), after[0].shape[0]
    blocks = recurred.shape[0] // size
    ones = jnp.repeat(jnp.eye(count + blocks, dtype=before.dtype), size, axis=1)
    # slopes[i][j]: of vector i of the next state in vector j of (state, recurred part).
    slopes = jax.vmap(lambda one: push(vectors.tree(one[: count * size]), one[count * size :]))(
        ones
    )
    weights = model.recurrent.reshape(blocks, size, size).astype(before.dtype)
    if not full:
        own_slopes = [slopes[i][i] for i in range(count)]
        diagonals = jnp.diagonal(weights, axis1=1, axis2=2)
        own_slopes[0] = own_slopes[0] + jnp.sum(slopes[0][count:] * diagonals, 0)
        return jnp.concatenate(after), jnp.concatenate(own_slopes)
    eye = jnp.eye(size, dtype=before.dtype)
    rows = [[slope[j][:, None] * eye for j in range(count)] for slope in slopes]
    for row, slope in zip(rows, slopes, strict=True):
        row[0] = row[0] + jnp.sum(slope[count:, :, None] * weights, 0)
    return jnp.concatenate(after), jnp.block(rows)
