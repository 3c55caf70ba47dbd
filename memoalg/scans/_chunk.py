r"""Chunks of an outer-product memory, by matrix products.

The memory is $S_t = a_t S_{t-1} + k_t u_t^\top$, read as $S_t^\top q_t$. Unrolled inside a chunk,

$$S_t^\top q_t = \sum_{s \le t} (q_t \cdot P_{ts} k_s)\, u_s + S_0^\top (B_t q_t), \qquad
  P_{ts} = a_{s+1} \cdots a_t, \quad B_t = a_1 \cdots a_t,$$

is two products of matrices, and no state but the last is formed. For the delta rule
$u_t = \beta_t (v_t - a_t S_{t-1}^\top k_t)$, which is one triangular system for all $u$ of the chunk.

Pairs of steps that a start separates are selected away. Products of matrices would spread what is not
finite over the chunk: such steps are taken out first, and what they reach is marked.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Bool, Float, Int

from ._chunk_exponent import LogGates
from ._chunk_halves import KEPT, Decayed, decayed, decayed_alike, unit_lower_inverse


class Outer(NamedTuple):
    """What writes to the memory at each step, with a leading axis of steps.

    Arguments:
        keys: k, (steps, key).
        values: v, (steps, value).
        decays: a, (steps,) or (steps, key); None for 1.
        strengths: the delta rule's beta, (steps,); None for a memory that adds. The delta rule takes
            one decay for all keys.
        gates: of a memory with an exponent, in place of decays; None for a memory without.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> ma.scans.Outer(jnp.ones((5, 2)), jnp.ones((5, 3)), None, None).values.shape
        (5, 3)
    """

    keys: Float[Array, "*steps key"]
    values: Float[Array, "*steps value"]
    decays: Float[Array, "*steps"] | Float[Array, "*steps key"] | None
    strengths: Float[Array, "*steps"] | None
    gates: LogGates | None = None


class Memory(NamedTuple):
    r"""What is remembered, $e^m S$.

    Arguments:
        matrix: S, (key, value).
        exponent: m, of a memory that is gated in log space; None for one that has none.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> ma.scans.Memory(jnp.ones((2, 3))).exponent is None
        True
    """

    matrix: Float[Array, "key value"]
    exponent: Float[Array, ""] | None = None


class Episodes(NamedTuple):
    """Where episodes begin in a chunk, and what of them is to be believed.

    Arguments:
        number: of starts up to a step.
        finite: whether what a step writes is.
        asked: whether the query of a step is finite.
        broken: something that is not finite was written to the episode, up to this step.
    """

    number: Int[Array, " steps"]
    finite: Bool[Array, " steps"]
    asked: Bool[Array, " steps"]
    broken: Bool[Array, " steps"]

    @property
    def same(self) -> Bool[Array, "steps steps"]:
        """(t, s): s is not after t, and no start lies in (s, t]."""
        return jnp.tril(self.number[:, None] == self.number[None, :])


class Chunk(NamedTuple):
    """A chunk, with what can be computed of it before the state that enters is known.

    Arguments:
        outer: its writes, finite.
        queries: one row for each step, finite.
        episodes: in it.
        decayed: products of its decays; None without decays.
        scores: what u_s counts for in the read at t.
        inverse: of the delta rule's triangular system; None otherwise.
    """

    outer: Outer
    queries: Float[Array, "steps key"]
    episodes: Episodes
    decayed: Decayed | None
    scores: Float[Array, "steps steps"]
    inverse: Float[Array, "steps steps"] | None

    @property
    def head(self) -> Bool[Array, " steps"]:
        """No start up to a step: the state that enters the chunk is still there."""
        return self.episodes.number == 0


class Entering(NamedTuple):
    """What goes on from chunk to chunk.

    Arguments:
        state: as it was computed.
        broken: something that was not finite was kept out of it.
    """

    state: Float[Array, "key value"]
    broken: Bool[Array, ""]

    def sanitised(self) -> "Entering":
        """Fit for products of matrices: zero where it is not finite, and that remembered."""
        finite = jnp.isfinite(self.state)
        return Entering(jnp.where(finite, self.state, 0), self.broken | ~jnp.all(finite))


def episodes(
    start: Bool[Array, " steps"], finite: Bool[Array, " steps"], asked: Bool[Array, " steps"]
) -> Episodes:
    """Of a chunk, by where they start and which steps write and ask for numbers."""
    # Fewer kernels than a cumulative sum, for so few steps.
    seen = jnp.tril(jnp.broadcast_to(start, start.shape * 2))
    number = jnp.sum(seen, axis=1, dtype=jnp.int32)
    first = Episodes(number, finite, asked, ~finite)
    return first._replace(broken=jnp.any(first.same & ~finite[None, :], axis=1))


def prepared(
    outer: Outer,
    queries: Float[Array, "steps key"],
    episodes: Episodes,
) -> Chunk:
    """Everything about a chunk that does not depend on the state. It is small: no key x value.

    Arguments:
        outer: its writes; only those of finite steps count.
        queries: one row for each step.
        episodes: in it.
    """
    rows = selected(episodes.asked, queries)
    outer = jax.tree.map(lambda x: selected(episodes.finite, x), outer)
    keys, decays, products, pairs, inverse = outer.keys, outer.decays, None, 1, None
    if decays is not None and decays.ndim == 2:
        products = decayed(rows, keys, decays, episodes.number)
        scores = jnp.where(episodes.same, products.scores, 0)
    else:
        if decays is not None:
            products = decayed_alike(decays, episodes.number)
            pairs = jnp.where(episodes.same, products.scores, 0)
        scores = jnp.where(episodes.same, rows @ keys.T, 0) * pairs
    if outer.strengths is not None:
        overlaps = jnp.where(jnp.tril(episodes.same, -1), keys @ keys.T, 0)
        inverse = unit_lower_inverse(outer.strengths[:, None] * overlaps * pairs, episodes.same)
    return Chunk(outer, rows, episodes, products, scores, inverse)


def run_chunk(
    before: Entering, initial: Entering | None, chunk: Chunk
) -> tuple[Entering, Float[Array, "steps value"], Bool[Array, " steps"]]:
    """The state after a chunk, what each query reads, and whether that is to be believed.

    Arguments:
        before: entering the chunk.
        initial: the state at a start, sanitised; None for zeros.
        chunk: prepared.
    """
    before, broken = before.sanitised(), chunk.episodes.broken
    writes, lost = _writes(before, initial, chunk)
    reads = chunk.scores @ writes + _inflow(before, initial, chunk, chunk.queries)
    if lost is not None:
        broken = broken | jnp.any(chunk.episodes.same & lost[None, :], axis=1)
    begun_broken = jnp.asarray(False) if initial is None else initial.broken
    broken = broken | jnp.where(chunk.head, before.broken, begun_broken)
    # What overflows on the way is caught here, and after the chunk.
    good = chunk.episodes.asked & ~broken & jnp.all(jnp.isfinite(reads), axis=1)
    good = checkpoint_name(good, KEPT)
    after = Entering(_after(before, initial, chunk, writes), broken[-1])
    return after, selected(good, reads), good


def _writes(
    before: Entering, initial: Entering | None, chunk: Chunk
) -> tuple[Float[Array, "steps value"], Bool[Array, " steps"] | None]:
    """What is written, and where it was taken out because it is not finite; None for nowhere."""
    writes = chunk.outer.values
    if chunk.outer.strengths is None or chunk.inverse is None:
        return writes, None
    errors = writes - _inflow(before, initial, chunk, chunk.outer.keys)
    errors = chunk.outer.strengths[:, None] * errors
    known = jnp.all(jnp.isfinite(errors), axis=1) & (jnp.diagonal(chunk.inverse) != 0)
    writes = chunk.inverse @ selected(known, errors)
    kept = known & jnp.all(jnp.isfinite(writes), axis=1)
    return selected(kept, writes), ~kept


def selected(steps: Bool[Array, " steps"], x: Any, otherwise: float = 0) -> Array:
    """x at some steps, and a number at the others."""
    return jnp.where(steps.reshape(steps.shape + (1,) * (x.ndim - 1)), x, otherwise)


def _inflow(before: Entering, initial: Entering | None, chunk: Chunk, rows: Array) -> Array:
    """What rows read of the state that the chunk, or their episode, began with."""
    weighted, head = rows if chunk.decayed is None else rows * chunk.decayed.entering, chunk.head
    # Selected before the product: what overflowed in one row must not meet the cotangents of others.
    inflow = selected(head, weighted) @ before.state
    return inflow if initial is None else inflow + selected(~head, weighted) @ initial.state


def _after(before: Entering, initial: Entering | None, chunk: Chunk, writes: Array) -> Array:
    """The state at the end of the chunk."""
    began = jnp.zeros_like(before.state) if initial is None else initial.state
    tail = chunk.episodes.number == chunk.episodes.number[-1]
    kept, keys = jnp.where(chunk.head[-1], before.state, began), selected(tail, chunk.outer.keys)
    if chunk.decayed is not None:
        kept = kept * chunk.decayed.entering[-1][:, None]
        keys = keys * selected(tail, chunk.decayed.remaining)
    return kept + keys.T @ selected(tail, writes)
