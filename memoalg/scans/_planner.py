"""Which method to use where: a pure function, its reason, and what it rejected."""

import math
from typing import NamedTuple

from ..algebra import AbstractMonoid
from ._method import AbstractMethod
from ._plan_table import ASSUMED_BATCH, ROWS, SPEEDS, Estimate, Problem, Row, kind_of


class Candidate(NamedTuple):
    """A method that was considered.

    Attributes:
        method: as it would be run.
        estimate: bytes moved, kernels launched, bytes of temporary memory; None where it cannot run.
        seconds: what these cost on the platform, roughly; infinite where it cannot run.
        remark: why it is good here, or why it cannot run.

    Example:
        >>> import memoalg as ma
        >>> chosen = ma.plan(ma.Affine(8), length=1024, platform="cuda")
        >>> for candidate in chosen.rejected:
        ...     print(candidate.method, candidate.estimate.launches)
        Associative() 32
        Sequential() 7168
    """

    method: AbstractMethod
    estimate: Estimate | None
    seconds: float
    remark: str


class Plan(NamedTuple):
    """A method and why it was chosen.

    Attributes:
        method: the cheapest candidate.
        reason: in a sentence.
        chosen: the same as a candidate, with its estimate.
        rejected: the other candidates, the cheapest first.

    Example:
        >>> import memoalg as ma
        >>> ma.plan(ma.Affine(8), length=1024, platform="cpu").method
        Sequential()
    """

    method: AbstractMethod
    reason: str
    chosen: Candidate
    rejected: tuple[Candidate, ...]


def plan(
    monoid: AbstractMonoid,
    *,
    length: int,
    platform: str,
    batch: int | None = None,
    capability: float | None = None,
    gradient: bool = True,
    reads: bool = False,
    memory: int | None = None,
) -> Plan:
    """Choose a method: a pure function, so that the choice can be looked at before anything runs.

    A monoid belongs to a class (elementwise recurrence, outer-product memory, …); one table has a row
    for each class and method, with what it costs. Candidates that cannot run here, or need more than
    `memory`, are dropped; of the rest the one with the least bytes / bandwidth + launches x latency is
    taken. The costs of a CPU are measured (`benchmarks/scans.py`, `benchmarks/chunked.py`); those of a
    GPU are counted in compiled programs (`memoalg bench gpu-counts`), not timed.

    Arguments:
        monoid: the algebra, as it is run. Give `ma.simplify(m).monoid` to see what that would gain.
        length: the number of steps.
        platform: as JAX names it: `"cpu"`, `"cuda"`, `"rocm"`, `"tpu"`.
        batch: sequences that run side by side; None where it is not known, as under `jax.vmap`: 64.
        capability: of an NVIDIA GPU, such as 8.0 or 9.0; None where it is not known.
        gradient: whether the trajectory is differentiated.
        reads: whether states are read by queries, rather than returned.
        memory: bytes of temporary memory that there are; None for as many as needed.

    Returns:
        The [`memoalg.Plan`][].

    Raises:
        ValueError: where no method fits into `memory`, or a number is negative.

    Example:
        >>> import memoalg as ma
        >>> print(ma.plan(ma.Moments(), length=1024, platform="cuda").method)
        Associative()
    """
    batch = ASSUMED_BATCH if batch is None else batch
    if length < 0 or batch < 1:
        raise ValueError(f"plan: length is 0 or more and batch 1 or more, got {length} and {batch}")
    problem = Problem(monoid, length, platform, batch, capability, gradient, reads)
    kind = kind_of(monoid)
    rows = [row for row in ROWS if kind in row.kinds]
    candidates = [_candidate(row, problem, memory) for row in rows]
    # The table is in order of preference: the first of equals is taken.
    best, *others = sorted(candidates, key=lambda candidate: candidate.seconds)
    if math.isinf(best.seconds):
        needs = min(c.estimate.temp for c in candidates if c.estimate is not None)
        raise ValueError(f"plan: every method needs more than {memory} bytes; the least is {needs}")
    reason = f"{kind.value}: {best.remark}"
    return Plan(best.method, reason, best, tuple(others))


def _candidate(row: Row, problem: Problem, memory: int | None) -> Candidate:
    method = row.method(problem)
    obstacle = row.obstacle(problem)
    if obstacle is not None:
        return Candidate(method, None, math.inf, obstacle)
    estimate = row.estimate(problem)
    if memory is not None and estimate.temp > memory:
        remark = f"needs {estimate.temp} bytes of temporary memory, there are {memory}"
        return Candidate(method, estimate, math.inf, remark)
    bandwidth, latency = SPEEDS["cpu" if problem.platform == "cpu" else "gpu"]
    seconds = estimate.bytes / bandwidth + estimate.launches * latency
    return Candidate(method, estimate, seconds, row.remark)
