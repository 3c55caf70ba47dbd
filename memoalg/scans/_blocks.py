"""Blocks of steps, one after the other: what is stored for the gradient is one state for each block."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from .._typing import TreeDef
from ..algebra import AbstractMonoid
from ..algebra._fixed import mark_fixed, split_fixed
from ._loop import Loop, Step
from ._method import AbstractMethod


def run_in_blocks(
    method: AbstractMethod,
    size: int,
    sparse: bool,
    monoid: AbstractMonoid,
    state: PyTree,
    generators: PyTree,
    resets: Array | None,
    initial_state: PyTree | None,
    queries: PyTree | None,
    reverse: bool,
) -> tuple[PyTree, PyTree]:
    """A trajectory whose states inside a block exist only while the block is run, or run again.

    Arguments:
        method: by which each block is run.
        size: steps in a block.
        sparse: read only the last step executed of each whole block; otherwise every step.
        monoid: and what follows: as for `AbstractMethod.run`.
    """
    arrays, static = eqx.partition(monoid, eqx.is_array)
    fixed, timed, treedef = split_fixed(generators)
    steps = timed, resets, queries
    length = jax.tree.leaves(steps)[0].shape[0]
    whole = length // size * size
    # What does not fill a block is executed last.
    in_blocks = slice(length - whole, None) if reverse else slice(whole)
    rest = slice(length - whole) if reverse else slice(whole, None)
    blocks = jax.tree.map(lambda x: x[in_blocks].reshape(-1, size, *x.shape[1:]), steps)
    constants = arrays, fixed, None if resets is None else initial_state
    step = block_step(method, static, treedef, sparse, reverse)
    state, reads = Loop(step, reverse, 1, reads_states=False).run(constants, state, blocks)
    if not sparse:
        reads = jax.tree.map(lambda x: x.reshape(whole, *x.shape[2:]), reads)
    if whole == length:
        return state, reads
    timed, resets, queries = jax.tree.map(lambda x: x[rest], steps)
    own = mark_fixed(treedef, fixed, timed)
    state, more = method.run(monoid, state, own, resets, initial_state, queries, reverse)
    if sparse:
        return state, reads
    order = (more, reads) if reverse else (reads, more)
    return state, jax.tree.map(lambda *parts: jnp.concatenate(parts), *order)


def block_step(
    method: AbstractMethod, static: AbstractMonoid, treedef: TreeDef, sparse: bool, reverse: bool
) -> Step:
    """A block as the step of a loop."""

    def step(constants: PyTree, before: PyTree, now: PyTree) -> tuple[PyTree, PyTree]:
        arrays, fixed, initial = constants
        timed, resets, queries = now
        monoid = eqx.combine(arrays, static)
        generators = mark_fixed(treedef, fixed, timed)
        asked = None if sparse else queries
        after, reads = method.run(monoid, before, generators, resets, initial, asked, reverse)
        if not sparse:
            return after, reads
        if queries is None:
            return after, after
        last = jax.tree.map(lambda leaf: leaf[0 if reverse else -1], queries)
        return after, monoid.read(after, last)

    return step
