"""Which back end runs a kernel: the table, and what stands around all of them."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Array

from ._kernel_call import LANES, STEPS, Call, Chunks, Operands
from ._kernel_layout import Flat, flat, restored
from ._kernel_loop import run_loop
from ._kernel_split import chunks_for, run_split
from ._kernel_target import Target

HOPPER = (9, 0)


class BackEnd(NamedTuple):
    """A way to run a kernel."""

    run: Callable[[Call, Operands, Chunks], list[Array]]
    """`(flat call, operands, chunks)`; the carry, in and out, has a leading axis of chunks."""
    multiple: int
    """Of which the steps of a chunk are one."""


# Imported where they run: Pallas takes a while.
def _run_mosaic(call: Call, operands: Operands, chunks: Chunks) -> list[Array]:
    from ._kernel_mosaic import run_mosaic

    return run_mosaic(call, operands, chunks)


def _run_triton(call: Call, operands: Operands, chunks: Chunks) -> list[Array]:
    from ._kernel_triton import run_triton

    return run_triton(call, operands, chunks)


# Pallas Triton is deprecated in JAX. To drop it, delete its file, its function above, its line here
# and in AUTO, and its name in `_kernel_call.BackEndName`.
BACK_ENDS: dict[str, BackEnd] = {
    "mosaic": BackEnd(_run_mosaic, STEPS),
    "triton": BackEnd(_run_triton, 1),
}


def _is_whole(lanes: int) -> bool:
    # Else Mosaic needs copies that are padded.
    return lanes % LANES == 0


def _is_any(lanes: int) -> bool:
    return True


AUTO: list[tuple[str, Callable[[int], bool]]] = [
    ("mosaic", _is_whole),
    ("triton", _is_any),
    ("mosaic", _is_any),
]
"""What `"auto"` tries, in this order, and for which numbers of lanes."""


def run_kernel(call: Call, operands: Operands, target: Target | None) -> list[Array]:
    """On an NVIDIA GPU; by a loop where no back end knows the call."""
    if 0 in call.batch_shape(operands) or 0 in call.lane_shape(operands):
        return run_loop(call, operands)
    inside = flat(call, operands)
    name = _chosen(inside, target)
    if name is None:
        return run_loop(call, operands)
    results = _run(BACK_ENDS[name], inside, target)
    return restored(call, operands, inside, results)


def run_interpreted(call: Call, operands: Operands) -> list[Array]:
    """By the interpreter of the back end that is asked for, on whatever platform this is."""
    inside = flat(call, operands)
    results = _run(BACK_ENDS[call.settings.back_end], inside, None)
    return restored(call, operands, inside, results)


def _run(back_end: BackEnd, inside: Flat, target: Target | None) -> list[Array]:
    call, operands = inside.call, inside.operands
    width = math.prod(call.batch_shape(operands)) * call.lane_shape(operands)[0]
    asked, length = call.settings.chunks, call.length(operands)
    chunks = chunks_for(asked, length, width, target, back_end.multiple)
    return run_split(back_end.run, call, operands, chunks)


def _chosen(inside: Flat, target: Target | None) -> str | None:
    """The name of a back end; None where no one knows the call."""
    asked, dtype = inside.call.settings.back_end, inside.call.accumulate
    if asked != "auto":
        refusal = _refusal(asked, dtype, target)
        if refusal is not None:
            raise ValueError(f'Kernel(back_end="{asked}") {refusal}; write back_end="auto"')
        return asked
    lanes = inside.call.lane_shape(inside.operands)[0]
    for name, suits in AUTO:
        is_unsure = name == "mosaic" and target is None
        if suits(lanes) and not is_unsure and _refusal(name, dtype, target) is None:
            return name
    return None


def _refusal(name: str, dtype: np.dtype, target: Target | None) -> str | None:
    """Why a back end cannot run a call, if so."""
    if name != "mosaic":
        return None
    if dtype != np.float32:
        return f"computes in float32, here it would have to in {dtype.name}"
    if target is not None and target.capability < HOPPER:
        # Compiling it would abort the process, without an exception.
        major, minor = target.capability
        return f"needs compute capability 9.0, this GPU has {major}.{minor}"
    return None
