"""States at every step, from prefixes that a balanced tree forms."""

import functools
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from .._tree import tree_where
from .._typing import TreeDef
from ..algebra import (
    AbstractMonoid,
    DirectProduct,
    SemidirectProduct,
    has_embedding,
    is_elementwise,
)
from ..algebra._fixed import is_fixed, merge_fixed, over_time, split_fixed
from ..algebra._strict import Strict, strictly
from ._method import initial_state_of, length_of


class Blocks(eqx.Module):
    """Elements in a row: their timed leaves, and the fixed leaves that all of one level share."""

    fixed: list
    timed: list
    treedef: TreeDef = eqx.field(static=True)

    def __getitem__(self, index: slice) -> "Blocks":
        timed = jax.tree.map(lambda leaf: leaf[index], self.timed)
        return Blocks(self.fixed, timed, self.treedef)

    def at_one_time(self, timed: list) -> PyTree:
        return merge_fixed(self.treedef, self.fixed, timed)

    def split(self, element: PyTree) -> tuple[list, list]:
        nodes = self.treedef.flatten_up_to(element)
        fixed = [None if f is None else n for f, n in zip(self.fixed, nodes, strict=True)]
        timed = [n if f is None else None for f, n in zip(self.fixed, nodes, strict=True)]
        return fixed, timed


def states_of(
    monoid: AbstractMonoid,
    state: PyTree,
    generators: PyTree,
    resets: Array | None,
    initial_state: PyTree | None,
    folds: bool = False,
) -> PyTree:
    """s_t at every step, formed from prefixes.

    Arguments:
        monoid: and what follows: as for `AbstractMethod.run`.
        folds: resets may be folded into zeros of an acting part: for programs that are not
            differentiated, because the derivative by a decay that is zero of itself would be lost.
    """
    initial = initial_state_of(monoid, initial_state)
    embeds = has_embedding(monoid)
    length = length_of(generators, resets)
    generators = _broadcast(generators, _kept(monoid, generators) if embeds else None, length)
    elements = _elements(monoid, generators)
    if embeds:
        everywhere = initial_state is not None or not _begins_with_identity(monoid)
        elements = _inject(monoid, state, initial, elements, resets, everywhere)
        zero = None
        if folds:
            elements, resets, zero = _folded(monoid, elements, resets)
        prefixes, _ = _prefixes(monoid, elements, resets, zero)
        return jax.vmap(lambda timed: monoid.project(elements.at_one_time(timed)))(prefixes.timed)
    prefixes, started = _prefixes(monoid, elements, resets)
    if started is None:
        return jax.vmap(lambda timed: monoid.act(state, elements.at_one_time(timed)))(
            prefixes.timed
        )
    return jax.vmap(
        lambda timed, fresh: monoid.act(
            tree_where(fresh, initial, state), elements.at_one_time(timed)
        )
    )(prefixes.timed, started)


@functools.singledispatch
def _kept(monoid: AbstractMonoid, generators: PyTree) -> PyTree:
    """The generators with `Fixed` left only where a tree may square it, level by level.

    The acting part of a semidirect product is such a place: with a reset the later base part alone
    matters, since the action leaves the identity of the base alone.
    """
    del monoid
    return jax.tree.map(lambda node: None, generators, is_leaf=is_fixed)


@_kept.register
def _(monoid: SemidirectProduct, generators: PyTree) -> PyTree:
    acting, base = generators
    everywhere = jax.tree.map(is_fixed, acting, is_leaf=is_fixed)
    all_fixed = all(jax.tree.leaves(everywhere))
    mark = jax.tree.map(lambda node: True if all_fixed else None, acting, is_leaf=is_fixed)
    return mark, jax.tree.map(lambda node: None, base, is_leaf=is_fixed)


@_kept.register
def _(monoid: DirectProduct, generators: PyTree) -> PyTree:
    pairs = zip(monoid.factors, generators, strict=True)
    return tuple(_kept(factor, part) for factor, part in pairs)


def _broadcast(generators: PyTree, keep: PyTree | None, length: int) -> PyTree:
    """Give every `Fixed` part that may not be kept a time axis."""
    nodes, treedef = jax.tree.flatten(generators, is_leaf=is_fixed)
    marks = [None] * len(nodes) if keep is None else treedef.flatten_up_to(keep)

    def widen(leaf: Array) -> Array:
        return jnp.broadcast_to(leaf, (length, *jnp.shape(leaf)))

    return jax.tree.unflatten(
        treedef,
        [
            jax.tree.map(widen, node.value) if is_fixed(node) and not mark else node
            for node, mark in zip(nodes, marks, strict=True)
        ],
    )


def _elements(monoid: AbstractMonoid, generators: PyTree) -> Blocks:
    return Blocks(*split_fixed(over_time(monoid.expand, generators)))


def _folded(
    monoid: AbstractMonoid, elements: Blocks, resets: Array | None
) -> tuple[Blocks, Array | None, float | None]:
    """Resets as a zero of a timed acting part, where that forgets: (elements, resets, zero)."""
    if resets is None or not isinstance(monoid, SemidirectProduct) or not is_elementwise(monoid):
        return elements, resets, None
    strict = strictly(monoid.acting, monoid.base, monoid.action)
    if strict is None or not isinstance(strict[0], Strict):
        return elements, resets, None
    acting, base = elements.at_one_time(elements.timed)
    shapes = {jnp.shape(leaf) for leaf in jax.tree.leaves((acting, base))}
    if elements.fixed[0] is not None or len(shapes) != 1:
        return elements, resets, None
    value = strict[0].value
    flags = resets.reshape(-1, *(1,) * (acting.ndim - 1))
    folded = jnp.where(flags, jnp.asarray(value, acting.dtype), acting), base
    return Blocks(*split_fixed(folded)), None, value


def _inject(
    monoid: AbstractMonoid,
    state: PyTree,
    initial: PyTree,
    elements: Blocks,
    resets: Array | None,
    everywhere: bool,
) -> Blocks:
    """Put the state that enters the first step, and those at resets, into the steps' elements.

    Not `everywhere`: the initial state is the identity's, so that at a reset nothing need be put in.
    """

    def begin(entering: PyTree, timed: list) -> list:
        element = elements.at_one_time(timed)
        return elements.split(monoid.combine(monoid.embed(entering), element))[1]

    if resets is not None and everywhere:
        neutral = elements.split(monoid.identity())[1]

        def begin_where(reset: Array, timed: list) -> list:
            # The element is selected before it is used as well as after: an inf in a step that
            # begins nothing must not reach the gradient of the initial state.
            begun = begin(initial, tree_where(reset, timed, neutral))
            return tree_where(reset, begun, timed)

        timed = jax.vmap(begin_where)(resets, elements.timed)
    else:
        timed = elements.timed
    # One row is set, rather than selected among all: XLA then reads the others only once.
    first = jax.tree.map(lambda leaf: leaf[0], elements.timed)
    entering = state if resets is None else tree_where(resets[0], initial, state)
    head = begin(entering, first)
    timed = jax.tree.map(lambda leaf, h: leaf.at[0].set(h), timed, head)
    return Blocks(elements.fixed, timed, elements.treedef)


def _begins_with_identity(monoid: AbstractMonoid) -> bool:
    """Whether the monoid's own initial state is what its identity stands for."""
    if any(eqx.is_array(leaf) for leaf in jax.tree.leaves(monoid)):
        return False  # It may be traced.
    with jax.ensure_compile_time_eval():
        begun, neutral = monoid.embed(monoid.initial_state()), monoid.identity()
        pairs = zip(jax.tree.leaves(begun), jax.tree.leaves(neutral), strict=True)
        return all(bool(jnp.all(one == other)) for one, other in pairs)


def _prefixes(
    monoid: AbstractMonoid, elements: Blocks, resets: Array | None, zero: float | None = None
) -> tuple[Blocks, Array | None]:
    """All inclusive prefixes since the last reset, and whether there was one.

    With `zero`, a reset is where the acting part has that value: no flags need to be combined. Where
    the later operand has it the earlier one is dropped; an earlier one is multiplied, which makes no
    difference but to what is not finite in the same episode.
    """
    # Only timed leaves are reset: a fixed acting part leaves the identity of its base alone.
    neutral = elements.split(monoid.identity())[1]

    def combine(left: Blocks, right: Blocks) -> Blocks:
        def one(left_timed: list, right_timed: list) -> tuple[list, list]:
            x = left_timed[0]
            if zero is not None:
                acting = right_timed[0][0]
                x = tree_where(acting == jnp.asarray(zero, acting.dtype), neutral, x)
            elif resets is not None:
                x = tree_where(right_timed[1], neutral, x)
            product = monoid.combine(left.at_one_time(x), right.at_one_time(right_timed[0]))
            fixed, timed = elements.split(product)
            started = None if resets is None else left_timed[1] | right_timed[1]
            return fixed, [timed, started]

        fixed, timed = jax.vmap(one, out_axes=(None, 0))(left.timed, right.timed)
        return Blocks(fixed, timed, elements.treedef)

    lifted = Blocks(elements.fixed, [elements.timed, resets], elements.treedef)
    scanned = _tree_scan(combine, lifted)
    return Blocks(elements.fixed, scanned.timed[0], elements.treedef), scanned.timed[1]


def _tree_scan(combine: Callable[[Blocks, Blocks], Blocks], blocks: Blocks) -> Blocks:
    """Ladner-Fischer: pair up, scan the pairs, fill in.

    The right operand is always a block of exactly 2**level steps, which is what lets fixed parts be
    squared: `blocks.fixed` is their power at this level.
    """
    length = jax.tree.leaves(blocks.timed)[0].shape[0]
    if length < 2:
        return blocks
    odd = _tree_scan(combine, combine(blocks[: length - 1 : 2], blocks[1::2]))
    # Prefixes of any length stand on the left here. Their fixed parts are not used: give the level's.
    left = Blocks(blocks.fixed, odd.timed, blocks.treedef)[: (length - 1) // 2]
    even = combine(left, blocks[2::2])
    timed = jax.tree.map(_interleave, blocks[:1].timed, even.timed, odd.timed)
    return Blocks(blocks.fixed, timed, blocks.treedef)


def _interleave(first: Array, even: Array, odd: Array) -> Array:
    """first, odd[0], even[0], odd[1], …"""
    length = 1 + even.shape[0] + odd.shape[0]
    zero = jnp.zeros((), odd.dtype)
    evens = jnp.concatenate([first, even])

    def spread(rows: Array, before: int) -> Array:
        after = length - before - 2 * rows.shape[0] + 1
        edges = [(before, after, 1)] + [(0, 0, 0)] * (rows.ndim - 1)
        return jax.lax.pad(rows, zero, edges)

    is_odd = jax.lax.broadcasted_iota(jnp.int32, (length, *odd.shape[1:]), 0) % 2 == 1
    return jnp.where(is_odd, spread(odd, 1), spread(evens, 0))
