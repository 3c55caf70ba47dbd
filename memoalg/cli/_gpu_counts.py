"""Kernels and bytes of a program compiled for a GPU, counted in its text."""

import dataclasses
import re
import time
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import numpy as np

from ._gpu_program import Computation, Instruction, Program, parse_program
from ._gpu_target import Target, sharding_on
from ._gpu_traffic import traffic_of

FREE = frozenset({
    "add-dependency", "after-all", "async-update", "bitcast", "constant", "domain",
    "get-dimension-size", "get-tuple-element", "opt-barrier", "parameter", "partition-id",
    "replica-id", "tuple",
})  # fmt: skip
FREE_CALLS = ("AllocateBuffer", "CreateBuffer", "Pin", "Unpin", "Sharding")
MOVES = frozenset({
    "bitcast", "copy", "get-tuple-element", "parameter", "reshape", "transpose", "tuple",
})  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Counts:
    """What a program costs on a GPU.

    Attributes:
        launches: kernels and copies that are started.
        bytes_read: low: every byte that a kernel needs once, for each kernel.
        bytes_read_high: whole operands, unless they are only sliced.
        bytes_written: results; of an array updated in place, the update.
        copies: launches that compute nothing: they copy an array, or change the order of its items.
        transposes: those of them that change the order.
        unknown_loops: loops whose length only the data decides; their bodies are counted once.
        argument_bytes: of the arguments, each of which must be read once.
        result_bytes: of the results, each of which must be written once.
        temp_bytes: memory that XLA plans beside arguments and results.
        trace_seconds: of tracing and lowering, by the wall clock.
        compile_seconds: of XLA, by the wall clock.
    """

    launches: int = 0
    bytes_read: int = 0
    bytes_read_high: int = 0
    bytes_written: int = 0
    copies: int = 0
    transposes: int = 0
    unknown_loops: int = 0
    argument_bytes: int = 0
    result_bytes: int = 0
    temp_bytes: int = 0
    trace_seconds: float = 0.0
    compile_seconds: float = 0.0

    def ratio(self, ideal: int | None = None) -> float:
        """Bytes read (low) and written, as a multiple of the ideal.

        Args:
            ideal: bytes that have to be moved; None for all arguments and all results once.
        """
        return (self.bytes_read + self.bytes_written) / self._ideal(ideal)

    def ratio_high(self, ideal: int | None = None) -> float:
        """The same with the upper bound of what is read."""
        return (self.bytes_read_high + self.bytes_written) / self._ideal(ideal)

    def _ideal(self, ideal: int | None) -> int:
        return (self.argument_bytes + self.result_bytes) if ideal is None else ideal

    def plus(self, other: "Counts", times: int = 1) -> "Counts":
        """This, and so many times the other; its unknown loops are the same ones every time."""
        names = [field.name for field in dataclasses.fields(Counts)]
        total = Counts(**{n: getattr(self, n) + times * getattr(other, n) for n in names})
        unknown = self.unknown_loops + other.unknown_loops
        return dataclasses.replace(total, unknown_loops=unknown)


def count(function: Callable[..., Any], *shapes: Any, target: str | Target = "h100") -> Counts:
    """Compiles a function for a GPU that need not be there, and counts what it does.

    Args:
        function: of pytrees; jitted or not.
        shapes: its arguments: arrays or `jax.ShapeDtypeStruct`s in pytrees (a module, say), of which
            only shapes and dtypes matter; other leaves are constants.
        target: `"h100"`, `"a100"` or a description.

    Raises:
        NoCompilerError: the compiler for CUDA is not installed.
        ValueError: there is no target of that name.

    >>> counts = count(lambda x: x + 1, jax.ShapeDtypeStruct((1024,), "float32"))  # doctest: +SKIP
    >>> counts.launches, counts.ratio()  # doctest: +SKIP
    (1, 1.0)
    """
    sharding = sharding_on(target)
    moving, constant = eqx.partition(shapes, _is_array)
    described = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), moving
    )

    def call(moving: Any) -> Any:
        result = function(*eqx.combine(moving, constant))
        return eqx.filter(result, _is_array)

    begin = time.perf_counter()
    lowered = jax.jit(call, out_shardings=sharding).lower(described)
    middle = time.perf_counter()
    compiled = lowered.compile()
    seconds = time.perf_counter() - middle
    text, memory = compiled.as_text(), compiled.memory_analysis()
    if text is None or memory is None:
        raise RuntimeError("jax does not show what it compiled for a GPU: please report")
    return dataclasses.replace(
        trace(parse_program(text)),
        argument_bytes=memory.argument_size_in_bytes,
        result_bytes=memory.output_size_in_bytes,
        temp_bytes=memory.temp_size_in_bytes,
        trace_seconds=middle - begin,
        compile_seconds=seconds,
    )


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray | np.generic | jax.ShapeDtypeStruct)


def trace(program: Program) -> Counts:
    """Counts along a program, loops as often as they run."""
    return _computation(program, program.computations[program.entry])


def _computation(program: Program, computation: Computation) -> Counts:
    total = Counts()
    for instruction in computation.instructions.values():
        total = total.plus(_instruction(program, computation, instruction))
    return total


def _instruction(program: Program, computation: Computation, instruction: Instruction) -> Counts:
    instruction = computation.begun(instruction)
    opcode = instruction.opcode
    if opcode in FREE or opcode.endswith("-done"):
        return Counts()
    if opcode == "while":
        return _loop(program, instruction)
    if opcode == "conditional":
        branches = [_named(program, name) for name in instruction.called]
        return max(branches, key=lambda branch: (branch.launches, branch.bytes_read))
    if opcode in ("call", "async"):
        return _named(program, instruction.called[0])
    if opcode == "custom-call" and _target(instruction) in FREE_CALLS:
        return Counts()
    traffic = traffic_of(program, computation, instruction)
    moves = _moves(program, computation, instruction)
    return Counts(
        launches=1,
        bytes_read=traffic.read,
        bytes_read_high=traffic.read_whole,
        bytes_written=traffic.written,
        copies=int(moves is not None),
        transposes=int(moves == "transpose"),
    )


def _named(program: Program, name: str) -> Counts:
    return _computation(program, program.computations[name])


def _loop(program: Program, instruction: Instruction) -> Counts:
    body = _named(program, instruction.called_as("body"))
    if instruction.trips is not None:
        # The condition is not asked where the number is known.
        return Counts().plus(body, instruction.trips)
    condition = _named(program, instruction.called_as("condition"))
    return body.plus(condition).plus(Counts(unknown_loops=1))


def _target(instruction: Instruction) -> str:
    found = re.search(r'custom_call_target="([^"]*)"', instruction.attributes)
    return found.group(1) if found else ""


def _moves(program: Program, computation: Computation, instruction: Instruction) -> str | None:
    """`"copy"` or `"transpose"` where nothing is computed; None where something is."""
    if instruction.opcode == "fusion":
        computation = program.computations[instruction.called_as("calls")]
        inside = list(computation.instructions.values())
    else:
        inside = [instruction]
    if not all(i.opcode in MOVES for i in inside):
        return None
    orders = any(_orders(computation, i) for i in inside)
    return "transpose" if orders else "copy"


def _orders(computation: Computation, instruction: Instruction) -> bool:
    """Whether an instruction changes the order of items in memory."""
    if instruction.opcode == "transpose":
        return True
    if instruction.opcode != "copy":
        return False
    return _layout(instruction) != _layout(computation.operands(instruction)[0])


def _layout(instruction: Instruction) -> str:
    found = re.search(r"\{([\d,]*)", instruction.shape)
    return found.group(1) if found else ""
