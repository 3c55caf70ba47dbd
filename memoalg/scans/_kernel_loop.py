"""The loop over time without a kernel: the CPU's form, and that of every unknown platform."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ._kernel_call import Call, Operands, broadcast, widened
from ._kernel_recurrence import Parts


def run_loop(call: Call, operands: Operands) -> list[Array]:
    """The carry at the end, then the outputs, by one `lax.scan`."""
    batch = call.batch_shape(operands)
    whole = (*batch, *call.lane_shape(operands))
    ones = (1,) * call.lanes

    def first(x: Array) -> Array:
        return jnp.moveaxis(x, call.outer, 0)

    def wide(x: Array) -> Array:
        return widened(x, call.accumulate)

    def flag(x: Array) -> Array:
        return first(x).reshape(x.shape[call.outer], *_without(x.shape, call.outer), *ones) != 0

    given = operands.mapped(wide, flag, first)
    zeros = (jnp.zeros(whole, call.accumulate),) * call.body.sums
    carry = tuple(broadcast(x, whole) for x in given.carry) + zeros
    pairs = zip(given.boundary, given.shifted, strict=True)
    shifted = tuple(_shift(boundary, x, call.reverse) for boundary, x in pairs)

    def body(carry: Parts, now: tuple[Parts, Parts, Parts]) -> tuple[Parts, Parts]:
        flags, timed, shifted = now
        reset = flags[0] if flags else None
        inputs, neighbours = tuple(map(wide, timed)), tuple(map(wide, shifted))
        carry, outputs = call.body(given.constants, carry, reset, inputs, neighbours)
        kept = zip(outputs, call.outputs, strict=True)
        return carry, tuple(broadcast(widened(x, dtype), whole) for x, dtype in kept)

    timed = (given.flags, given.timed, shifted)
    last, outputs = jax.lax.scan(body, carry, timed, reverse=call.reverse)
    return [*last, *(jnp.moveaxis(x, 0, call.outer) for x in outputs)]


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return shape[:axis] + shape[axis + 1 :]


def _shift(boundary: Array, x: Array, reverse: bool) -> Array:
    """The value of the step that is executed next; at the end the boundary's."""
    shape = jnp.broadcast_shapes(boundary.shape, x.shape[1:])
    x = broadcast(x, (x.shape[0], *shape))
    edge = broadcast(boundary, shape).astype(x.dtype)[None]
    return jnp.concatenate([edge, x[:-1]] if reverse else [x[1:], edge])
