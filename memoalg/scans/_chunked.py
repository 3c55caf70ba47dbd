"""Chunks by matrix products: outer-product memories without a stack of matrix states."""

import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, PyTree

from .._tree import as_varying, varying_axes
from .._typing import common_dtype
from ..algebra import AbstractMonoid
from ..algebra._fixed import split_fixed
from ._associative import Associative
from ._chunk import Entering, Memory
from ._chunk_exponent import exponents, valid
from ._chunk_halves import KEPT
from ._chunk_steps import Steps, Work, cut, joined, whole_steps, with_fixed
from ._factors import run_of
from ._method import AbstractMethod, initial_state_of, length_of
from ._outer_form import AbstractOuterForm, outer_form
from ._sequential import Sequential


class Chunked(AbstractMethod):
    r"""Outer-product memories by products of matrices, a chunk of steps at a time.

    For gated outer products (linear attention, RetNet, GLA, Mamba-2), the gated delta rule and
    exponential gates with a running maximum (mLSTM). Inside a chunk all reads are two products of
    matrices, and for the delta rule one triangular system; between chunks only the state goes on. In
    the gradient each chunk is computed again, so that what is stored is one state for each chunk:
    never an array (time, key, value).

    Decays enter as products only, never as quotients or differences of logarithms: zeros, signs and
    strong decays are exact. Gates that are given by logarithms become decays below one relative to their
    running maximum, which is that of the recurrence.

    It needs queries, because without them the states themselves are asked for; then, and for monoids
    that are no outer-product memory, it is `Sequential`. Products and powers (heads) go factor by
    factor. NaN and inf stay in their episode: products of matrices would spread them over the chunk, so
    they are taken out of the generators, and every read of the episode that they reach is NaN.
    (`Sequential` has NaN and inf only where they come to lie.) Finite numbers whose products overflow
    stay in their episode too, but may reach earlier steps of it.

    Arguments:
        size: steps in a chunk, a power of two; None for 32, and 64 with `ahead`. A sequence that is
            shorter is one chunk.
        ahead: compute what does not depend on the state for all chunks at once, which an accelerator
            wants (a third fewer launches); otherwise chunk by chunk, which takes the least memory.

    Raises:
        ValueError: where `size` is not a power of two.

    Source: Yang et al., arXiv 2312.06635 (gated linear attention) and arXiv 2406.06484 (delta rule).

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> m = ma.GatedOuter(2, 1, per_key=False)
        >>> keys, values, decays = jnp.ones((4, 2)), jnp.ones((4, 1)), jnp.full(4, 0.5)
        >>> state = m.initial_state()
        >>> _, reads = ma.trajectory(
        ...     m, state, (keys, values, decays), None, queries=keys, method=ma.Chunked())
        >>> print(reads[:, 0])
        [2.   3.   3.5  3.75]
    """

    size: int | None = eqx.field(static=True, default=None)
    ahead: bool = eqx.field(static=True, default=False)

    def __check_init__(self) -> None:
        size = self.size
        if size is not None and (type(size) is not int or size < 1 or size & (size - 1)):
            raise ValueError(f"Chunked: size is a power of two or None, got {size!r}")

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
        length = length_of(generators, resets)
        if queries is not None and length > 0:
            by_factor = run_of(monoid)
            if by_factor is not None:
                return by_factor(
                    self.run, monoid, state, generators, resets, initial_state, queries, reverse
                )
        form = outer_form(monoid)
        if form is None or queries is None or length == 0:
            return Sequential().run(
                monoid, state, generators, resets, initial_state, queries, reverse
            )
        first, again = form.memory(state), form.memory(initial_state_of(monoid, initial_state))
        dtype = common_dtype(first.matrix.dtype, jnp.float32)
        fixed, timed, treedef = split_fixed(generators)
        # Of this only what has no axis of keys or values is used, for all steps at once.
        written = form.writes(with_fixed(treedef, fixed, timed, length))
        relative = None
        if written.gates is not None:
            loop = Associative() if self.ahead else Sequential()
            relative = exponents(
                loop, written.gates, _exponent(first), _exponent(again), resets, reverse, dtype
            )
        steps = whole_steps(timed, queries, resets, written, relative, length)
        needs_initial = initial_state is not None or not _begins_with_zeros(form, monoid)
        begins = _entering(again, dtype).sanitised() if needs_initial else None
        size = self._size(length)
        work = Work(form, treedef, fixed, begins, dtype, size, reverse)
        after, reads = self._scan(work, _entering(first, dtype), cut(steps, length, size, reverse))
        reads = jax.tree.map(lambda x: joined(x, length, reverse).astype(first.matrix.dtype), reads)
        last = None if relative is None else relative.here[0 if reverse else -1]
        return form.state(_left(first, after.sanitised(), last)), reads

    def _size(self, length: int) -> int:
        # Measured: see `benchmarks/chunked.py`; on accelerators, counted.
        size = self.size or (64 if self.ahead else 32)
        return min(size, 1 << (length - 1).bit_length())

    def _scan(self, work: Work, first: Entering, steps: Steps) -> tuple[Entering, PyTree]:
        """From chunk to chunk, each computed again in the gradient."""
        # Under `shard_map` what goes from chunk to chunk varies over the mesh as the steps do.
        first = as_varying(first, varying_axes((first, steps)))
        kept = functools.partial(
            jax.checkpoint, policy=jax.checkpoint_policies.save_only_these_names(KEPT)
        )
        found = jax.vmap(work.known)(steps)

        @kept
        def rest(state: Entering, now: tuple) -> tuple[Entering, PyTree]:
            return work.run(state, *now)

        @kept
        def whole(state: Entering, now: tuple) -> tuple[Entering, PyTree]:
            return work.run(state, work.prepare(*now), now[0].relative)

        if self.ahead:
            chunks = jax.vmap(work.prepare)(steps, found)
            return jax.lax.scan(rest, first, (chunks, steps.relative), reverse=work.reverse)
        return jax.lax.scan(whole, first, (steps, found), reverse=work.reverse)


def _begins_with_zeros(form: AbstractOuterForm, monoid: AbstractMonoid) -> bool:
    """Whether the monoid's own initial state, a constant, is zero: it then costs no products."""
    with jax.ensure_compile_time_eval():
        return not bool(jnp.any(form.memory(monoid.initial_state()).matrix != 0))


def _entering(memory: Memory, dtype: Any) -> Entering:
    broken = jnp.asarray(False) if memory.exponent is None else ~valid(memory.exponent)
    return Entering(memory.matrix.astype(dtype), broken)


def _exponent(memory: Memory) -> Array:
    if memory.exponent is None:
        raise TypeError(
            "Chunked: the form of this monoid writes with gates in log space, so that its `memory` "
            "must give an exponent: write Memory(matrix, exponent)"
        )
    return memory.exponent


def _left(first: Memory, after: Entering, exponent: Array | None) -> Memory:
    """What is left at the end, in the dtypes of the beginning."""
    matrix = jnp.where(after.broken, jnp.nan, after.state).astype(first.matrix.dtype)
    if exponent is None or first.exponent is None:
        return Memory(matrix)
    exponent = jnp.where(after.broken, jnp.nan, exponent)
    return Memory(matrix, exponent.astype(first.exponent.dtype))
