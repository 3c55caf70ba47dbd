r"""The time axis over several devices: one all-gather forward, one reduce-scatter backward.

Shard p runs its piece of the sequence from the state that enters it. That state follows from the
*totals* of the shards before, one element each: their product since their last reset, and whether there
was one. So a piece is gone over twice, by a fold and by a trajectory, with one exchange between them.
(To run it once, from the identity, and correct the states by their prefixes would read and write every
state twice, and store the prefixes; the fold writes nothing.)

The gradient does not go through the fold. What shard p did to later shards it did through its last
state, so it needs the cotangent of that state alone; then one adjoint of its trajectory gives every
gradient. In the order of execution, with $J_p$ the derivative of shard p's last state by the state that
entered it:

1. each shard takes the adjoint of its reads down to the state that entered it, $\epsilon_p$ (nothing
   else of that pass is used, so the compiler drops the rest);
2. carries it through the totals to the last states of the shards before,
   $\lambda_q = J_{q+1}^\top \cdots J_{p-1}^\top \epsilon_p$ for $q < p$; one reduce-scatter brings each
   shard q the sum of its $\lambda_q$;
3. takes the adjoint of its trajectory with that sum on its last state.

What is exchanged there are states, not elements, and nothing of the fold is stored. All of it is
written by hand down to the method that runs a piece, so that no associative scan is differentiated as
it stands: under `shard_map` that crashes the compiler of jaxlib 0.11.2 (CPU, two devices or more, tuples).
"""

import dataclasses
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int32, PyTree

from .._tree import as_varying, split_inexact, tree_where, varying_axes, zeros_of
from ..algebra import AbstractMonoid
from ._associative import Associative
from ._mesh import AxisName, axes_of, gathered, position, summed
from ._method import AbstractMethod, initial_state_of
from ._total import total


class Totals(eqx.Module):
    """What the shards did, in the order of execution, one row each."""

    product: PyTree
    """The element, since the last reset."""
    started: Bool[Array, "*shards"] | None
    """Whether there was a reset; None where there is none at all."""
    closed: Bool[Array, "*shards"] | None
    """Whether a reset lies between a shard and the next; None where none does."""

    def last(self, monoid: AbstractMonoid, initial: PyTree, entering: PyTree) -> PyTree:
        """The last state of one shard."""
        begun = entering if self.started is None else tree_where(self.started, initial, entering)
        return monoid.act(begun, self.product)

    def along(
        self, monoid: AbstractMonoid, initial: PyTree, state: PyTree, size: int
    ) -> tuple[PyTree, PyTree]:
        """`(last state of the last shard, states that enter the shards)`."""

        def body(carry: tuple[PyTree, PyTree], row: Totals) -> tuple[tuple, PyTree]:
            entering, _ = carry
            last = row.last(monoid, initial, entering)
            after = last if row.closed is None else tree_where(row.closed, initial, last)
            return (after, last), entering

        (_, last), entering = _scan(body, (state, state), self, size)
        return last, entering


class Operands(eqx.Module):
    """What a piece is run on. All of it varies over the same mesh axes."""

    arrays: PyTree
    state: PyTree
    generators: PyTree
    resets: Bool[Array, " time"] | None
    closed: Bool[Array, ""] | None
    initial: PyTree | None
    queries: PyTree | None


class Piece(eqx.Module):
    """How one shard takes part."""

    axis_name: AxisName = eqx.field(static=True)
    size: int = eqx.field(static=True)
    local: AbstractMethod
    static: PyTree
    reverse: bool = eqx.field(static=True)

    def run(self, operands: Operands) -> tuple[PyTree, PyTree]:
        """`(last state, reads)`, the last state as replicated as `operands.state` is."""
        names = axes_of(self.axis_name)
        axes = varying_axes(operands) | names
        moving, still = split_inexact(as_varying(operands, axes))
        call = jax.custom_vjp(self._primal)
        call.defvjp(self._forward, self._backward)
        own_last, reads, totals = call(moving, still)
        # The last state again, from totals that are the same everywhere: every shard then has it, and
        # JAX knows. It costs no further exchange.
        constant = jax.lax.stop_gradient(
            as_varying((operands.arrays, operands.initial, operands.state), axes - names)
        )
        arrays, initial, state = constant
        monoid = eqx.combine(arrays, self.static)
        initial = initial_state_of(monoid, initial)
        last, _ = jax.lax.stop_gradient(totals).along(monoid, initial, state, self.size)
        return self._last_of_all(own_last, last), reads

    def _primal(self, moving: Operands, still: Operands) -> tuple[PyTree, PyTree, Totals]:
        operands = eqx.combine(moving, still)
        totals, entering = self._exchange(operands)
        return *self._run_local(operands, self._own(entering)), totals

    def _forward(self, moving: Operands, still: Operands) -> tuple[tuple, tuple]:
        operands = eqx.combine(moving, still)
        totals, entering = self._exchange(operands)
        own, own_still = split_inexact(self._own(entering))

        def run(own: PyTree, moving: Operands) -> tuple[PyTree, PyTree]:
            given = eqx.combine(moving, still)
            return split_inexact(self._run_local(given, eqx.combine(own, own_still)))

        outputs, pull, rest = jax.vjp(run, own, moving, has_aux=True)
        outputs = eqx.combine(outputs, rest)
        return (*outputs, totals), (operands.arrays, operands.initial, totals, entering, pull)

    def _backward(self, residuals: tuple, bars: tuple) -> tuple[Operands, None]:
        arrays, initial, totals, entering, pull = residuals
        last_bar, reads_bar = _moving(bars[:2])
        reach, _ = pull((last_bar, reads_bar))
        place = position(self.axis_name, self.size, self.reverse)
        if jax.tree.leaves(reach):
            monoid = eqx.combine(arrays, self.static)
            begun = initial_state_of(monoid, initial)
            rows = _carried_back(monoid, begun, totals, entering, reach, place)
            later = summed(rows, self.axis_name, self.reverse)
            last_bar = jax.tree.map(jnp.add, last_bar, later)
        reach, given = pull((last_bar, reads_bar))
        given = dataclasses.replace(given, state=_where_or_zero(place == 0, reach))
        if totals.closed is not None and initial is not None:
            # Where the shard before was closed, what entered was the initial state.
            before = totals.closed[jnp.maximum(place, 1) - 1] & (place > 0)
            more = jax.tree.map(jnp.add, given.initial, _where_or_zero(before, reach))
            given = dataclasses.replace(given, initial=more)
        return given, None

    def _exchange(self, operands: Operands) -> tuple[Totals, PyTree]:
        """All shards' totals, replicated, and the states that enter the shards, varying."""
        monoid = eqx.combine(operands.arrays, self.static)
        product = total(
            self.local, monoid, operands.generators, operands.resets, operands.queries, self.reverse
        )
        started = None if operands.resets is None else jnp.any(operands.resets)
        own = Totals(product, started, operands.closed)
        totals = gathered(own, self.axis_name, self.reverse)
        axes = varying_axes(operands)
        initial = as_varying(initial_state_of(monoid, operands.initial), axes)
        _, entering = as_varying(totals, axes).along(monoid, initial, operands.state, self.size)
        return totals, entering

    def _own(self, rows: PyTree) -> PyTree:
        place = position(self.axis_name, self.size, self.reverse)
        return jax.tree.map(lambda leaf: jax.lax.dynamic_index_in_dim(leaf, place, 0, False), rows)

    def _run_local(self, operands: Operands, entering: PyTree) -> tuple[PyTree, PyTree]:
        def run(operands: Operands, entering: PyTree) -> tuple[PyTree, PyTree]:
            return self.local.run(
                eqx.combine(operands.arrays, self.static),
                entering,
                operands.generators,
                operands.resets,
                operands.initial,
                operands.queries,
                self.reverse,
            )

        # A tree has no adjoint of its own. Computed again in the gradient it does not crash the compiler
        # of jaxlib 0.11.2, and stores T states instead of T log T.
        is_tree = isinstance(self.local, Associative)
        last, reads = (jax.checkpoint(run) if is_tree else run)(operands, entering)
        self._check_types(last, varying_axes(operands))
        return last, reads

    def _check_types(self, last: PyTree, axes: frozenset[str]) -> None:
        if any(varying_axes(leaf) != axes for leaf in jax.tree.leaves(last)):
            raise TypeError(
                f"Sharded: the last state of {self.local!r} is typed as if it were the same on all "
                "devices, and its gradient would be wrong; a primitive of its own must pass on the "
                "`manual_axis_type` of its operands (`check_vma=False` of jax.shard_map avoids types)"
            )

    def _last_of_all(self, own: PyTree, value: PyTree) -> PyTree:
        """`value`, whose derivative is that of the last shard's own last state."""
        moving, still = split_inexact(value)
        own_moving, _ = split_inexact(own)
        axes = varying_axes(value)

        @jax.custom_jvp
        def choose(own: PyTree, value: PyTree) -> PyTree:
            return value

        @choose.defjvp
        def _(primals: tuple, tangents: tuple) -> tuple[PyTree, PyTree]:
            is_last = position(self.axis_name, self.size, self.reverse) == self.size - 1
            dots = jax.lax.psum(_where_or_zero(is_last, tangents[0]), self.axis_name)
            return choose(*primals), as_varying(dots, axes)

        return eqx.combine(choose(own_moving, moving), still)


def _carried_back(
    monoid: AbstractMonoid,
    initial: PyTree,
    totals: Totals,
    entering: PyTree,
    reach: PyTree,
    place: Int32[Array, ""],
) -> PyTree:
    """Cotangents of the last states of the shards before, one row each; later rows are zero.

    Arguments:
        reach: the cotangent of the state that entered this shard.
        place: of this shard.
    """
    axes = varying_axes(place) | varying_axes(reach)
    initial, totals = as_varying((initial, totals), axes)

    def body(after_bar: PyTree, row: tuple) -> tuple[PyTree, PyTree]:
        index, own, before = row
        last_bar = after_bar if own.closed is None else _where_or_zero(~own.closed, after_bar)
        moving, still = split_inexact(before)

        def last(moving: PyTree) -> PyTree:
            return split_inexact(own.last(monoid, initial, eqx.combine(moving, still)))[0]

        (through,) = jax.vjp(last, moving)[1](last_bar)
        # Selects, so that NaN in what later shards did stays with them.
        passed = _where_or_zero(index < place, through)
        return tree_where(index == place, reach, passed), last_bar

    size = jax.tree.leaves(entering)[0].shape[0]
    rows = (jnp.arange(size), totals, entering)
    nothing = as_varying(zeros_of(reach), axes)
    return _scan(body, nothing, as_varying(rows, axes), size, reverse=True)[1]


def _scan(
    body: Callable, carry: PyTree, rows: PyTree, size: int, reverse: bool = False
) -> tuple[PyTree, PyTree]:
    # A few shards are unrolled: the compiler then sees that the two runs along them are one.
    return jax.lax.scan(body, carry, rows, size, reverse=reverse, unroll=min(size, 8))


def _where_or_zero(condition: Array, tree: PyTree) -> PyTree:
    return tree_where(condition, tree, jax.tree.map(jnp.zeros_like, tree))


def _moving(bars: PyTree) -> PyTree:
    """JAX gives integer outputs cotangents of dtype float0: None here, as `split_inexact` does."""
    return jax.tree.map(lambda bar: None if bar.dtype == jax.dtypes.float0 else bar, bars)
