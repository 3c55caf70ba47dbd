r"""What a chunk needs of its decays and of its delta rule, built from halves to wholes.

A block of one step is known; a block of 2h steps is two of h. For the earlier half s and the later
half t, the product of the decays between them is (from the middle up to t) times (from s to the
middle): with every half done at once, that is one product of matrices for each of the log2(steps)
levels. All that is formed is a product of the decays themselves, never a quotient or a difference of
logarithms, so decays of zero, of any sign and of any size are exact.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Bool, Float, Int

KEPT = "memoalg_chunk"
"""The name of what is small and is not computed again in the gradient."""


class Decayed(NamedTuple):
    r"""Products of the decays of a chunk.

    Arguments:
        entering: the product of the decays since the chunk, or the last start in it, began, this
            step's included; one column where all keys share it.
        remaining: the product of the decays after a step; likewise, and of no meaning where a start
            follows.
        scores: $\sum_i q_{ti} k_{si} a_{s+1,i} \cdots a_{ti}$; zero where s is after t, and of no
            meaning where a start separates them.
    """

    entering: Float[Array, "steps key"]
    remaining: Float[Array, "steps key"]
    scores: Float[Array, "steps steps"]


def decayed(
    rows: Float[Array, "steps key"],
    keys: Float[Array, "steps key"],
    decays: Float[Array, "steps key"],
    number: Int[Array, " steps"],
) -> Decayed:
    """The products of a chunk whose length is a power of two; `number` counts starts up to a step."""
    entering, remaining, total = decays[:, None], jnp.ones_like(decays)[:, None], decays
    scores = jnp.sum(rows * keys, axis=-1)[:, None, None]
    q, k, counts = rows[:, None], keys[:, None], number[:, None]
    while scores.shape[0] > 1:
        (early, late), (k_early, _), (_, q_late) = map(_halves, (entering, k, q))
        (remaining_early, remaining_late), (first, last) = map(_halves, (remaining, total))
        (count_early, count_late) = _halves(counts)
        across = jnp.einsum("nik,njk->nij", q_late * late, k_early * remaining_early)
        scores = _lower(*_halves(scores), across)
        began = (count_late != count_early[:, -1:])[..., None]
        entering = _joined(early, jnp.where(began, late, early[:, -1:] * late))
        remaining = _joined(remaining_early * last[:, None], remaining_late)
        total = first * last
        q, k, counts = (x.reshape(scores.shape[:2] + x.shape[2:]) for x in (q, k, counts))
    return Decayed(entering[0], remaining[0], scores[0])


def decayed_alike(decays: Float[Array, " steps"], number: Int[Array, " steps"]) -> Decayed:
    """The same where all keys share a decay, but `scores` are the products of decays alone."""
    same = jnp.tril(number[:, None] == number[None, :])
    products = jnp.where(same, _products(decays, number, same), 0)
    begins = jnp.concatenate([jnp.ones(1, jnp.bool_), number[1:] != number[:-1]])
    since = jnp.where(begins[None, :] & same, products * decays[None, :], 0)
    entering = jnp.sum(since, axis=1)
    return Decayed(entering[:, None], products[-1][:, None], products)


@jax.custom_jvp
def _products(decays: Array, number: Array, same: Array) -> Array:
    """(t, s): of the decays in (s, t], where no start separates them; zero elsewhere."""
    ones = jnp.ones_like(decays)[:, None]
    return jnp.where(same, decayed(ones, ones, decays[:, None], number).scores, 0)


@_products.defjvp
def _(primals: tuple[Array, ...], tangents: tuple[Array, Any, Any]) -> tuple[Array, Array]:
    # What follows a decay, the change in it, and what precedes it: a product of matrices. The
    # selection keeps what overflows in one episode from the cotangents of others.
    products = checkpoint_name(_products(*primals), KEPT)
    before = jnp.concatenate([jnp.zeros_like(products[:1]), products[:-1]])
    change = jnp.where(primals[2], tangents[0][:, None] * before, 0)
    return products, _product(products, change)


def unit_lower_inverse(below: Float[Array, "n n"], same: Bool[Array, "n n"]) -> Float[Array, "n n"]:
    """The inverse of I + L for a strictly lower triangular L, n a power of two.

    `same` tells which entries may differ from zero: those of two steps of one episode. What
    overflows in one episode stays there, in the gradient too, and its rows are zero.
    """
    return jnp.where(same, _inverse(jnp.where(jnp.tril(same, -1), below, 0), same), 0)


@jax.custom_jvp
def _inverse(below: Array, same: Array) -> Array:
    size = below.shape[0]
    inverse = jnp.ones((size, 1, 1), below.dtype)
    while inverse.shape[0] > 1:
        blocks, half = inverse.shape[0] // 2, inverse.shape[1]
        across, mask = (_below_diagonal(x, blocks, half) for x in (below, same))
        early, late = _halves(inverse)
        passed = jnp.where(mask, _product(across, early), 0)
        inverse = _lower(early, late, jnp.where(mask, -_product(late, passed), 0))
    finite = jnp.all(jnp.isfinite(inverse[0]), axis=1, keepdims=True)
    return jnp.where(finite, inverse[0], 0)


@_inverse.defjvp
def _(primals: tuple[Array, Array], tangents: tuple[Array, Any]) -> tuple[Array, Array]:
    # Named, so that a checkpoint may keep what the derivative takes.
    inverse = checkpoint_name(_inverse(*primals), KEPT)
    change = jnp.where(primals[1], _product(tangents[0], inverse), 0)
    return inverse, -_product(inverse, change)


def _halves(x: Array) -> tuple[Array, Array]:
    """Of (blocks, ...): the earlier and the later of every two."""
    pairs = x.reshape(x.shape[0] // 2, 2, *x.shape[1:])
    return pairs[:, 0], pairs[:, 1]


def _joined(early: Array, late: Array) -> Array:
    """(blocks, half, ...) twice -> (blocks, 2 half, ...)."""
    return jnp.concatenate([early, late], axis=1)


def _lower(early: Array, late: Array, across: Array) -> Array:
    """Lower triangular blocks from their quarters."""
    above = jnp.concatenate([early, jnp.zeros_like(across)], axis=2)
    return jnp.concatenate([above, jnp.concatenate([across, late], axis=2)], axis=1)


def _below_diagonal(x: Array, blocks: int, half: int) -> Array:
    """The quarters of the diagonal blocks that couple a later half to the earlier one."""
    quarters = x.reshape(blocks, 2, half, blocks, 2, half)[:, 1, :, :, 0]
    here = jnp.arange(blocks)
    return quarters[here, :, here]


def _product(a: Array, b: Array) -> Array:
    """Of small matrices whose errors add up: in the full precision of their dtype."""
    return jnp.matmul(a, b, precision="highest")
