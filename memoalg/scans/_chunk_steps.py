"""A sequence in chunks: cut, made into what matrix products take, read, and joined again."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, PyTree

from .._typing import TreeDef
from ..algebra._fixed import merge_fixed
from ._chunk import Chunk, Entering, Episodes, Outer, episodes, prepared, run_chunk, selected
from ._chunk_exponent import Exponents
from ._outer_form import AbstractOuterForm


class Steps(NamedTuple):
    """What is given, with a leading axis of steps; cut, with one of chunks before it.

    Arguments:
        timed: of the generators.
        queries: as given.
        start: where the initial state enters.
        finite: whether all that a step writes is a number.
        relative: of a memory with an exponent; None otherwise.
        real: false where a step only fills the last chunk.
    """

    timed: list
    queries: PyTree
    start: Bool[Array, "*steps"]
    finite: Bool[Array, "*steps"]
    relative: Exponents | None
    real: Bool[Array, "*steps"]


class Work(eqx.Module):
    """What all chunks share.

    Arguments:
        form: of the memory.
        treedef: of the generators.
        fixed: their parts without time.
        initial: the state at a start, sanitised; None for zeros.
        dtype: of the products, float32 at least.
        size: steps in a chunk.
        reverse: whether a chunk runs from its last step to its first.
    """

    form: AbstractOuterForm
    treedef: TreeDef = eqx.field(static=True)
    fixed: list
    initial: Entering | None
    dtype: np.dtype = eqx.field(static=True)
    size: int = eqx.field(static=True)
    reverse: bool = eqx.field(static=True)

    def known(self, steps: Steps) -> Episodes:
        """What is needed of every chunk more than once: a few bytes for each step."""
        start, finite, real = self._in_order((steps.start, steps.finite, steps.real))
        rows = self._in_order(self.form.rows(steps.queries))
        return episodes(start & real, finite | ~real, jnp.all(jnp.isfinite(rows), axis=1))

    def prepare(self, steps: Steps, found: Episodes) -> Chunk:
        """A chunk before the state that enters is known: nothing of it is kept for the gradient."""
        timed, queries, relative, real = self._in_order(
            (steps.timed, steps.queries, steps.relative, steps.real)
        )
        outer = self.form.writes(with_fixed(self.treedef, self.fixed, timed, self.size))
        keys, values, decays, strengths, _ = jax.tree.map(lambda x: x.astype(self.dtype), outer)
        if relative is not None:
            keys, decays = keys * relative.weights[:, None], relative.decays
        # A step that only fills the chunk writes nothing and forgets nothing.
        keys, values = selected(real, keys), selected(real, values)
        decays = None if decays is None else selected(real, decays, 1)
        rows = self.form.rows(queries).astype(self.dtype)
        return prepared(Outer(keys, values, decays, strengths), rows, found)

    def run(
        self, before: Entering, chunk: Chunk, relative: Exponents | None
    ) -> tuple[Entering, PyTree]:
        """The state after a chunk and what the monoid reads in it, NaN where that is broken."""
        after, reads, good = run_chunk(before, self.initial, chunk)
        here = None if relative is None else self._in_order(relative.here)
        read = self.form.reads(reads, here)
        marked = jax.tree.map(lambda x: selected(good, x, jnp.nan), read)
        return after, self._in_order(marked)

    def _in_order(self, tree: PyTree) -> PyTree:
        """In the order of execution; its own inverse."""
        return jax.tree.map(lambda x: jnp.flip(x, 0), tree) if self.reverse else tree


def whole_steps(
    timed: list,
    queries: PyTree,
    resets: Bool[Array, " time"] | None,
    written: Outer,
    relative: Exponents | None,
    length: int,
) -> Steps:
    """A sequence before it is cut."""
    start = jnp.zeros(length, jnp.bool_) if resets is None else resets
    parts = (written.keys, written.values, written.decays, written.strengths)
    finite = jnp.ones(length, jnp.bool_) if relative is None else relative.finite
    for part in parts:
        if part is not None:
            finite = finite & jnp.all(jnp.isfinite(part.reshape(length, -1)), axis=1)
    return Steps(timed, queries, start, finite, relative, jnp.ones(length, jnp.bool_))


def with_fixed(treedef: TreeDef, fixed: list, timed: list, length: int) -> PyTree:
    """Generators with a time axis: their `Fixed` parts are repeated."""

    def repeated(x: Array) -> Array:
        return jnp.broadcast_to(x, (length, *x.shape))

    return merge_fixed(treedef, jax.tree.map(repeated, fixed), timed)


def cut(steps: Steps, length: int, size: int, reverse: bool) -> Steps:
    """(time, ...) -> (chunks, size, ...), in the order of execution; what is missing repeats the end.

    What is made of the repeated steps is selected away. They are like real ones, so that a form's
    own arithmetic meets nothing that it would not meet.
    """
    chunks = -(-length // size)
    missing = chunks * size - length
    sides = (missing, 0) if reverse else (0, missing)

    def one(x: Array, mode: str) -> Array:
        if missing:
            x = jnp.pad(x, [sides] + [(0, 0)] * (x.ndim - 1), mode=mode)
        return x.reshape(chunks, size, *x.shape[1:])

    filled = jax.tree.map(lambda x: one(x, "edge"), steps)
    return filled._replace(real=one(steps.real, "constant"))


def joined(x: Array, length: int, reverse: bool) -> Array:
    """(chunks, size, ...) -> (time, ...), without what was missing."""
    x = x.reshape(-1, *x.shape[2:])
    return x[x.shape[0] - length :] if reverse else x[:length]
