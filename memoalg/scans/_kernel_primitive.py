"""A loop over time as a primitive of JAX: shapes, batching, and one lowering for each platform.

It is a primitive so that a batch is folded into the axes of the kernel's grid where it lies: whichever
axis `jax.vmap` is given, and however deep it is nested, no operand is transposed and none is repeated.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import batching, mlir
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array

from .._tree import as_varying, varying_axes
from ._kernel_back_end import run_interpreted, run_kernel
from ._kernel_call import Call, Operands
from ._kernel_loop import run_loop
from ._kernel_target import target_of

_loop_p = Primitive("memoalg_elementwise_loop")
_loop_p.multiple_results = True


def loop(call: Call, operands: Operands) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """The carry at the end and the outputs of the loop."""
    leaves, structure = jax.tree.flatten(as_varying(operands, varying_axes(operands)))
    results = _loop_p.bind(*leaves, call=call, structure=structure)
    carried = call.carried(operands)
    return tuple(results[:carried]), tuple(results[carried:])


def _run(*leaves: Array, call: Call, structure: Any) -> list[Array]:
    """On a platform without a kernel, or interpreted where that was asked for."""
    operands = jax.tree.unflatten(structure, leaves)
    return (run_interpreted if call.settings.interpret else run_loop)(call, operands)


def _run_cuda(*leaves: Array, call: Call, structure: Any, capability: Any) -> list[Array]:
    if call.settings.interpret:
        return _run(*leaves, call=call, structure=structure)
    return run_kernel(call, jax.tree.unflatten(structure, leaves), capability)


def _lower_cuda(ctx: Any, *values: Any, call: Call, structure: Any) -> Any:
    run = functools.partial(_run_cuda, capability=target_of(ctx))
    return _lower(run, ctx, *values, call=call, structure=structure)


def _lower_elsewhere(ctx: Any, *values: Any, call: Call, structure: Any) -> Any:
    return _lower(_run, ctx, *values, call=call, structure=structure)


def _lower(run: Any, ctx: Any, *values: Any, call: Call, structure: Any) -> Any:
    """The program of one device: it knows nothing of a mesh, and its types must not speak of one."""
    plain = [
        [ShapedArray(x.shape, x.dtype) for x in avals] for avals in (ctx.avals_in, ctx.avals_out)
    ]
    alone = ctx.replace(avals_in=plain[0], avals_out=plain[1])
    return mlir.lower_fun(run, multiple_results=True)(
        alone, *values, call=call, structure=structure
    )


@functools.cache
def _compiled(call: Call, structure: Any) -> Any:
    return jax.jit(functools.partial(_loop_p.bind, call=call, structure=structure))


def _evaluate(*leaves: Array, call: Call, structure: Any) -> list[Array]:
    return _compiled(call, structure)(*leaves)


def _shapes(*leaves: ShapedArray, call: Call, structure: Any) -> list[ShapedArray]:
    results = call.results(jax.tree.unflatten(structure, leaves))
    mesh = leaves[0].sharding.mesh

    def typed(result: Any) -> ShapedArray:
        # Under `shard_map` a type says over which axes it varies; without, gradients would be wrong.
        sharding = NamedSharding(mesh, PartitionSpec(*(None,) * len(result.shape)))
        return leaves[0].update(
            shape=result.shape, dtype=result.dtype, weak_type=False, sharding=sharding
        )

    return [typed(result) for result in results]


class _Place(NamedTuple):
    """Where a new axis of the batch goes: its index among the batch axes, and its side of time."""

    index: int
    outer: bool

    def of_constant(self, x: Array, axis: int | None) -> Array:
        return _placed(x, axis, self.index)

    def of_timed(self, x: Array, axis: int | None) -> Array:
        return _placed(x, axis, self.timed_axis)

    @property
    def timed_axis(self) -> int:
        return self.index if self.outer else self.index + 1


def _placed(x: Array, axis: int | None, target: int) -> Array:
    return jnp.expand_dims(x, target) if axis is None else jnp.moveaxis(x, axis, target)


def _place(call: Call, operands: Operands, axes: Operands) -> _Place:
    """Where most bytes have it already."""
    timed = operands.timed + operands.shifted + operands.flags
    votes: dict[int, int] = {}
    for x, axis in zip(timed, axes.timed + axes.shifted + axes.flags, strict=True):
        if axis is not None:
            # Behind the batch, among the lanes, it has to be moved in any case.
            axis = min(axis, call.outer + call.inner + 1)
            votes[axis] = votes.get(axis, 0) + x.size * x.dtype.itemsize
    axis = max(votes, key=lambda axis: votes[axis], default=0)
    is_outer = axis <= call.outer
    return _Place(axis if is_outer else axis - 1, is_outer)


def _batch(
    leaves: Sequence[Array], axes: Sequence[int | None], *, call: Call, structure: Any
) -> tuple[list[Array], list[int]]:
    operands: Operands = jax.tree.unflatten(structure, leaves)
    # Boxed, because None is no leaf.
    boxes: Operands = jax.tree.unflatten(structure, [[axis] for axis in axes])
    where = Operands(*(tuple(axis for (axis,) in group) for group in boxes))
    place = _place(call, operands, where)
    groups = list(zip(operands, where, strict=True))
    moved = Operands(
        *(tuple(map(place.of_constant, x, axis)) for x, axis in groups[:3]),
        *(tuple(map(place.of_timed, x, axis)) for x, axis in groups[3:]),
    )
    deeper = dataclasses.replace(
        call, outer=call.outer + place.outer, inner=call.inner + (not place.outer)
    )
    results = _loop_p.bind(*jax.tree.leaves(moved), call=deeper, structure=structure)
    carried = call.carried(operands)
    return results, [place.index] * carried + [place.timed_axis] * (len(results) - carried)


_loop_p.def_impl(_evaluate)
_loop_p.def_abstract_eval(_shapes)
batching.primitive_batchers[_loop_p] = _batch
mlir.register_lowering(_loop_p, _lower_elsewhere)
mlir.register_lowering(_loop_p, _lower_cuda, platform="cuda")
