"""The parallel tree: logarithmic depth, for accelerators."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, PyTree

from ..algebra import AbstractMonoid
from ..algebra._fixed import mark_fixed, split_fixed
from ._derivative import differentiable
from ._diagonal import Diagonal, is_diagonal
from ._loop import step_of
from ._method import AbstractMethod, length_of
from ._states import states_of


class Associative(AbstractMethod):
    """A balanced tree of `combine`s: depth O(log T), work O(T).

    Where a state embeds into an element, the carry is injected into the first element and initial
    states into the elements at starts; otherwise the full prefix is formed and then acts. A reset
    selects the identity in place of the earlier operand; a semidirect product whose action can forget
    folds it into a strict zero of the acting part instead, which has no flag to carry. A `Fixed` acting
    part of a semidirect product (the decay of an LRU) has no time axis: level k of the tree uses its
    2**k-th power. All states are formed before they are read: matrix states cost a (T, ...) stack.

    Where each number of the state goes on by itself (elementwise monoids whose state is one array, and
    products of them), derivatives are one more tree: the adjoint is a diagonal affine scan run
    backward, and nothing but the states is stored. Elsewhere the tree itself is differentiated, which
    stores O(T) elements.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> print(ma.scan(ma.Add(), jnp.ones(3), method=ma.Associative()))
        [1. 2. 3.]
    """

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
        if reverse:
            backward = functools.partial(jax.tree.map, functools.partial(jnp.flip, axis=0))
            fixed, timed, treedef = split_fixed(generators)
            flipped = mark_fixed(treedef, fixed, backward(timed))
            last, reads = self.run(
                monoid, state, flipped, backward(resets), initial_state, backward(queries), False
            )
            return last, backward(reads)
        if length_of(generators, resets) == 0:
            return state, no_reads(monoid, state, queries)
        if is_diagonal(monoid):
            states = _differentiated_states(monoid, state, generators, resets, initial_state)
        else:
            states = states_of(monoid, state, generators, resets, initial_state)
        last = jax.tree.map(lambda leaf: leaf[-1], states)
        return last, states if queries is None else jax.vmap(monoid.read)(states, queries)


def _differentiated_states(
    monoid: AbstractMonoid,
    state: PyTree,
    generators: PyTree,
    resets: Array | None,
    initial_state: PyTree | None,
) -> PyTree:
    arrays, static = eqx.partition(monoid, eqx.is_array)
    fixed, timed, treedef = split_fixed(generators)
    initial = None if resets is None else initial_state
    rule = Diagonal(step_of(static, treedef), static, treedef)
    return differentiable(rule, ((arrays, fixed, initial), state, (timed, resets)))


def no_reads(monoid: AbstractMonoid, state: PyTree, queries: PyTree | None) -> PyTree:
    """What a trajectory of no steps reads: nothing, of the right shape."""
    if queries is None:
        return jax.tree.map(lambda leaf: jnp.zeros((0, *leaf.shape), leaf.dtype), state)
    return jax.vmap(lambda query: monoid.read(state, query))(queries)
