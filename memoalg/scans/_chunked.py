"""Chunks by matrix products: outer-product memories without a stack of matrix states."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, PyTree

from .._typing import common_dtype
from ..algebra import AbstractMonoid
from ..algebra._fixed import is_fixed
from ._chunk import TILE, Chunk, Outer, prepared, run_chunk
from ._factors import run_of
from ._method import AbstractMethod, initial_state_of, length_of
from ._outer_form import outer_form
from ._sequential import Sequential


class Chunked(AbstractMethod):
    r"""Outer-product memories by products of matrices, a chunk of steps at a time.

    For gated outer products (linear attention, RetNet, GLA, Mamba-2) and the gated delta rule. Inside a
    chunk all reads are two products of matrices, and for the delta rule one triangular system; between
    chunks only the state goes on. In the gradient each chunk is computed again, so that what is stored
    is one state for each chunk: never an array (time, key, value).

    It needs queries, because without them the states themselves are asked for; then, and for monoids
    that are no outer-product memory, it is `Sequential`. Products and powers (heads) go factor by
    factor. NaN and inf stay in their episode: products of matrices would spread them over the chunk, so
    they are taken out of the generators, and every read of the episode that they reach is NaN.
    (`Sequential` has NaN and inf only where they come to lie.)

    Arguments:
        size: steps in a chunk, a multiple of 16.

    Raises:
        ValueError: where `size` is not a positive multiple of 16.

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

    size: int = eqx.field(static=True, default=64)

    def __check_init__(self) -> None:
        if not isinstance(self.size, int) or self.size < 1 or self.size % TILE:
            raise ValueError(f"Chunked: size is a positive multiple of {TILE}, got {self.size!r}")

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
        start = jnp.zeros(length, jnp.bool_) if resets is None else resets
        outer, rows = form.writes(_timed(generators, length)), form.rows(queries)
        if reverse:
            outer, rows, start = _flipped(outer), _flipped(rows), _flipped(start)
        initial = None
        if initial_state is not None or not _begins_with_zeros(monoid):
            initial = form.matrix(initial_state_of(monoid, initial_state))
        last, read = _run(self.size, form.matrix(state), initial, outer, rows, start)
        if reverse:
            read = _flipped(read)
        return form.state(last), form.reads(read)


def _begins_with_zeros(monoid: AbstractMonoid) -> bool:
    """Whether the monoid's own initial state, a constant, is zero: it then costs no products."""
    with jax.ensure_compile_time_eval():
        leaves = jax.tree.leaves(monoid.initial_state())
        return not any(bool(jnp.any(leaf != 0)) for leaf in leaves)


def _flipped(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: jnp.flip(leaf, 0), tree)


def _timed(generators: PyTree, length: int) -> PyTree:
    """`Fixed` parts repeated over time: only decays are, and they are small."""

    def repeated(node: Any) -> Any:
        if not is_fixed(node):
            return node
        return jax.tree.map(lambda x: jnp.broadcast_to(x, (length, *x.shape)), node.value)

    return jax.tree.map(repeated, generators, is_leaf=is_fixed)


def _run(
    size: int, state: Array, initial: Array | None, outer: Outer, rows: Array, start: Array
) -> tuple[Array, Array]:
    """A scan over chunks, in float32 at least; what is not finite is kept out and marked after."""
    dtype = common_dtype(state.dtype, jnp.float32)
    steps = _finite_steps(outer)
    begins = jnp.asarray(True) if initial is None else jnp.all(jnp.isfinite(initial))
    healthy, at_end = _healthy(jnp.all(jnp.isfinite(state)), begins, steps, start)
    first, again = _cleaned(state, dtype), None if initial is None else _cleaned(initial, dtype)
    writes = jax.tree.map(lambda x: jnp.where(_like(steps, x), x, 0).astype(dtype), outer)
    length = start.shape[0]
    chunks = -(-length // size)

    def cut(tree: Any, fill: int = 0) -> Any:
        def one(x: Array) -> Array:
            pad = [(0, chunks * size - length)] + [(0, 0)] * (x.ndim - 1)
            return jnp.pad(x, pad, constant_values=fill).reshape(chunks, size, *x.shape[1:])

        return jax.tree.map(one, tree)

    # Padding writes nothing and decays nothing.
    outer = cut(writes)._replace(decays=cut(writes.decays, fill=1))
    timed = jax.vmap(prepared)(outer, cut(_cleaned(rows, dtype)), cut(start))

    @jax.checkpoint
    def body(state: Array, now: Chunk) -> tuple[Array, Array]:
        return run_chunk(state, again, now)

    last, read = jax.lax.scan(body, first, timed)
    read = read.reshape(chunks * size, -1)[:length]
    good = healthy & jnp.all(jnp.isfinite(rows), axis=-1)
    nan = jnp.asarray(jnp.nan, dtype)
    return (
        jnp.where(at_end, last, nan).astype(state.dtype),
        jnp.where(good[:, None], read, nan).astype(state.dtype),
    )


def _like(steps: Array, x: Array) -> Array:
    return steps.reshape(steps.shape + (1,) * (x.ndim - 1))


def _cleaned(x: Array, dtype: Any) -> Array:
    return jnp.where(jnp.isfinite(x), x, 0).astype(dtype)


def _finite_steps(outer: Outer) -> Bool[Array, " time"]:
    """Whether all that a step writes is finite."""
    finite = [
        jnp.all(jnp.isfinite(x.reshape(x.shape[0], -1)), axis=1) for x in outer if x is not None
    ]
    return jnp.all(jnp.stack(finite), axis=0)


def _healthy(
    state: Array, initial: Array, steps: Array, start: Array
) -> tuple[Bool[Array, " time"], Bool[Array, ""]]:
    """Whether nothing that is not finite has come into a step's episode so far."""

    def combine(left: tuple[Array, Array], right: tuple[Array, Array]) -> tuple[Array, Array]:
        (x, i), (y, j) = left, right
        return y & (x | j), i | j

    own = steps & jnp.where(start, initial, True)
    healthy, started = jax.lax.associative_scan(combine, (own, start))
    healthy = healthy & (started | state)
    return healthy, healthy[-1]
