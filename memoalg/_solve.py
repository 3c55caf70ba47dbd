"""Small linear systems, without a call out of the compiled program.

On a CPU JAX hands a batch of systems to LAPACK, in tasks for the same few threads that run the program:
where as many such calls run side by side as there are threads, each waits for a thread that the others
hold, and for ever (jaxlib 0.10, `ParallelBatchMap`). Systems here are small and many: a fixed number of
whole-array operations is faster on every platform, and part of the program around it.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def solve(a: Float[Array, "n n"], b: Float[Array, "n m"]) -> Float[Array, "n m"]:
    """x with `a @ x = b`, by elimination with partial pivoting; NaN or inf where a is singular."""

    def product(x: Array) -> Array:
        return a @ x

    def by(_: object, b: Array) -> Array:
        return _eliminated(a, b)

    def by_transposed(_: object, b: Array) -> Array:
        return _eliminated(a.T, b)

    return jax.lax.custom_linear_solve(product, b, by, by_transposed)


def _eliminated(a: Array, b: Array) -> Array:
    n = a.shape[0]
    index = jnp.arange(n)

    def column(k: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        rows, place = carry
        # Rows keep their place: `place[i]` is the unknown that row i was the pivot of, n for none yet.
        entries = jax.lax.dynamic_index_in_dim(rows, k, 1, keepdims=False)
        size = jnp.where(place == n, jnp.abs(entries), -jnp.ones_like(entries))
        is_pivot = index == jnp.argmax(size)
        pivot = jnp.sum(jnp.where(is_pivot, entries, jnp.zeros_like(entries)))
        row = jnp.sum(jnp.where(is_pivot[:, None], rows, jnp.zeros_like(rows)), axis=0) / pivot
        rows = jnp.where(is_pivot[:, None], row[None, :], rows - entries[:, None] * row[None, :])
        return rows, jnp.where(is_pivot, k, place)

    start = jnp.concatenate([a, b], axis=1), jnp.full_like(index, n)
    # A loop, even for the smallest n: unrolled, it was slower to compile and to run.
    rows, place = jax.lax.fori_loop(0, n, column, start)
    # Every unknown from its row: for sizes this small a masked sum is faster than a gather.
    solved = jnp.broadcast_to(rows[None, :, n:], (n, *b.shape))
    mine = jnp.broadcast_to((place[None, :] == index[:, None])[:, :, None], solved.shape)
    return jnp.sum(jnp.where(mine, solved, jnp.zeros_like(solved)), axis=1)
