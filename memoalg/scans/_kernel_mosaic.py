"""The loop over time as a kernel by Pallas Mosaic GPU: for Hopper and newer.

One warpgroup runs one row of the batch and 128 lanes, one for each thread. Blocks of steps stream
through shared memory: while one is worked on, the hardware copies the next one in and the last one out.
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu
from jaxtyping import Array

from ._kernel_call import LANES, STEPS, Call, Chunks, Operands, of_one_chunk
from ._kernel_recurrence import Parts

SHARED = 64 * 1024
"""Bytes of shared memory for the blocks: three programs find room on a multiprocessor."""
AHEAD = 4
"""Steps whose inputs are read at once."""
STAGES = 2
"""Blocks in flight for each array."""
ROW = plgpu.Layout.WG_STRIDED((LANES,), vec_size=1)
"""What a row of a block is in registers."""


class _Plan(NamedTuple):
    """The grid, and where each program finds its part of an array."""

    call: Call
    batch: tuple[int, ...]
    length: int
    chunks: Chunks
    steps: int
    """Of a block."""

    @property
    def blocks(self) -> Any:
        """How many this program's chunk has."""
        left = self.length
        if self.chunks.count > 1:
            left = left - jax.lax.axis_index("chunk") * self.chunks.steps
            left = jnp.minimum(left, self.chunks.steps)
        return (left + self.steps - 1) // self.steps

    def first_step(self, turn: Any) -> Any:
        """The first step in time of the block that is worked on at a turn."""
        block = self.blocks - 1 - turn if self.call.reverse else turn
        return jax.lax.axis_index("chunk") * self.chunks.steps + block * self.steps

    def place(self, x: Any, time: int | None, step: Any) -> tuple:
        """Where an array has this program's row and lanes, at a step, or steps, of its time axis."""
        sizes = [size for axis, size in enumerate(x.shape[:-1]) if axis != time]
        row, place = jax.lax.axis_index("row"), []
        for size, own in zip(reversed(self.batch), reversed(sizes), strict=True):
            place.insert(0, jnp.int32(0) if own == 1 else row % size)
            row = row // size
        if time is not None:
            place.insert(time, step)
        if x.shape[-1] == 1:
            return (*place, jnp.int32(0))
        return (*place, pl.ds(jax.lax.axis_index("lane") * LANES, LANES))

    def constant(self, x: Any) -> tuple:
        return self.place(x, None, None)

    def chunked(self, x: Any) -> tuple:
        return self.place(x, 0, jax.lax.axis_index("chunk"))

    def timed(self, x: Any, step: Any) -> tuple:
        return self.place(x, self.call.outer, step)


def run_mosaic(call: Call, operands: Operands, chunks: Chunks) -> list[Array]:
    """The carry at the end of each chunk, then the outputs."""
    expected = call.results(of_one_chunk(operands))
    carried = call.carried(operands)
    padded = _padded(call, operands)
    one = of_one_chunk(padded)
    shapes = call.results(one)
    carries = [jax.ShapeDtypeStruct((chunks.count, *x.shape), x.dtype) for x in shapes[:carried]]
    streams = [x for x in padded.flags + padded.timed + padded.shifted if x.shape[-1] > 1]
    steps = _steps([x.dtype for x in [*streams, *shapes[carried:]]])
    plan = _Plan(call, call.batch_shape(one), call.length(operands), chunks, steps)
    arrays, structure = jax.tree.flatten(padded)

    def kernel(*refs: Any) -> None:
        given = jax.tree.unflatten(structure, refs[: len(arrays)])
        ends, outputs = refs[len(arrays) : -3][:carried], refs[len(arrays) : -3][carried:]
        _program(_Stream(plan, given, outputs, *refs[-3:]), ends)

    run = plgpu.kernel(
        kernel,
        out_type=[*carries, *shapes[carried:]],
        grid=(math.prod(plan.batch), carries[0].shape[-1] // LANES, chunks.count),
        grid_names=("row", "lane", "chunk"),
        scratch_types=[
            [plgpu.SMEM((STAGES, steps, LANES), x.dtype) for x in streams],
            [plgpu.SMEM((STAGES, steps, LANES), x.dtype) for x in shapes[carried:]],
            plgpu.Barrier(num_arrivals=len(streams), num_barriers=STAGES),
        ],
        interpret=_interpreter() if call.settings.interpret else None,
    )
    return _cropped(call, run(*arrays), expected, carried)


def _steps(dtypes: list) -> int:
    """Of a block: as many as shared memory has room for."""
    row = sum(dtype.itemsize for dtype in dtypes) * LANES * STAGES
    steps = STEPS
    while steps > AHEAD and steps * row > SHARED:
        steps //= 2
    return steps


def _padded(call: Call, operands: Operands) -> Operands:
    """Lanes filled up to whole programs; for the interpreter, which stops at an edge, time too."""

    def lanes(x: Array, more: int = 0, axis: int = 0) -> Array:
        pad = [(0, 0)] * x.ndim
        pad[axis] = (0, more)
        pad[-1] = (0, -x.shape[-1] % LANES if x.shape[-1] > 1 or is_one else 0)
        return jnp.pad(x, pad) if any(map(any, pad)) else x

    def timed(x: Array) -> Array:
        more = -x.shape[call.outer] % STEPS if call.settings.interpret else 0
        return lanes(x, more, call.outer)

    is_one = call.lane_shape(of_one_chunk(operands)) == (1,)
    return operands.mapped(lanes, timed, timed)


def _cropped(call: Call, results: Any, expected: list, carried: int) -> list[Array]:
    def crop(place: int, x: Array) -> Array:
        shape = expected[place].shape
        shape = (x.shape[0], *shape) if place < carried else shape
        return x if x.shape == shape else x[tuple(map(slice, shape))]

    return [crop(place, x) for place, x in enumerate(results)]


def _interpreter() -> Any:
    # Not yet among JAX's public names.
    from jax._src.pallas.mosaic_gpu.interpret.params import InterpretGPUParams

    return InterpretGPUParams()


class _Stream(NamedTuple):
    """The blocks of a chunk on their way through shared memory."""

    plan: _Plan
    given: Operands
    outputs: Any
    buffers: Any
    out_buffers: Any
    barrier: Any

    @property
    def sources(self) -> list:
        given = self.given
        return [x for x in given.flags + given.timed + given.shifted if x.shape[-1] > 1]

    def fetch(self, turn: Any) -> None:
        """Begin to copy a block in."""
        steps = pl.ds(self.plan.first_step(turn), self.plan.steps)
        slot = turn % STAGES
        for source, buffer in zip(self.sources, self.buffers, strict=True):
            place = self.plan.timed(source, steps)
            plgpu.copy_gmem_to_smem(source.at[place], buffer.at[slot], self.barrier.at[slot])

    def send(self, turn: Any) -> None:
        """Begin to copy a block out."""
        plgpu.commit_smem()
        steps = pl.ds(self.plan.first_step(turn), self.plan.steps)
        for target, buffer in zip(self.outputs, self.out_buffers, strict=True):
            place = self.plan.timed(target, steps)
            plgpu.copy_smem_to_gmem(buffer.at[turn % STAGES], target.at[place], commit_group=False)
        plgpu.commit_smem_to_gmem_group()

    def block(self, turn: Any) -> "_Block":
        """The block that has come in."""
        plan, given, buffers = self.plan, self.given, list(self.buffers)
        first = plan.first_step(turn)
        flagged = bool(given.flags) and given.flags[0].shape[-1] > 1
        flags = buffers.pop(0) if flagged else None
        edges = tuple(self._edge(x, first) for x in given.shifted)
        timed, shifted = buffers[: len(given.timed)], buffers[len(given.timed) :]
        return _Block(self, turn % STAGES, first, flags, timed, shifted, edges)

    def _edge(self, x: Any, first: Any) -> Array:
        """The step beyond a block, which the next block begins with."""
        plan = self.plan
        step = first - 1 if plan.call.reverse else first + plan.steps
        inside = jnp.clip(step, 0, plan.length - 1)
        return self.wide(x[plan.timed(x, inside)])

    def constants(self, refs: Any) -> Parts:
        return tuple(self.wide(x[self.plan.constant(x)]) for x in refs)

    def wide(self, x: Array) -> Array:
        """In the dtype of the computation."""
        return x.astype(self.plan.call.accumulate)


class _Block(NamedTuple):
    """A block of steps in shared memory."""

    stream: _Stream
    slot: Any
    first: Any
    flags: Any
    timed: Any
    shifted: Any
    edges: Parts

    def row(self, i: Any, boundary: Parts) -> tuple[Array | None, Parts, Parts]:
        """The flag, the inputs and the shifted inputs of one step."""
        stream, plan, slot = self.stream, self.stream.plan, self.slot
        reverse = plan.call.reverse
        t, last, border = self.first + i, 0, 0
        if not reverse:
            last, border = plan.length - 1, plan.steps - 1
        neighbour = jnp.where(i == border, i, i - 1 if reverse else i + 1)
        inside = [stream.wide(x[slot, neighbour]) for x in self.shifted]
        known = zip(inside, self.edges, boundary, strict=True)
        shifted = tuple(
            jnp.where(t == last, own, jnp.where(i == border, edge, x)) for x, edge, own in known
        )
        return self._flag(i), tuple(stream.wide(x[slot, i]) for x in self.timed), shifted

    def _flag(self, i: Any) -> Array | None:
        plan, flags = self.stream.plan, self.stream.given.flags
        if self.flags is not None:
            return self.flags[self.slot, i] != 0
        if not flags:
            return None
        inside = jnp.minimum(self.first + i, plan.length - 1)
        return flags[0][plan.timed(flags[0], inside)] != 0


def _zero(call: Call) -> Array:
    zero = jnp.zeros(LANES, call.accumulate)
    # A loop's carry must be laid out alike before and after. The interpreter knows no layouts.
    return zero if call.settings.interpret else plgpu.layout_cast(zero, ROW)


def _program(stream: _Stream, ends: Any) -> None:
    """All steps of one chunk."""
    plan, given, call = stream.plan, stream.given, stream.plan.call
    blocks = jnp.asarray(plan.blocks, jnp.int32)
    constants, boundary = stream.constants(given.constants), stream.constants(given.boundary)
    carry = (
        tuple(stream.wide(x[plan.chunked(x)]) for x in given.carry)
        + (_zero(call),) * call.body.sums
    )
    for ahead in range(STAGES):
        pl.when(ahead < blocks)(functools.partial(stream.fetch, jnp.int32(ahead)))

    def work(turn: Any, carry: Parts) -> Parts:
        plgpu.barrier_wait(stream.barrier.at[turn % STAGES])
        if stream.outputs:
            plgpu.wait_smem_to_gmem(STAGES - 1, wait_read_only=True)
        block = stream.block(turn)
        run = functools.partial(_steps_ahead, block, constants, boundary)
        carry = jax.lax.fori_loop(jnp.int32(0), jnp.int32(plan.steps // AHEAD), run, carry)
        if stream.outputs:
            stream.send(turn)
        pl.when(turn + STAGES < blocks)(functools.partial(stream.fetch, turn + STAGES))
        return carry

    carry = jax.lax.fori_loop(jnp.int32(0), blocks, work, carry)
    for ref, value in zip(ends, carry, strict=True):
        ref[plan.chunked(ref)] = value
    if stream.outputs:
        plgpu.wait_smem_to_gmem(0)


def _steps_ahead(
    block: _Block, constants: Parts, boundary: Parts, group: Any, carry: Parts
) -> Parts:
    """A few steps, all of whose inputs are read before the first is taken."""
    plan, buffers = block.stream.plan, block.stream.out_buffers
    places = [group * AHEAD + i for i in range(AHEAD)]
    if plan.call.reverse:
        places = [plan.steps - 1 - i for i in places]
    rows = [block.row(i, boundary) for i in places]
    for i, (flag, timed, shifted) in zip(places, rows, strict=True):
        after, values = plan.call.body(constants, carry, flag, timed, shifted)
        # Beyond the end there are steps in the last block, and zeros in them.
        is_step = block.first + i < plan.length
        carry = tuple(jnp.where(is_step, x, y) for x, y in zip(after, carry, strict=True))
        for buffer, value in zip(buffers, values, strict=True):
            buffer[block.slot, i] = value.astype(buffer.dtype)
    return carry
