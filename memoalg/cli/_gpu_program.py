"""The text of a compiled program, as instructions and computations."""

import dataclasses
import functools
import math
import re

_ITEM_BITS = {"pred": 8, "token": 0, "opaque": 0}
_ARRAY = re.compile(r"\b([a-z][a-z0-9]*)\[([\d,<=]*)\]")
_INSTRUCTION = re.compile(r"^\s+(ROOT )?%?([\w.\-]+) = ")
_OPCODE = re.compile(r" ?([\w\-]+)\(")
_HEADER = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*-> .*\{$")
_NAME = re.compile(r"%([\w.\-]+)")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
_CALLED = re.compile(
    r"\b(?:calls|to_apply|body|condition|true_computation|false_computation"
    r"|branch_computations|called_computations)=(\{[^}]*\}|%[\w.\-]+)"
)


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One instruction.

    Attributes:
        name: without the leading `%`.
        opcode: such as `fusion`.
        shape: of the result, as written: `f32[8,128]{1,0}`, or a tuple of such.
        argument: what stands between the parentheses.
        attributes: what follows them.
    """

    name: str
    opcode: str
    shape: str
    argument: str
    attributes: str

    @functools.cached_property
    def operands(self) -> tuple[str, ...]:
        """Names of the instructions whose results it takes."""
        if self.opcode in ("parameter", "constant"):
            return ()
        return tuple(_NAME.findall(self.argument))

    @functools.cached_property
    def called(self) -> tuple[str, ...]:
        """Names of the computations that it runs, in the order written."""
        groups = _CALLED.findall(self.attributes)
        return tuple(name for group in groups for name in _NAME.findall(group))

    @functools.cached_property
    def size(self) -> int:
        """Bytes of the result, of all its parts."""
        return sum(math.ceil(n * _bits(kind) / 8) for kind, n in arrays_of(self.shape))

    @functools.cached_property
    def items(self) -> int:
        """Numbers in the result, of all its parts."""
        return sum(n for _, n in arrays_of(self.shape))

    @property
    def trips(self) -> int | None:
        """How often a loop runs; None where the compiler does not know."""
        found = _TRIPS.search(self.attributes)
        return None if found is None else int(found.group(1))

    def called_as(self, role: str) -> str:
        """The name of the computation in one role: `body`, `condition`, `calls`."""
        found = re.search(rf"\b{role}=%([\w.\-]+)", self.attributes)
        if found is None:
            raise ValueError(f"{self.opcode} {self.name} has no {role}: {self.attributes[:200]}")
        return found.group(1)


@dataclasses.dataclass(frozen=True)
class Computation:
    """Instructions, operands before those that take them; the last result is that of `root`."""

    instructions: dict[str, Instruction]
    root: str

    @functools.cached_property
    def parameters(self) -> list[Instruction]:
        """In the order of their numbers."""
        found = [i for i in self.instructions.values() if i.opcode == "parameter"]
        return sorted(found, key=lambda i: int(i.argument))

    @functools.cached_property
    def users(self) -> dict[str, list[Instruction]]:
        """The instructions that take each result."""
        table: dict[str, list[Instruction]] = {name: [] for name in self.instructions}
        for instruction in self.instructions.values():
            for operand in dict.fromkeys(instruction.operands):
                table[operand].append(instruction)
        return table

    def operands(self, instruction: Instruction) -> list[Instruction]:
        """The instructions whose results one takes."""
        return [self.instructions[name] for name in instruction.operands]

    def begun(self, instruction: Instruction) -> Instruction:
        """The instruction of which only the beginning is written: `fusion` for `fusion-start`.

        The result of a beginning holds operands and scratch too; that of its end is the result.
        """
        if not instruction.opcode.endswith("-start"):
            return instruction
        ends = [i for i in self.users[instruction.name] if i.opcode.endswith("-done")]
        shape = ends[0].shape if ends else instruction.shape
        opcode = instruction.opcode.removesuffix("-start")
        return dataclasses.replace(instruction, opcode=opcode, shape=shape)


@dataclasses.dataclass(frozen=True)
class Program:
    """A compiled program: computations by name, and the one that is run."""

    computations: dict[str, Computation]
    entry: str


def parse_program(text: str) -> Program:
    """Reads what `compiled.as_text()` returns.

    Args:
        text: of a scheduled HLO module, with `%` before names, as XLA prints it.

    Raises:
        ValueError: there is no entry computation in it.
    """
    computations, entry = {}, None
    name, instructions, root = "", {}, ""
    for line in text.splitlines():
        if header := _HEADER.match(line):
            name, instructions, root = header.group(2), {}, ""
            entry = name if header.group(1) else entry
        elif line.startswith("}") and instructions:
            computations[name] = Computation(instructions, root or next(reversed(instructions)))
            instructions = {}
        elif found := _INSTRUCTION.match(line):
            instructions[found.group(2)] = _instruction(found.group(2), line[found.end() :])
            root = found.group(2) if found.group(1) else root
    if entry is None:
        raise ValueError(f"this is no compiled program: it has no ENTRY ({text[:60]!r} ...)")
    return Program(computations, entry)


def _instruction(name: str, rest: str) -> Instruction:
    end = _closing(rest) if rest.startswith("(") else rest.index(" ")
    shape, rest = rest[:end], rest[end:]
    opcode = _OPCODE.match(rest)
    if opcode is None:
        raise ValueError(f"instruction {name} has no opcode: {rest[:60]!r}")
    start = opcode.end() - 1
    end = _closing(rest[start:]) + start
    return Instruction(name, opcode.group(1), shape, rest[start + 1 : end - 1], rest[end:])


def _closing(text: str) -> int:
    """The place behind the parenthesis that closes the first one."""
    depth = 0
    for place, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return place + 1
    raise ValueError(f"unbalanced parentheses: {text[:60]!r}")


def arrays_of(shape: str) -> list[tuple[str, int]]:
    """Kind and number of items of each array in a shape.

    >>> arrays_of("(f32[8,128]{1,0}, s32[])")
    [('f32', 1024), ('s32', 1)]
    """
    found = _ARRAY.findall(shape.replace("<=", ""))
    return [(kind, math.prod(int(n) for n in sizes.split(",") if n)) for kind, sizes in found]


def _bits(kind: str) -> int:
    if kind in _ITEM_BITS:
        return _ITEM_BITS[kind]
    width = re.match(r"[a-z]+(\d+)", kind)
    if width is None:
        raise ValueError(f"unknown type {kind!r} in a compiled program")
    return int(width.group(1))
