"""Time cut into chunks that run side by side, where the batch alone would leave a GPU idle.

First the totals of all chunks; then what enters each chunk, a loop over them; then the states: three
kernels. The inputs are read twice, 12 passes instead of 8 forward and backward.
"""

import dataclasses
from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array

from ._kernel_body import AbstractTotal, Adjoint, Follow, Forward
from ._kernel_call import LANES, Call, Chunks, Operands, broadcast, widened
from ._kernel_recurrence import Parts
from ._kernel_target import Target

SHORTEST = 256
"""Steps of a chunk at least: below it the second reading of the inputs costs more than it gains."""
CORES = 132
"""Multiprocessors, where the GPU is not known: an H100's."""


def chunks_for(
    asked: int | None, length: int, width: int, target: Target | None, multiple: int
) -> Chunks:
    """As many chunks as give each multiprocessor two programs.

    Arguments:
        asked: a fixed number, `Kernel.chunks`; None to choose.
        length: steps of time.
        width: lanes of the whole batch.
        target: the GPU.
        multiple: of which a chunk's steps are one.
    """
    programs = -(-width // LANES)
    wanted = 2 * (CORES if target is None else target.cores) // programs
    wanted = min(wanted, length // SHORTEST) if asked is None else asked
    # Two chunks would read everything twice for a program more.
    if wanted < (3 if asked is None else 2):
        return Chunks(1, length)
    steps = -(-length // wanted)
    steps = -(-steps // multiple) * multiple
    return Chunks(-(-length // steps), steps)


def run_split(
    kernel: Callable[[Call, Operands, Chunks], list[Array]],
    call: Call,
    operands: Operands,
    chunks: Chunks,
) -> list[Array]:
    """The carry at the end and the outputs; `operands.carry` and the result's have no chunks."""
    carried = call.carried(operands)
    if chunks.count == 1:
        results = kernel(call, operands._replace(carry=_stacked(operands.carry)), chunks)
        return [x[0] for x in results[:carried]] + results[carried:]
    entering, last = _entering(kernel, call, operands, chunks)
    results = kernel(call, operands._replace(carry=entering), chunks)
    sums = [jnp.sum(x, 0) for x in results[len(last) : carried]]
    return [*last, *sums, *results[carried:]]


def _entering(
    kernel: Callable[[Call, Operands, Chunks], list[Array]],
    call: Call,
    operands: Operands,
    chunks: Chunks,
) -> tuple[Parts, Parts]:
    """The carry that enters each chunk, and that after the last."""
    total = _total(call)
    whole = (*call.batch_shape(operands), *call.lane_shape(operands))
    first = tuple(broadcast(widened(x, call.accumulate), whole) for x in operands.carry)
    nothing = tuple(jnp.full((chunks.count, *whole), x, call.accumulate) for x in total.beginning)
    collecting = dataclasses.replace(call, body=total, outputs=())
    totals = kernel(collecting, operands._replace(carry=nothing), chunks)
    following = dataclasses.replace(
        call,
        body=Follow(total),
        outputs=(call.accumulate,) * len(first),
        outer=0,
        inner=call.outer + call.inner,
    )
    given = Operands((), _stacked(first), (), (), tuple(totals), ())
    results = kernel(following, given, Chunks(1, chunks.count))
    return tuple(results[len(first) :]), tuple(x[0] for x in results[: len(first)])


def _total(call: Call) -> AbstractTotal:
    assert isinstance(call.body, Forward | Adjoint)
    return call.body.total()


def _stacked(carry: Parts) -> Parts:
    return tuple(x[None] for x in carry)
