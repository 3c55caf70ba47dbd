"""`memoalg bench`."""

import dataclasses
import difflib
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import jax
import tyro

import memoalg as ma

from ..scans import Kernel
from ._bench_program import Batched, ForGPU, layer_program, monoid_program, random_arguments
from ._errors import UsageError, told_as_usage
from ._gpu_counts import Counts, count
from ._gpu_target import platforms_set_to, sharding_on
from ._gpu_times import Times, copy_bandwidth, time_calls
from ._parse import parse
from ._subject import find_subject
from ._table import table

Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff]


@dataclasses.dataclass(frozen=True)
class Subject:
    """What is measured.

    Attributes:
        memory: A model that `memoalg models` lists, or a layer or monoid, as `module:Name` or
            `path/to/file.py:Name`.
        args: Arguments of that constructor, as Python literals; a layer's `key` is given to it.
        method: How the scan is executed; `auto`: as the planner chooses for a GPU.
        chunk: Steps in a chunk, for `chunked`; None leaves it to the method.
        length: Time steps.
        batch: Sequences.
        width: Size of input, output and state of a model, and inputs of other layers that do not say.
        batch_axis: 0: batch before time; 1: behind it.
        forward: Only the forward pass.
        gradient: Only forward and backward together.
    """

    memory: str = "lru"
    args: tuple[str, ...] = ()
    method: Literal["auto", "sequential", "associative", "chunked", "kernel"] = "auto"
    chunk: int | None = None
    length: int = 1024
    batch: int = 64
    width: int = 128
    batch_axis: Literal[0, 1] = 0
    forward: Flag = False
    gradient: Flag = False

    def __post_init__(self) -> None:
        for name in ("length", "batch", "width"):
            size = getattr(self, name)
            if size < 1:
                raise ValueError(f"--{name} is at least 1, got {size}")


@dataclasses.dataclass(frozen=True)
class GpuCounts:
    """Count kernels and bytes of a memory in the program that is compiled for a GPU; none is needed.

    Read and written bytes are multiples of the ideal, in which every argument is read once and every
    result written once, and backward the same again. Low: every byte that a kernel needs once; high:
    whole operands. Copies are launches that compute nothing.

    Attributes:
        subject: What is counted.
        target: The GPU to compile for.
    """

    subject: Subject = dataclasses.field(default_factory=Subject)
    target: Literal["h100", "a100"] = "h100"


@dataclasses.dataclass(frozen=True)
class GpuTimes:
    """Time a memory on the GPU that is there, beside a copy of an array on it.

    Bandwidth is that of the ideal bytes, each argument and result once and backward the same again, as
    a share of a copy's: 1 where a memory takes no longer than it takes to copy as much.

    Attributes:
        subject: What is timed.
        samples: Measurements, of which the median is shown.
        seed: Of the numbers.
    """

    subject: Subject = dataclasses.field(default_factory=Subject)
    samples: int = 9
    seed: int = 0

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise ValueError(f"--samples is at least 1, got {self.samples}")


def run(argv: Sequence[str]) -> None:
    """Runs one entry."""
    if not argv or argv[0] in ("-h", "--help"):
        print(_usage())
        return
    name, *rest = argv
    if name not in ENTRIES:
        near = difflib.get_close_matches(name, ENTRIES, 1, 0.5)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(ENTRIES)}"
        raise UsageError(f"bench: unknown entry {name!r}; {hint}")
    ENTRIES[name][0](rest)


def gpu_counts(argv: Sequence[str]) -> None:
    """Prints what was counted."""
    options = parse(GpuCounts, argv, "bench gpu-counts")
    # The plugin is wanted as a compiler: without a driver jax would complain of it.
    asked = jax.config.jax_platforms  # pyright: ignore[reportAttributeAccessIssue]
    with platforms_set_to(asked or "cpu"):
        with told_as_usage():
            sharding_on(options.target)
            program = program_of(options.subject, "bench gpu-counts")
        rows = []
        for title, gradient in _passes(options.subject):
            function, shapes = program.gradient() if gradient else program.forward()
            found = count(function, *shapes, target=options.target)
            rows.append(_count_row(title, found, program.ideal(gradient=gradient)))
    print(f"{_title(options.subject)}, compiled for {options.target}")
    show(COUNT_TITLES, rows)


def gpu_times(argv: Sequence[str]) -> None:
    """Prints what was measured."""
    options = parse(GpuTimes, argv, "bench gpu-times")
    device = _gpu()
    with told_as_usage():
        program = program_of(options.subject, "bench gpu-times")
    before = copy_bandwidth(device)
    found = [
        (title, _times(program, gradient, options, device), program.ideal(gradient=gradient))
        for title, gradient in _passes(options.subject)
    ]
    copy = max(before, copy_bandwidth(device))
    print(f"{_title(options.subject)}, on {device.device_kind}; copy: {copy / 1e9:.0f} GB/s")
    show(TIME_TITLES, [_time_row(title, times, ideal, copy) for title, times, ideal in found])


ENTRIES: dict[str, tuple[Callable[[Sequence[str]], None], str]] = {
    "gpu-counts": (gpu_counts, "kernels and bytes on a GPU, counted in the compiled program"),
    "gpu-times": (gpu_times, "time and bandwidth on the GPU that is there"),
}


def _usage() -> str:
    lines = [f"  {name}  {text}" for name, (_, text) in ENTRIES.items()]
    last = "memoalg bench ENTRY --help lists its options"
    return "\n".join(["usage: memoalg bench ENTRY ...", "", *lines, "", last])


def _gpu() -> Any:
    try:
        return jax.devices("gpu")[0]
    except RuntimeError:
        raise UsageError(
            "bench gpu-times: there is no GPU that jax can use; memoalg bench gpu-counts needs none"
        ) from None


def program_of(subject: Subject, command: str) -> Batched:
    """The function that is measured.

    Args:
        subject: what the options say.
        command: which begins what mistakes are told.
    """
    method, sizes = method_of(subject), {"length": subject.length, "batch": subject.batch}
    if ":" in subject.memory:
        found = find_subject(command, subject.memory, subject.args)
    else:
        width = subject.width
        key = jax.random.key(0)
        found = ma.nn.make(subject.memory, in_size=width, out_size=width, width=width, key=key)
    if isinstance(found, ma.nn.AbstractLayer):
        axis, width = subject.batch_axis, subject.width
        return layer_program(found, method, **sizes, width=width, axis=axis)
    if isinstance(found, ma.AbstractMonoid):
        return monoid_program(found, method, **sizes, axis=subject.batch_axis)
    raise TypeError(
        f"{command}: {type(found).__name__} has no identity: write ma.WithIdentity(...)"
    )


def method_of(subject: Subject) -> ma.AbstractMethod:
    """The method that the options name."""
    methods = {
        "auto": ForGPU,
        "sequential": ma.Sequential,
        "associative": ma.Associative,
        "kernel": Kernel,
    }
    if subject.method != "chunked":
        return methods[subject.method]()
    return ma.Chunked() if subject.chunk is None else ma.Chunked(subject.chunk)


def _passes(subject: Subject) -> list[tuple[str, bool]]:
    """Titles, and whether the gradient is taken; both where none of them is asked for alone."""
    both = subject.forward == subject.gradient
    forward = [("forward", False)] if both or subject.forward else []
    return forward + ([("forward + backward", True)] if both or subject.gradient else [])


def _title(subject: Subject) -> str:
    arguments = f"({', '.join(subject.args)})" if subject.args else ""
    sizes = f"T={subject.length}, B={subject.batch}"
    width = "" if ":" in subject.memory else f", width {subject.width}"
    return f"{subject.memory}{arguments}, {subject.method}, {sizes}{width}"


COUNT_TITLES = ("pass", "launches", "copies", "read", "written", "low", "high", "temp", "build")


def _count_row(title: str, found: Counts, ideal: int) -> list[str]:
    # A loop whose length the data decides was counted once.
    least = "≥ " if found.unknown_loops else ""
    return [
        title,
        f"{least}{found.launches}",
        str(found.copies),
        f"{found.bytes_read / ideal:.2f}×",
        f"{found.bytes_written / ideal:.2f}×",
        f"{least}{found.ratio(ideal):.2f}×",
        f"{least}{found.ratio_high(ideal):.2f}×",
        f"{found.temp_bytes / 1e6:.1f} MB",
        f"{found.trace_seconds + found.compile_seconds:.1f} s",
    ]


TIME_TITLES = ("pass", "ms", "fastest", "slowest", "GB/s", "share of a copy's")


def _time_row(title: str, times: Times, ideal: int, copy: float) -> list[str]:
    bandwidth = ideal / times.seconds
    milliseconds = [1e3 * x for x in (times.seconds, times.fastest, times.slowest)]
    return [
        title,
        *(f"{x:.3f}" for x in milliseconds),
        f"{bandwidth / 1e9:.1f}",
        f"{bandwidth / copy:.3f}",
    ]


def _times(program: Batched, gradient: bool, options: GpuTimes, device: Any) -> Times:
    function, shapes = program.gradient() if gradient else program.forward()
    with jax.default_device(device):
        arguments = random_arguments(shapes, options.seed)
        compiled = jax.jit(function).lower(*arguments).compile()
        return time_calls(compiled, arguments, samples=options.samples)


def show(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table; to a file or a pipe goes plain text."""
    if not sys.stdout.isatty():
        print(table(titles, rows))
        return
    import rich
    from rich.table import Table

    drawn = Table(*titles)
    for row in rows:
        drawn.add_row(*row)
    rich.print(drawn)
