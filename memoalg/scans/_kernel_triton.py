"""The loop over time as a kernel by Pallas Triton: for NVIDIA GPUs before Hopper.

One program runs one row of the batch and up to 128 lanes; it loops over time with its carry in
registers. Rows of a few steps are loaded before the first of them is used, so that a program waits for
memory once for all of them.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton as plgpu
from jaxtyping import Array

from ._kernel_call import LANES, Call, Chunks, Operands, of_one_chunk
from ._kernel_recurrence import Parts

AHEAD = 8
"""Steps that are loaded at once."""


class _Plan(NamedTuple):
    """The grid, and where each program finds its part of an array."""

    call: Call
    batch: tuple[int, ...]
    length: int
    lanes: int
    chunks: Chunks

    @property
    def block(self) -> int:
        """Lanes of a program. Triton wants powers of two; what is left over is masked."""
        return min(LANES, pl.next_power_of_2(self.lanes))

    @property
    def grid(self) -> tuple[int, int, int]:
        return math.prod(self.batch), pl.cdiv(self.lanes, self.block), self.chunks.count

    def spec(self, x: Any, time: int | None, chunked: bool = False) -> pl.BlockSpec:
        """One row of the batch and a block of lanes; all of time, one chunk."""
        whole = None if chunked else time
        sizes = [size for axis, size in enumerate(x.shape[:-1]) if axis != time]
        shape: list[int | None] = [None] * (x.ndim - 1)
        if whole is not None:
            shape[whole] = x.shape[whole]
        alike = x.shape[-1] == 1

        def index(row: Any, lane: Any, chunk: Any) -> tuple:
            place = _unravelled(row, self.batch, sizes)
            if time is not None:
                place.insert(time, chunk if chunked else 0)
            return (*place, 0 if alike else lane)

        return pl.BlockSpec((*shape, 1 if alike else self.block), index)

    def constant(self, x: Any) -> pl.BlockSpec:
        return self.spec(x, None)

    def timed(self, x: Any) -> pl.BlockSpec:
        return self.spec(x, self.call.outer)

    def chunked(self, x: Any) -> pl.BlockSpec:
        return self.spec(x, 0, chunked=True)


def run_triton(call: Call, operands: Operands, chunks: Chunks) -> list[Array]:
    """The carry at the end of each chunk, then the outputs."""
    one, carried = of_one_chunk(operands), call.carried(operands)
    lanes, length = call.lane_shape(one)[0], call.length(one)
    plan = _Plan(call, call.batch_shape(one), length, lanes, chunks)
    results = call.results(one)
    outputs = results[carried:]
    carries = [jax.ShapeDtypeStruct((chunks.count, *x.shape), x.dtype) for x in results[:carried]]
    specs = operands.mapped(plan.constant, plan.timed, plan.timed)
    specs = specs._replace(carry=tuple(map(plan.chunked, operands.carry)))
    arrays, structure = jax.tree.flatten(operands)

    def kernel(*refs: Any) -> None:
        given = jax.tree.unflatten(structure, refs[: len(arrays)])
        _program(plan, given, refs[len(arrays) :])

    run = pl.pallas_call(
        kernel,
        grid=plan.grid,
        in_specs=jax.tree.leaves(specs, is_leaf=_is_spec),
        out_specs=[*map(plan.chunked, carries), *map(plan.timed, outputs)],
        out_shape=[*carries, *outputs],
        interpret=call.settings.interpret,
        compiler_params=plgpu.CompilerParams(num_warps=1, num_stages=1),
        name="memoalg_elementwise_loop",
    )
    return list(run(*arrays))


def _is_spec(node: Any) -> bool:
    return isinstance(node, pl.BlockSpec)


def _unravelled(row: Any, batch: tuple[int, ...], sizes: list[int]) -> list:
    """A program's place in the batch; 0 on axes that an array does not have."""
    place = []
    for size, own in zip(reversed(batch), reversed(sizes), strict=True):
        place.append(0 if own == 1 else row % size)
        row = row // size
    return place[::-1]


def _program(plan: _Plan, given: Operands, results: tuple[Any, ...]) -> None:
    """All steps of one chunk."""
    call, rows = plan.call, _Rows(plan, given)
    begin, count = rows.range
    carry = rows.carry()
    outputs = results[len(carry) :]

    def run(ahead: int) -> Callable[[Any, Parts], Parts]:
        def steps(turn: Any, carry: Parts) -> Parts:
            first = turn * ahead
            times = [first + step for step in range(ahead)]
            times = [begin + (count - 1 - i if call.reverse else i) for i in times]
            for t, (flag, timed, shifted) in [(t, rows.at(t)) for t in times]:
                carry, values = call.body(rows.constants, carry, flag, timed, shifted)
                for ref, value in zip(outputs, values, strict=True):
                    plgpu.store(ref.at[t], value.astype(ref.dtype), mask=rows.mask)
            return carry

        return steps

    turns = count // AHEAD
    carry = jax.lax.fori_loop(0, turns, run(AHEAD), carry)
    carry = jax.lax.fori_loop(turns * AHEAD, count, run(1), carry)
    for ref, value in zip(results, carry, strict=False):
        plgpu.store(ref.at[:], value, mask=rows.mask)


class _Rows:
    """What a program reads."""

    def __init__(self, plan: _Plan, given: Operands):
        self.plan, self.given = plan, given
        self.mask = None
        if plan.lanes % plan.block:
            lanes = pl.program_id(1) * plan.block + jnp.arange(plan.block, dtype=jnp.int32)
            self.mask = lanes < plan.lanes
        self.constants = tuple(self._read(ref) for ref in given.constants)
        self.boundary = tuple(self._read(ref) for ref in given.boundary)

    @property
    def range(self) -> tuple[Any, Any]:
        """The first step and the number of steps."""
        plan = self.plan
        if plan.chunks.count == 1:
            return 0, plan.length
        begin = pl.program_id(2) * plan.chunks.steps
        return begin, jnp.minimum(plan.length - begin, plan.chunks.steps)

    def carry(self) -> Parts:
        """Entering the first step."""
        given = tuple(self._read(ref) for ref in self.given.carry)
        zero = jnp.zeros(self.plan.block, self.plan.call.accumulate)
        return given + (zero,) * self.plan.call.body.sums

    def at(self, t: Any) -> tuple[Array | None, Parts, Parts]:
        """The flag, the inputs and the shifted inputs of one step."""
        edge = 0 if self.plan.call.reverse else self.plan.length - 1
        neighbour = jnp.where(t == edge, t, t - 1 if self.plan.call.reverse else t + 1)
        flags = [self._load(ref, t) != 0 for ref in self.given.flags]
        timed = tuple(self._widened(self._load(ref, t)) for ref in self.given.timed)
        pairs = zip(self.boundary, self.given.shifted, strict=True)
        shifted = tuple(
            jnp.where(t == edge, boundary, self._widened(self._load(ref, neighbour)))
            for boundary, ref in pairs
        )
        return flags[0] if flags else None, timed, shifted

    def _read(self, ref: Any) -> Array:
        return self._widened(plgpu.load(ref.at[:], mask=self.mask))

    def _load(self, ref: Any, t: Any) -> Array:
        if ref.shape[-1] == 1:
            return ref[t, 0]
        return plgpu.load(ref.at[t], mask=self.mask)

    def _widened(self, x: Array) -> Array:
        return x.astype(self.plan.call.accumulate)
