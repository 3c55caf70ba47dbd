"""Where a sequence ends, for methods that see a piece of it: what lies beyond is another piece's."""

import functools

import jax.numpy as jnp
from jaxtyping import Array, Bool, PyTree

from ._method import AbstractMethod


@functools.singledispatch
def resets_in_reverse(method: AbstractMethod, start: Bool[Array, " time"]) -> Bool[Array, " time"]:
    """The `resets` that a method is given where it runs backwards.

    Going backwards, the state that enters step t comes from t+1: it is dropped where t+1 begins an
    episode. A method that runs a piece of a sequence has to know whether its own first step does, so it
    takes `start` as it is.
    """
    return shifted_start(start)


def shifted_start(start: Bool[Array, " time"]) -> Bool[Array, " time"]:
    """Each step's next one, false for the last."""
    return jnp.concatenate([start[1:], jnp.zeros_like(start[:1])])


@functools.singledispatch
def row_before(method: AbstractMethod, edge: PyTree, rows: PyTree, reverse: bool) -> PyTree:
    """What stands before the first row (after the last where `reverse`): nothing, so `edge`.

    For a piece of a sequence it is its neighbour's row.
    """
    return edge


@functools.singledispatch
def sees_whole(method: AbstractMethod) -> bool:
    """Whether a method is given whole sequences on one device, which may be cut into blocks."""
    return True
