r"""Chunks of an outer-product memory, by matrix products.

The memory is $S_t = a_t S_{t-1} + k_t u_t^\top$, read as $S_t^\top q_t$. Unrolled inside a chunk,

$$S_t^\top q_t = \sum_{s \le t} (q_t \cdot P_{ts} k_s)\, u_s + S_0^\top (B_t q_t), \qquad
  P_{ts} = a_{s+1} \cdots a_t, \quad B_t = a_1 \cdots a_t,$$

is two products of matrices, and no state but the last is formed. For the delta rule
$u_t = \beta_t (v_t - a_t S_{t-1}^\top k_t)$, which is one triangular system for all $u$ of the chunk.

Everything here is a product of decays, never a quotient or a difference of logarithms, so decays of
zero, of any sign and of any size are exact. Pairs of steps that a start separates are selected away.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

TILE = 16
"""Steps for which products of decays per key are formed pair by pair."""


class Outer(NamedTuple):
    """What writes to the memory at each step, with a leading axis of steps.

    Arguments:
        keys: k, (steps, key).
        values: v, (steps, value).
        decays: a, (steps,) or (steps, key); None for 1.
        strengths: the delta rule's beta, (steps,); None for a memory that adds. The delta rule takes
            one decay for all keys.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> ma.scans.Outer(jnp.ones((5, 2)), jnp.ones((5, 3)), None, None).values.shape
        (5, 3)
    """

    keys: Float[Array, "*steps key"]
    values: Float[Array, "*steps value"]
    decays: Float[Array, "*steps"] | Float[Array, "*steps key"] | None
    strengths: Float[Array, "*steps"] | None


class Chunk(NamedTuple):
    """A chunk, with what can be computed of it before the state that enters is known.

    Arguments:
        outer: its writes.
        queries: one row for each step.
        same: (t, s): s is not after t, and no start lies in (s, t].
        head: no start up to t: the state that enters the chunk is still there.
        tail: no start after s: what is written at s is still there at the end.
        entering: the product of the decays since the chunk, or the last start in it, began, this
            step's included; None without decays.
        remaining: the product of the decays after a step; None without decays.
        pairs: P[t, s] for one decay for all keys; None otherwise.
        inverse: of the delta rule's triangular system; None otherwise.
    """

    outer: Outer
    queries: Float[Array, "steps key"]
    same: Bool[Array, "steps steps"]
    head: Bool[Array, " steps"]
    tail: Bool[Array, " steps"]
    entering: Array | None
    remaining: Array | None
    pairs: Float[Array, "steps steps"] | None
    inverse: Float[Array, "steps steps"] | None


def prepared(
    outer: Outer, queries: Float[Array, "steps key"], start: Bool[Array, " steps"]
) -> Chunk:
    """Everything about a chunk that does not depend on the state. It is small: no key x value."""
    number = jnp.cumsum(start, dtype=jnp.int32)
    same = jnp.tril(number[:, None] == number[None, :])
    decays, pairs, inverse = outer.decays, None, None
    if decays is not None and decays.ndim == 1:
        pairs = _pair_products(decays)
    if outer.strengths is not None:
        scores = outer.keys @ outer.keys.T * (1 if pairs is None else pairs)
        earlier = jnp.tril(jnp.where(same, scores, 0), -1)
        inverse = unit_lower_inverse(outer.strengths[:, None] * earlier)
    return Chunk(
        outer=outer,
        queries=queries,
        same=same,
        head=number == 0,
        tail=number == number[-1],
        entering=None if decays is None else _entering(decays, start),
        remaining=None if decays is None else _remaining(decays),
        pairs=pairs,
        inverse=inverse,
    )


def run_chunk(
    state: Float[Array, "key value"], initial: Float[Array, "key value"] | None, chunk: Chunk
) -> tuple[Float[Array, "key value"], Float[Array, "steps value"]]:
    """The state after a chunk, and what each query reads.

    Arguments:
        state: entering the chunk.
        initial: the state at a start; None for zeros.
        chunk: prepared.
    """
    writes = chunk.outer.values
    if chunk.outer.strengths is not None and chunk.inverse is not None:
        errors = writes - _inflow(state, initial, chunk, chunk.outer.keys)
        writes = chunk.inverse @ (chunk.outer.strengths[:, None] * errors)
    reads = _scores(chunk) @ writes + _inflow(state, initial, chunk, chunk.queries)
    return _after(state, initial, chunk, writes), reads


def _inflow(state: Array, initial: Array | None, chunk: Chunk, rows: Array) -> Array:
    """What rows read of the state that the chunk, or their episode, began with."""
    weighted = rows if chunk.entering is None else rows * _as_column(chunk.entering)
    rest = 0 if initial is None else weighted @ initial
    return jnp.where(chunk.head[:, None], weighted @ state, rest)


def _after(state: Array, initial: Array | None, chunk: Chunk, writes: Array) -> Array:
    """The state at the end of the chunk."""
    began = jnp.zeros_like(state) if initial is None else initial
    kept, keys = jnp.where(chunk.head[-1], state, began), chunk.outer.keys
    if chunk.entering is not None and chunk.remaining is not None:
        last = chunk.entering[-1]
        kept = kept * (last[:, None] if last.ndim == 1 else last)
        keys = keys * _as_column(chunk.remaining)
    tail = chunk.tail[:, None]
    return kept + jnp.where(tail, keys, 0).T @ jnp.where(tail, writes, 0)


def _scores(chunk: Chunk) -> Array:
    r"""The matrix $q_t \cdot P_{ts} k_s$, zero where s is not seen by t."""
    keys, decays = chunk.outer.keys, chunk.outer.decays
    if decays is not None and decays.ndim == 2:
        scores = _scores_per_key(chunk.queries, keys, decays)
    else:
        scores = chunk.queries @ keys.T
        scores = scores if chunk.pairs is None else scores * chunk.pairs
    return jnp.where(chunk.same, scores, 0)


def _scores_per_key(rows: Array, keys: Array, decays: Array) -> Array:
    """The scores with a decay for each key: inside a tile step by step, between tiles by products.

    `faded[s]` is k_s times the decays after s, so far; at the end of a tile it is what later tiles
    need. Every factor is a product of decays itself, so nothing overflows that should not.
    """
    steps, size = keys.shape
    tiles = steps // TILE
    q, k, a = (x.reshape(tiles, TILE, size).swapaxes(0, 1) for x in (rows, keys, decays))

    def step(carry: tuple[Array, Array], now: tuple) -> tuple[tuple[Array, Array], tuple]:
        faded, since = carry
        here, q_t, k_t, a_t = now
        own = (jnp.arange(TILE) == here)[:, None]
        faded = jnp.where(own, k_t[:, None], faded * a_t[:, None])
        since = since * a_t
        return (faded, since), (jnp.einsum("nsk,nk->ns", faded, q_t), q_t * since)

    start = jnp.zeros((tiles, TILE, size), keys.dtype), jnp.ones((tiles, size), keys.dtype)
    (faded, totals), (within, later) = jax.lax.scan(step, start, (jnp.arange(TILE), q, k, a))
    between = _between(totals)
    across = jnp.einsum("tik,ijk,jsk->itjs", later, between, faded)
    inside = jnp.einsum("tis,ij->itjs", within, jnp.eye(tiles, dtype=keys.dtype))
    return (across + inside).reshape(steps, steps)


def _between(totals: Array) -> Array:
    """(i, j): the product of the totals of the tiles between j and i; zero where j is not before i."""
    tiles = totals.shape[0]

    def step(row: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        i, total = now
        # Row i + 1 from row i: tile i comes in between, and is itself the latest before.
        own = (jnp.arange(tiles) == i)[:, None]
        return jnp.where(own, 1, row * total[None]), row

    return jax.lax.scan(step, jnp.zeros_like(totals), (jnp.arange(tiles), totals))[1]


def _as_column(decays: Array) -> Array:
    return decays if decays.ndim == 2 else decays[:, None]


def _entering(decays: Array, start: Array) -> Array:
    """The product of the decays since the chunk, or the last start in it, began."""

    def step(product: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        decay, fresh = now
        product = jnp.where(fresh, decay, product * decay)
        return product, product

    return jax.lax.scan(step, jnp.ones_like(decays[0]), (decays, start))[1]


def _remaining(decays: Array) -> Array:
    """The product of the decays after each step."""

    def step(product: Array, decay: Array) -> tuple[Array, Array]:
        return product * decay, product

    return jax.lax.scan(step, jnp.ones_like(decays[0]), decays, reverse=True)[1]


def _pair_products(decays: Float[Array, " steps"]) -> Float[Array, "steps steps"]:
    """P[t, s]: the product of the decays in (s, t]; zero where s is after t."""
    steps = decays.shape[0]

    def step(row: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        here, decay = now
        row = jnp.where(jnp.arange(steps) == here, 1, row * decay)
        return row, row

    return jax.lax.scan(step, jnp.zeros_like(decays), (jnp.arange(steps), decays))[1]


@jax.custom_jvp
def unit_lower_inverse(below: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """The inverse of I + L, for a strictly lower triangular L, row by row."""
    size = below.shape[0]

    def step(rows: Array, now: tuple[Array, Array]) -> tuple[Array, None]:
        here, coefficients = now
        row = jax.nn.one_hot(here, size, dtype=below.dtype) - coefficients @ rows
        return rows.at[here].set(row), None

    return jax.lax.scan(step, jnp.zeros_like(below), (jnp.arange(size), below))[0]


@unit_lower_inverse.defjvp
def _(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    inverse = unit_lower_inverse(*primals)
    return inverse, -inverse @ jnp.tril(tangents[0], -1) @ inverse
