"""The GPU for which a program is being compiled."""

from typing import Any, NamedTuple


class Target(NamedTuple):
    """What a back end is chosen by."""

    capability: tuple[int, int]
    """The compute capability: (8, 0) for an A100, (9, 0) for an H100."""
    cores: int
    """Multiprocessors."""


def target_of(context: Any) -> Target | None:
    """The device that the program is lowered for; None where that is not known.

    JAX's lowering context names the client that will compile the program: of the devices at hand, or
    of a description of a device when it is compiled ahead of time. No default device is asked for.
    Exported programs have none.
    """
    client = context.module_context.backend
    if client is None or client.platform not in ("gpu", "cuda"):
        return None
    device = client.devices()[0]
    major, minor = device.compute_capability.split(".")
    return Target((int(major), int(minor)), device.core_count)
