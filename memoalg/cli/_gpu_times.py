"""Seconds of a compiled program, and bandwidth beside that of a copy, on the device that is there.

A call is only sent to the device, so calls are sent one after the other and waited for once: what is
measured is how long the device needs, unless the host is slower than it. Every sample lasts a few
hundredths of a second at least, after calls that are not measured. The copy runs before and after, in
the same process: only the ratio to it can be compared between machines.
"""

import dataclasses
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

COPIED = 512 * 2**20
"""Bytes of the array that is copied: ten times what fits into any cache."""


@dataclasses.dataclass(frozen=True)
class Times:
    """How long one call takes.

    Attributes:
        seconds: the median of the samples.
        fastest: of the samples.
        slowest: of the samples.
        calls: in a sample.
    """

    seconds: float
    fastest: float
    slowest: float
    calls: int


def time_calls(
    call: Callable[..., Any],
    arguments: Sequence[Any],
    *,
    samples: int = 9,
    least_seconds: float = 0.05,
) -> Times:
    """Measures a compiled function.

    Args:
        call: compiled for these arguments, which it must not donate.
        arguments: on the device.
        samples: how often to measure.
        least_seconds: of a sample; as many calls are sent as it takes.
    """
    for _ in range(2):  # the first call loads kernels and allocates
        jax.block_until_ready(call(*arguments))
    once = _sample(call, arguments, 1)
    calls = max(1, min(1000, round(least_seconds / max(once, 1e-9))))
    # A single call is longer than its share of many: the estimate is repeated with many.
    again = _sample(call, arguments, calls)
    calls = max(1, min(1000, round(least_seconds / max(again, 1e-9))))
    found = [_sample(call, arguments, calls) for _ in range(samples)]
    return Times(statistics.median(found), min(found), max(found), calls)


def _sample(call: Callable[..., Any], arguments: Sequence[Any], calls: int) -> float:
    """Seconds a call."""
    result = None
    begin = time.perf_counter()
    for _ in range(calls):
        result = call(*arguments)  # the result before is given back while the device still works
    jax.block_until_ready(result)
    return (time.perf_counter() - begin) / calls


def copy_bandwidth(
    device: Any, *, size: int = COPIED, samples: int = 9, least_seconds: float = 0.05
) -> float:
    """Bytes a second, read and written, of copying an array.

    Args:
        device: where.
        size: bytes of the array.
        samples: how often to measure.
        least_seconds: of a sample.
    """
    array = jax.device_put(jnp.zeros(size // 4, jnp.float32), device)
    copy = jax.jit(jnp.copy).lower(array).compile()
    times = time_calls(copy, [array], samples=samples, least_seconds=least_seconds)
    return 2 * size / times.seconds
