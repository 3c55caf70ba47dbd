"""What a run will take in memory, from its compiled programs, before it begins."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
from jaxtyping import PyTree

from ._errors import FitArgumentError
from ._layout import Layout, available_devices

_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True)
class MemoryUse:
    """Bytes on one device while a program runs.

    Attributes:
        arguments: what it reads: the training state, mostly.
        temporaries: what it needs on the way: rollouts, activations, gradients.
        outputs: what it returns, without what takes the place of an argument.
    """

    arguments: int
    temporaries: int
    outputs: int

    @property
    def total(self) -> int:
        """Bytes in all."""
        return self.arguments + self.temporaries + self.outputs

    def __str__(self) -> str:
        return (
            f"state {size_text(self.arguments)} + temporaries {size_text(self.temporaries)} + "
            f"outputs {size_text(self.outputs)}"
        )


def memory_use(programs: Sequence[Any]) -> MemoryUse | None:
    """The most that one of several compiled programs takes; None where the compiler does not say.

    Args:
        programs: compiled, as `jax.jit(…).lower(…).compile()` returns them; they run one after
            another on the same state.
    """
    found = [program.memory_analysis() for program in programs]
    uses = [
        MemoryUse(
            arguments=int(a.argument_size_in_bytes),
            temporaries=int(a.temp_size_in_bytes),
            outputs=int(a.output_size_in_bytes - a.alias_size_in_bytes),
        )
        for a in found
        if a is not None
    ]
    return max(uses, key=lambda use: use.total) if uses else None


def state_use(shapes: PyTree[jax.ShapeDtypeStruct], layout: Layout) -> MemoryUse:
    """What a training state alone takes, known before anything is compiled.

    Args:
        shapes: of the state of all members.
        layout: over how many devices it is divided.
    """
    nbytes = sum(math.prod(s.shape) * s.dtype.itemsize for s in jax.tree.leaves(shapes))
    return MemoryUse(nbytes // max(1, len(layout.devices)), 0, 0)


def memory_limit() -> int | None:
    """Bytes that a program may take: of the accelerator, on a CPU of the machine; None if unknown.

    Within a container its limit counts.
    """
    device = available_devices()[0]
    if device.platform != "cpu":
        return (device.memory_stats() or {}).get("bytes_limit")
    try:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
    return min(machine, _container_limit() or machine)


def _container_limit() -> int | None:
    try:
        return int(_CGROUP_LIMIT.read_text())
    except (OSError, ValueError):  # no such file, or the word "max"
        return None


def check_memory(use: MemoryUse, layout: Layout) -> str:
    """Compares a need with the limit, before the run.

    Args:
        use: on one device.
        layout: how many members and devices there are.

    Returns:
        A line that says what will be taken.

    Raises:
        FitArgumentError: it does not fit; the message says what to lower.
    """
    limit = memory_limit()
    # Several CPU "devices" of one process live in the same memory.
    shared = len(layout.devices) if layout.devices and _on_cpu(layout) else 1
    need = use.total * shared
    where = f" on each of {len(layout.devices)} devices" if layout.devices else ""
    of = "" if limit is None else f" of {size_text(limit)}"
    line = f"memory: {use} = {size_text(use.total)}{of}{where}"
    if limit is None or need <= limit:
        return line
    advice = ["num_envs", "num_steps", "the network's width", "a replay's capacity"]
    if layout.members > 1:
        together = "" if layout.sequential else f" ({layout.members} members run side by side)"
        advice.insert(0, f"seeds or swept values{together}")
    raise FitArgumentError(f"{line}: that does not fit; lower {', '.join(advice)}")


def _on_cpu(layout: Layout) -> bool:
    return layout.devices[0].platform == "cpu"


def size_text(nbytes: int) -> str:
    """Bytes for people.

    >>> size_text(999), size_text(1_500_000), size_text(16_000_000_000)
    ('999 B', '1.5 MB', '16.0 GB')
    """
    size, unit = float(nbytes), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
