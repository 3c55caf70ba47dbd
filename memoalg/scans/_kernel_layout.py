"""From the axes of a call to those of a kernel: a grid of programs, time, and one axis of lanes."""

import dataclasses
import math
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from ._kernel_call import Call, Operands, broadcast

FULL = 32
"""Elements with fewer lanes share a program with their neighbours in the batch."""
SECTOR = 8
"""Elements with fewer lanes are brought next to them: programs would read a few bytes of each line."""


class Flat(NamedTuple):
    """A call whose lanes are one axis."""

    call: Call
    operands: Operands
    swapped: tuple[int, ...] | None
    """The shape of a timed array whose last axis before time was brought behind it, if it was."""


def flat(call: Call, operands: Operands) -> Flat:
    """The same call with all lanes on one axis, filled from the batch where they are few."""
    lanes = math.prod(call.lane_shape(operands))

    def constant(x: Array) -> Array:
        return x.reshape(*x.shape[: call.outer + call.inner], lanes)

    def flag(x: Array) -> Array:
        return x[..., None]

    def timed(x: Array) -> Array:
        return x.reshape(*x.shape[: call.outer + 1 + call.inner], lanes)

    call, operands = _merged(call, operands)
    operands = operands.mapped(constant, flag, timed)
    call = dataclasses.replace(call, lanes=1)
    swapped = None
    if lanes < SECTOR and call.inner == 0 and call.outer > 0:
        call, operands = _swapped(call, operands)
        batch = call.batch_shape(operands)
        swapped = (*batch[:-1], call.length(operands), batch[-1], lanes)
    if lanes < FULL and call.inner > 0:
        call, operands = _filled(call, operands)
    return Flat(call, operands, swapped)


def _merged(call: Call, operands: Operands) -> tuple[Call, Operands]:
    """Neighbouring axes of the batch that all operands have, or have not, become one."""
    for axis in range(call.outer + call.inner - 1):
        if axis != call.outer - 1 and _is_mergeable(call, operands, axis):
            return _merged(*_merged_at(call, operands, axis))
    return call, operands


def _is_mergeable(call: Call, operands: Operands, axis: int) -> bool:
    pairs: set[tuple[int, int]] = set()

    def constant(x: Array) -> None:
        pairs.add((x.shape[axis], x.shape[axis + 1]))

    def timed(x: Array) -> None:
        place = axis + (axis >= call.outer)
        pairs.add((x.shape[place], x.shape[place + 1]))

    operands.mapped(constant, timed, timed)
    return pairs <= {(1, 1), call.batch_shape(operands)[axis : axis + 2]}


def _merged_at(call: Call, operands: Operands, axis: int) -> tuple[Call, Operands]:
    def merge(x: Array, place: int) -> Array:
        return x.reshape(*x.shape[:place], -1, *x.shape[place + 2 :])

    def constant(x: Array) -> Array:
        return merge(x, axis)

    def timed(x: Array) -> Array:
        return merge(x, axis + (axis >= call.outer))

    is_outer = axis < call.outer
    fewer = dataclasses.replace(
        call, outer=call.outer - is_outer, inner=call.inner - (not is_outer)
    )
    return fewer, operands.mapped(constant, timed, timed)


def _swapped(call: Call, operands: Operands) -> tuple[Call, Operands]:
    def constant(x: Array) -> Array:
        return x

    def timed(x: Array) -> Array:
        return jnp.swapaxes(x, call.outer - 1, call.outer)

    inside = dataclasses.replace(call, outer=call.outer - 1, inner=1)
    return inside, operands.mapped(constant, timed, timed)


def _filled(call: Call, operands: Operands) -> tuple[Call, Operands]:
    """The inner axes of the batch become lanes."""
    outer = call.outer
    inner = call.batch_shape(operands)[outer:]
    lanes = call.lane_shape(operands)[0]

    def merged(x: Array, kept: int) -> Array:
        return broadcast(x, (*x.shape[:kept], *inner, lanes)).reshape(*x.shape[:kept], -1)

    def constant(x: Array) -> Array:
        return merged(x, outer)

    def timed(x: Array) -> Array:
        return merged(x, outer + 1)

    def flag(x: Array) -> Array:
        # One flag for all of them stays one.
        alike = math.prod(x.shape[outer + 1 :]) == 1
        return x.reshape(*x.shape[: outer + 1], 1) if alike else timed(x)

    return dataclasses.replace(call, inner=0), operands.mapped(constant, flag, timed)


def restored(call: Call, operands: Operands, inside: Flat, results: list[Array]) -> list[Array]:
    """The results of a flat call with the axes of the given one."""
    expected = call.results(operands)
    carried = call.carried(operands)

    def timed(x: Array) -> Array:
        if inside.swapped is None:
            return x
        last = len(inside.swapped) - 3
        return jnp.swapaxes(x.reshape(inside.swapped), last, last + 1)

    return [
        (x if place < carried else timed(x)).reshape(result.shape)
        for place, (x, result) in enumerate(zip(results, expected, strict=True))
    ]
