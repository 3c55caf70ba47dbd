"""Buffers of the last few things, newest last: what `Recent` and `Window` share.

A buffer is a pytree whose leaves have a leading axis of `size` slots, right-aligned: the newest is
in the last slot, and where fewer than `size` were met, the first slots mean nothing.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PyTree


def join(left: PyTree, right: PyTree, right_count: Int[Array, ""], size: int) -> PyTree:
    """The last `size` of the concatenation of two buffers; `right` is later and has `right_count`.

    Slot j is `right[j]` where right has it, otherwise `left[j + right_count]`. It is one gather, so what
    is not taken reaches neither values nor gradients.
    """
    slot = jnp.arange(size, dtype=right_count.dtype)
    # A slot of `right` lies `size` further in the concatenation.
    source = slot + jnp.where(slot >= size - right_count, size, right_count)

    def gather(earlier: Array, later: Array) -> Array:
        both = jnp.concatenate([earlier, later])
        return both.at[source].get(mode="promise_in_bounds")

    return jax.tree.map(gather, left, right)


def push(buffer: PyTree, newest: PyTree) -> PyTree:
    """The buffer after one more: everything moves up by a slot, the oldest falls out."""
    return jax.tree.map(lambda old, new: jnp.concatenate([old[1:], new[None]]), buffer, newest)


def filled(count: Int[Array, ""], size: int) -> Bool[Array, " size"]:
    """Which slots of a buffer mean something: the last `count`."""
    return jnp.arange(size, dtype=count.dtype) >= size - count
