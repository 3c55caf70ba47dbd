"""Windows by gathers: the last few steps are where they were written, so nothing has to be carried."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, PyTree

from .._tree import as_varying, tree_where, varying_axes
from .._typing import TreeDef
from ..algebra import AbstractMonoid
from ..algebra._fixed import is_fixed, split_fixed
from ._chunk_steps import with_fixed
from ._factors import run_of
from ._method import AbstractMethod, initial_state_of, length_of
from ._sequential import Sequential
from ._window_form import WindowForm, window_form


class Gather(AbstractMethod):
    """Windows over the last k steps, each gathered from what was written: no loop over steps.

    For [`memoalg.Recent`][] and [`memoalg.Window`][], and products and powers of them. The state at a
    step is the last k things written since the start of the episode, before them the state that
    entered; where they lie is known from `start` alone, so that every step finds its window by itself.

    With queries the sequence is cut into blocks. The windows of one block exist only while they are
    read, and again in the gradient: an array (time, k, ...) is never formed. Without queries it is the
    result.

    What lies before a start is taken out by a select: NaN there reaches neither later values nor
    gradients. Where a monoid reads the steps of a block together (attention does, by products of
    matrices), every read of the episode that NaN or inf reaches is NaN.

    Arguments:
        size: steps in a block; None for about 1000 slots, between 16 and 128 steps (where they are
            read together, for k of them, between 16 and 256).

    Raises:
        ValueError: where `size` is not a positive int.
        TypeError: when run, for a monoid that is not a window.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> m = ma.Recent((), k=2)
        >>> start = jnp.array([True, False, True])
        >>> xs, state = jnp.array([1.0, 2.0, 3.0]), m.initial_state()
        >>> _, (values, count) = ma.trajectory(m, state, xs, start, method=ma.Gather())
        >>> print(values, count)
        [[0. 1.]
         [1. 2.]
         [0. 3.]] [1 2 1]
    """

    size: int | None = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        if self.size is not None and (type(self.size) is not int or self.size < 1):
            raise ValueError(f"Gather: size is a positive int or None, got {self.size!r}")

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
        by_factor = run_of(monoid)
        if by_factor is not None:
            return by_factor(
                self.run, monoid, state, generators, resets, initial_state, queries, reverse
            )
        form = window_form(monoid)
        if form is None:
            raise TypeError(
                f"Gather runs windows (ma.Recent, ma.Window, and products and powers of them), not "
                f"{type(monoid).__name__}: write method=ma.Auto(), which takes what fits"
            )
        length = length_of(generators, resets)
        if length == 0:
            return Sequential().run(
                monoid, state, generators, resets, initial_state, queries, reverse
            )
        operands = (generators, resets, queries)
        if reverse:
            operands = _flipped(operands)
        last, reads = self._run(monoid, form, state, initial_state, length, *operands)
        return last, _flipped(reads) if reverse else reads

    def _run(
        self,
        monoid: AbstractMonoid,
        form: WindowForm,
        state: PyTree,
        initial_state: PyTree | None,
        length: int,
        generators: PyTree,
        resets: Bool[Array, " time"] | None,
        queries: PyTree | None,
    ) -> tuple[PyTree, PyTree]:
        """At least one step, in the order of execution."""
        held, count = state
        fixed, timed, treedef = split_fixed(generators)
        again, filled = initial_state_of(monoid, initial_state)
        # Without a start no step is reached by the initial state.
        initial = None if resets is None else again
        windows = Windows(form, treedef, fixed, initial, initial_state is None)
        pushes, begun = _since(resets, length)
        counts = jnp.where(begun, filled, count) + pushes.astype(count.dtype)
        counts = jnp.minimum(counts, form.size)
        reach = jnp.where(begun, jnp.minimum(pushes, form.size), form.size)
        last = windows.last(held, timed, reach, length), counts[-1]
        before = jax.tree.map(lambda x: x[1:], held)
        if queries is None:
            return last, (windows(windows.rows(before, timed, length), reach), counts)
        steps = Steps(timed, queries, reach, counts)
        return last, self._read(monoid, windows, before, steps, length)

    def _read(
        self,
        monoid: AbstractMonoid,
        windows: "Windows",
        before: PyTree,
        steps: "Steps",
        length: int,
    ) -> PyTree:
        """What the steps read of their windows, block after block; each again for its gradient."""
        blocks = -(-length // self._size(windows))
        size = -(-length // blocks)
        blocks = -(-length // size)

        def cut(x: Array) -> Array:
            # What is missing repeats the end, so that it meets nothing that a step would not meet.
            sides = [(0, blocks * size - length)] + [(0, 0)] * (x.ndim - 1)
            return jnp.pad(x, sides, mode="edge").reshape(blocks, size, *x.shape[1:])

        @jax.checkpoint
        def block(before: PyTree, now: Steps) -> tuple[PyTree, PyTree]:
            rows = windows.rows(before, now.timed, size)
            if windows.together is not None:
                reads = windows.together(rows, now.counts, now.queries)
            else:
                states = windows(rows, now.reach), now.counts
                reads = jax.vmap(monoid.read)(states, now.queries)
            return jax.tree.map(lambda x: x[size:], rows), reads

        # Under `shard_map` what goes from block to block varies over the mesh as the steps do.
        axes = varying_axes((before, steps, windows.fixed, windows.initial))
        before = as_varying(before, axes)
        _, reads = jax.lax.scan(block, before, jax.tree.map(cut, steps))
        return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[:length], reads)

    def _size(self, windows: "Windows") -> int:
        # Measured on a CPU (`benchmarks/windows.py`): a block's windows fit into a cache.
        size = windows.form.size
        best = max(16, min(128, 1024 // size) if windows.together is None else min(size, 256))
        return self.size or best


class Steps(NamedTuple):
    """What is given of each step, and what its window is.

    Arguments:
        timed: of the generators.
        queries: as given.
        reach: how many slots hold what was written in this trajectory, or entered it.
        counts: how many slots are filled.
    """

    timed: list
    queries: PyTree
    reach: Int[Array, "*steps"]
    counts: Int[Array, "*steps"]


class Windows(eqx.Module):
    """How the windows of some steps are found among rows: what was written, in the order of time.

    Arguments:
        form: of the monoid.
        treedef: of the generators.
        fixed: their parts without time.
        initial: the buffer in which an episode begins; None where none begins.
        alike: whether its slots all hold the same, as those of the monoid's own do.
    """

    form: WindowForm = eqx.field(static=True)
    treedef: TreeDef = eqx.field(static=True)
    fixed: list
    initial: PyTree | None
    alike: bool = eqx.field(static=True)

    @property
    def together(self) -> Callable[..., PyTree] | None:
        """How steps read together: only where all that is filled was written."""
        return self.form.read if self.alike or self.initial is None else None

    def rows(self, before: PyTree, timed: list, length: int) -> PyTree:
        """`before`, the k - 1 rows before some steps, and what these write."""
        slots = jax.vmap(self.form.slot)(with_fixed(self.treedef, self.fixed, timed, length))
        return jax.tree.map(
            lambda old, new: jnp.concatenate([old, new.astype(old.dtype)]), before, slots
        )

    def __call__(self, rows: PyTree, reach: Int[Array, " time"]) -> PyTree:
        """The window of each step: of its k slots the last `reach` are rows, those before initial."""
        size, length = self.form.size, reach.shape[0]
        at = np.arange(length)[:, None] + np.arange(size)
        windows = jax.tree.map(lambda x: x.at[at].get(mode="promise_in_bounds"), rows)
        if self.initial is None:
            return windows
        slot, reach = jnp.arange(size, dtype=reach.dtype)[None], reach[:, None]
        # After r steps slot j holds what was in slot j + r at the start.
        earlier = jnp.minimum(slot + reach, size - 1)

        def older(initial: Array) -> Array:
            return initial[None] if self.alike else initial[earlier]

        initial = jax.tree.map(older, self.initial)
        return tree_where(slot >= size - reach, windows, initial)

    def last(self, held: PyTree, timed: list, reach: Int[Array, " time"], length: int) -> PyTree:
        """The window of the last step alone."""
        few = min(length, self.form.size)
        rows = self.rows(held, jax.tree.map(lambda x: x[length - few :], timed), few)
        rows = jax.tree.map(lambda x: x[-self.form.size :], rows)
        return jax.tree.map(lambda x: x[0], self(rows, reach[-1:]))


def _since(
    resets: Bool[Array, " time"] | None, length: int
) -> tuple[Int[Array, " time"], Bool[Array, " time"]]:
    """Steps since the last start, this one included (since the first step before any); is there one?"""
    step = jnp.arange(length, dtype=jnp.int32)
    if resets is None:
        return step + 1, jnp.zeros(length, jnp.bool_)
    start = jax.lax.cummax(jnp.where(resets, step, -1))
    return step - jnp.maximum(start, 0) + 1, start >= 0


def _flipped(tree: PyTree) -> PyTree:
    """In the other order of time; `Fixed` parts have none."""

    def flip(node: Any) -> Any:
        return node if is_fixed(node) else jnp.flip(node, 0)

    return jax.tree.map(flip, tree, is_leaf=is_fixed)
