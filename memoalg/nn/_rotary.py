"""Rotations of queries and keys by their position."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from ..algebra import Add
from ._feed_forward import Pointwise
from ._memoroid import Memoroid
from ._parallel import Fork

TURN = 2.0**32


def Positioned(in_size: int) -> Fork:
    """`x -> (n, x)`, with n the position of a step in its episode, counted from 1: a counter's state."""
    counter = Memoroid(Add((), jnp.int32), _one, _state, in_size=in_size)
    return Fork(counter, Pointwise(_same, in_size, in_size))


def rotated(
    x: Float[Array, "heads size"], position: Int[Array, ""], base: float = 10_000.0
) -> Float[Array, "heads size"]:
    r"""Pairs $(x_{2i}, x_{2i+1})$ turned by the angle $n\,c^{-2i/d}$, c the base and d the even size.

    The dot product of two vectors so turned depends on the distance of their positions alone. The
    angle is exact at any position: whole turns are dropped in integers, by their overflow.
    """
    turns = base ** -(np.arange(0, x.shape[-1], 2) / x.shape[-1]) / (2 * np.pi)
    whole = np.round(turns * TURN)
    rest = jnp.asarray(turns - whole / TURN, x.dtype)
    steps = position.astype(jnp.uint32) * jnp.asarray(whole.astype(np.uint32))
    angle = 2 * np.pi * (steps.astype(x.dtype) / TURN + position.astype(x.dtype) * rest)
    cos, sin = jnp.cos(angle)[None, :], jnp.sin(angle)[None, :]
    even, odd = x[:, ::2], x[:, 1::2]
    pairs = jnp.stack([even * cos - odd * sin, even * sin + odd * cos], axis=-1)
    return pairs.reshape(x.shape)


def _one(x: PyTree) -> Int[Array, ""]:
    return jnp.ones((), jnp.int32)


def _state(state: Array, x: PyTree) -> Array:
    return state


def _same(x: PyTree) -> PyTree:
    return x
