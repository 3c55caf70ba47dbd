"""Bytes that one kernel reads and writes, from the text of what is fused into it."""

import dataclasses
import math
from typing import NamedTuple

from ._gpu_program import Computation, Instruction, Program

# A result of which only a part is asked for still needs these operands whole.
WHOLE = frozenset({
    "all-gather", "all-reduce", "all-to-all", "cholesky", "collective-permute",
    "convolution", "custom-call", "dot", "fft", "reduce-scatter", "reduce-window",
    "rng-bit-generator", "select-and-scatter", "sort", "topk", "triangular-solve", "while",
})  # fmt: skip
SLICES = ("slice", "dynamic-slice", "gather")
SAME_BYTES = ("bitcast", "bitcast-convert", "reshape")
# Scratch memory of cuBLAS is a part of its result.
LIBRARIES = ("__cublas$", "__cudnn$", "__cusolver$")


class Traffic(NamedTuple):
    """Bytes of one launch.

    Attributes:
        read: every byte that is needed once; what is needed twice may be read twice, so it is a
            lower bound.
        read_whole: every operand whole, those aside that are only sliced: an upper bound but for
            operands that are read again.
        written: bytes of the results; of an array that is updated in place, of the update.
    """

    read: int
    read_whole: int
    written: int


def traffic_of(program: Program, computation: Computation, instruction: Instruction) -> Traffic:
    """Bytes of an instruction that is a launch.

    Args:
        program: the compiled program.
        computation: the one in which the instruction stands.
        instruction: a fusion, or anything else that runs as a kernel of its own.
    """
    if instruction.opcode == "fusion":
        inside = program.computations[instruction.called_as("calls")]
    else:
        inside = _alone(computation, instruction)
    needed = _needed(program, inside, math.inf)
    read = sum(_bytes(p, needed[p.name]) for p in inside.parameters)
    whole = sum(_read_whole(inside, p) for p in inside.parameters)
    return Traffic(read, max(read, whole), _written(inside))


def _alone(computation: Computation, instruction: Instruction) -> Computation:
    """A computation of one instruction, whose operands are parameters."""
    names = dict.fromkeys(instruction.operands)
    parameters = {
        name: dataclasses.replace(
            computation.instructions[name], opcode="parameter", argument=str(i), attributes=""
        )
        for i, name in enumerate(names)
    }
    return Computation({**parameters, instruction.name: instruction}, instruction.name)


def _bytes(instruction: Instruction, items: float) -> int:
    if instruction.items == 0:
        return 0
    return round(instruction.size * min(items / instruction.items, 1.0))


def _results(computation: Computation) -> list[Instruction]:
    """What a computation returns, tuples taken apart, casts of shape looked through."""
    pending, found = [computation.instructions[computation.root]], []
    while pending:
        instruction = pending.pop()
        if instruction.opcode == "tuple" or instruction.opcode in SAME_BYTES:
            pending += computation.operands(instruction)
        else:
            found.append(instruction)
    return found


def _is_in_place(computation: Computation, instruction: Instruction) -> bool:
    """Whether a result is an operand of which a part is replaced where it lies."""
    if instruction.opcode not in ("dynamic-update-slice", "scatter"):
        return False
    buffer = computation.operands(instruction)[0]
    while buffer.opcode in SAME_BYTES:
        buffer = computation.operands(buffer)[0]
    return buffer.opcode == "parameter"


def _update(computation: Computation, instruction: Instruction) -> Instruction:
    operands = computation.operands(instruction)
    return operands[1] if instruction.opcode == "dynamic-update-slice" else operands[2]


def _written(computation: Computation) -> int:
    total = 0
    for result in _results(computation):
        in_place = _is_in_place(computation, result)
        total += _update(computation, result).size if in_place else _result_size(result)
    return total


def _result_size(instruction: Instruction) -> int:
    if instruction.opcode == "custom-call" and any(x in instruction.attributes for x in LIBRARIES):
        return dataclasses.replace(instruction, shape=instruction.shape.split("s8[")[0]).size
    return instruction.size


def _needed(program: Program, computation: Computation, wanted: float) -> dict[str, float]:
    """Of each instruction's result, how many items are needed for `wanted` of the root's."""
    needed: dict[str, float] = dict.fromkeys(computation.instructions, 0.0)
    for result in _results(computation):
        needed[result.name] = min(wanted, result.items)
    in_place = {r.name for r in _results(computation) if _is_in_place(computation, r)}
    for name in reversed(computation.instructions):
        instruction, items = computation.instructions[name], needed[name]
        if not items:
            continue
        operands = computation.operands(instruction)
        if name in in_place:
            shares = _shares_in_place(instruction, operands)
        else:
            shares = _shares(program, instruction, operands, items)
        for operand, share in zip(operands, shares, strict=True):
            needed[operand.name] = min(needed[operand.name] + share, operand.items)
    return needed


def _shares_in_place(instruction: Instruction, operands: list[Instruction]) -> list[float]:
    rest = [float(x.items) for x in operands[1:]]
    # A scatter combines its updates with what is there.
    return [0.0 if instruction.opcode == "dynamic-update-slice" else rest[1], *rest]


def _shares(
    program: Program, instruction: Instruction, operands: list[Instruction], items: float
) -> list[float]:
    """How many items of each operand are needed for so many of the result."""
    opcode, sizes = instruction.opcode, [float(x.items) for x in operands]
    if opcode in WHOLE:
        return sizes
    if opcode in SLICES:
        return [items, *sizes[1:]]
    if opcode == "dynamic-update-slice":
        return [max(items - sizes[1], 0.0), min(items, sizes[1]), *sizes[2:]]
    if opcode == "reduce":
        return [min(items * max(size / instruction.items, 1.0), size) for size in sizes]
    if opcode == "fusion":
        inside = program.computations[instruction.called_as("calls")]
        needed = _needed(program, inside, items)
        return [needed[parameter.name] for parameter in inside.parameters]
    # Elementwise, a broadcast, or another order of the same items.
    return [min(items, size) for size in sizes]


def _read_whole(computation: Computation, parameter: Instruction) -> int:
    """Bytes of a parameter, or of its slices where it is only sliced or updated in place."""
    pending, total = list(computation.users[parameter.name]), 0
    names = {parameter.name}
    while pending:
        user = pending.pop()
        if user.opcode in SAME_BYTES:
            names.add(user.name)
            pending += computation.users[user.name]
        elif user.opcode in SLICES and user.operands[0] in names:
            total += user.size
        elif not (_is_in_place(computation, user) and user.operands[0] in names):
            return parameter.size
    return min(total, parameter.size)
