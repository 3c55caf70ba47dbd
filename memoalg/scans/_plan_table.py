"""What the planner knows: classes of monoids, and one table of methods with their costs.

The costs of a CPU are times measured by `benchmarks/scans.py` and `benchmarks/chunked.py`, expressed as
multiples of the bytes that a loop moves. Those of a GPU are launches and bytes counted in programs
compiled for an H100 (`benchmarks/gpu_counts.py`) at 1024 steps; they are not times.
"""

import enum
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from .._tree import nbytes
from ..algebra import AbstractMonoid, DirectProduct, Power
from ._associative import Associative
from ._chunked import Chunked
from ._diagonal import is_diagonal
from ._gather import Gather
from ._kernel import Kernel, is_known
from ._method import AbstractMethod
from ._outer_form import outer_form
from ._sequential import Sequential
from ._window_form import window_form

SPEEDS = {"cpu": (2e10, 0.0), "gpu": (3.3e12, 2e-6)}
"""Bytes per second, and seconds per launch (in a CUDA graph), of a core and of an H100."""

ASSUMED_BATCH = 64
"""Sequences side by side where that is not known: a method inside `jax.vmap` sees one."""

SEGMENT = 32
"""Steps between states that a loop stores, where it is told to compute the rest again."""


NARROW = 16
"""Numbers in a key or value below which a loop differentiates faster than chunks, on a CPU."""


WINDOWS_BLOCK = 128
"""Steps whose windows are formed together."""

HANDFUL = 8
"""Steps below which a window is carried rather than gathered."""


class Kind(enum.Enum):
    """Classes of monoids that differ in what runs them best."""

    RECURRENCE = "an elementwise affine or max-plus recurrence"
    DIAGONAL = "elementwise"
    OUTER = "an outer-product memory"
    WINDOW = "a window over the last few steps"
    WIDE = "elements larger than states"
    OTHER = "a general monoid"


class Problem(NamedTuple):
    """What is to be run where: the arguments of `plan`."""

    monoid: AbstractMonoid
    length: int
    platform: str
    batch: int
    capability: float | None
    gradient: bool
    reads: bool

    @property
    def on_cpu(self) -> bool:
        return self.platform == "cpu"

    @property
    def steps(self) -> int:
        return self.length * self.batch

    @property
    def element(self) -> int:
        return nbytes(self.monoid.element)

    @property
    def state(self) -> int:
        return nbytes(jax.eval_shape(self.monoid.initial_state))

    @property
    def ideal(self) -> int:
        """Bytes, each once: elements in and states out; back again with cotangents of both."""
        once = self.element + self.state
        return self.steps * (once + (2 * self.element + self.state if self.gradient else 0))


class Estimate(NamedTuple):
    """Bytes moved, kernels launched, and bytes of temporary memory."""

    bytes: int
    launches: int
    temp: int


class Row(NamedTuple):
    """A method for classes of monoids.

    Attributes:
        kinds: the classes.
        method: as it is run.
        obstacle: why it cannot run, or None.
        estimate: what it costs.
        remark: why one would choose it.
    """

    kinds: frozenset[Kind]
    method: Callable[[Problem], AbstractMethod]
    obstacle: Callable[[Problem], str | None]
    estimate: Callable[[Problem], Estimate]
    remark: str


def kind_of(monoid: Any) -> Kind:
    """The class of a monoid; of a product, one whose methods serve all factors."""
    if isinstance(monoid, DirectProduct):
        kinds = {kind_of(factor) for factor in monoid.factors}
        if len(kinds) == 1:
            return kinds.pop()
        if Kind.OUTER in kinds:
            return Kind.OUTER
        return Kind.DIAGONAL if kinds <= {Kind.RECURRENCE, Kind.DIAGONAL} else Kind.OTHER
    if isinstance(monoid, Power):
        return kind_of(monoid.monoid)
    if outer_form(monoid) is not None:
        return Kind.OUTER
    if window_form(monoid) is not None:
        return Kind.WINDOW
    if is_known(monoid):
        return Kind.RECURRENCE
    if is_diagonal(monoid):
        return Kind.DIAGONAL
    wide = nbytes(monoid.element) > 2.5 * nbytes(jax.eval_shape(monoid.initial_state))
    return Kind.WIDE if wide else Kind.OTHER


def _never(problem: Problem) -> str | None:
    return None


def _levels(problem: Problem) -> int:
    return max(1, math.ceil(math.log2(max(2, problem.length))))


# ---- the loop --------------------------------------------------------------------------------------


def _loop(problem: Problem) -> Estimate:
    # Three launches a step forward and four more backward; the carried state goes out and in again.
    launches = problem.length * (7 if problem.gradient else 3)
    traffic = 1.0 if problem.on_cpu else (2.6 if problem.gradient else 2.3)
    stored = problem.steps * problem.state if problem.gradient and problem.reads else 0
    return Estimate(int(problem.ideal * traffic), launches, stored)


def _loop_again(problem: Problem) -> Estimate:
    plain = _loop(problem)
    blocks = problem.batch * (problem.length // SEGMENT + SEGMENT)
    return Estimate(int(1.3 * plain.bytes), plain.launches * 10 // 7, blocks * problem.state)


def _needs_storing(problem: Problem) -> str | None:
    if problem.gradient and problem.reads:
        return None
    return "nothing is stored for a gradient: there is nothing to compute again"


# ---- the tree --------------------------------------------------------------------------------------


def _tree(problem: Problem) -> Estimate:
    per_level, traffic = (3.2, 2.2) if problem.gradient else (2.2, 3.0)
    temp = 2.2 if problem.gradient else 1.1
    return _of_tree(problem, per_level, 6.0 if problem.on_cpu else traffic, temp)


def _tree_by_autodiff(problem: Problem) -> Estimate:
    per_level, traffic = (4.6, 3.4) if problem.gradient else (2.2, 3.0)
    elements = problem.element / max(1, problem.state)
    temp = (6.0 if problem.gradient else 2.0) * elements
    return _of_tree(problem, per_level, 8.0 if problem.on_cpu else traffic, temp)


def _of_tree(problem: Problem, per_level: float, traffic: float, temp: float) -> Estimate:
    launches = math.ceil(per_level * _levels(problem))
    stored = int(temp * problem.steps * problem.state)
    return Estimate(int(traffic * problem.ideal), launches, stored)


# ---- chunks ----------------------------------------------------------------------------------------


def _outer_states(monoid: Any) -> list[tuple[list[jax.ShapeDtypeStruct], int]]:
    """(the leaves of one copy's state, the number of copies) of all outer-product factors."""
    if isinstance(monoid, DirectProduct):
        return [state for factor in monoid.factors for state in _outer_states(factor)]
    if isinstance(monoid, Power):
        # The axis of copies is no axis of keys: a vector of each copy is no matrix.
        return [(leaves, monoid.size * n) for leaves, n in _outer_states(monoid.monoid)]
    if outer_form(monoid) is None:
        return []
    return [(jax.tree.leaves(jax.eval_shape(monoid.initial_state)), 1)]


def _sizes(monoid: Any) -> tuple[int, int]:
    """(bytes of what a step writes and asks, bytes of matrices) of all outer-product factors."""
    leaves = [(leaf, copies) for state, copies in _outer_states(monoid) for leaf in state]
    whole = sum(nbytes(leaf) * copies for leaf, copies in leaves)
    vectors = sum(
        (nbytes(leaf) // min(leaf.shape[-2:]) * 2 if leaf.ndim >= 2 else nbytes(leaf)) * copies
        for leaf, copies in leaves
    )
    return 2 * vectors, whole


def _chunks(problem: Problem) -> Estimate:
    vectors, matrices = _sizes(problem.monoid)
    size = 32 if problem.on_cpu else 64
    ideal = problem.steps * (vectors + 2 * matrices // size) * (3 if problem.gradient else 1)
    chunks = math.ceil(problem.length / size)
    temp = chunks * problem.batch * matrices + problem.steps * vectors
    if problem.on_cpu:
        factor = 0.25 if problem.gradient else 2.0
        return Estimate(int(factor * problem.ideal), 1, temp)
    return Estimate(13 * ideal, (50 if problem.gradient else 20) * chunks, 2 * temp)


def _chunks_obstacle(problem: Problem) -> str | None:
    if not problem.reads:
        return "the states themselves are asked for: chunks never form them"
    leaves = [leaf for state, _ in _outer_states(problem.monoid) for leaf in state]
    narrowest = min(min(leaf.shape[-2:]) for leaf in leaves if leaf.ndim >= 2)
    if problem.on_cpu and narrowest < NARROW:
        return f"keys or values of fewer than {NARROW} numbers: products of matrices do not pay"
    return None


# ---- windows ---------------------------------------------------------------------------------------


def _windows(problem: Problem) -> Estimate:
    written = problem.steps * problem.state
    if not problem.reads:  # The windows are the result.
        traffic = 2.5 if problem.gradient else 0.7
        return Estimate(int(traffic * written), 12 if problem.gradient else 5, 0)
    blocks = math.ceil(problem.length / WINDOWS_BLOCK)
    temp = (3 if problem.gradient else 1) * written // blocks
    if problem.on_cpu:
        together = _all_together(problem.monoid)
        traffic = (1.5 if together else 5.5) if problem.gradient else (1.2 if together else 3.0)
        return Estimate(int(traffic * written), 1, temp)
    traffic, launches = (4, 30) if problem.gradient else (1, 10)
    return Estimate(traffic * written, launches * blocks, temp)


def _all_together(monoid: Any) -> bool:
    """Whether all windows of a monoid are read together, rather than one by one."""
    if isinstance(monoid, DirectProduct):
        return all(_all_together(factor) for factor in monoid.factors)
    if isinstance(monoid, Power):
        return _all_together(monoid.monoid)
    form = window_form(monoid)
    return form is not None and form.read is not None


def _windows_obstacle(problem: Problem) -> str | None:
    if problem.length < HANDFUL:
        return f"fewer than {HANDFUL} steps: a loop writes as little"
    return None


# ---- kernels ---------------------------------------------------------------------------------------


def _kernel(problem: Problem) -> Estimate:
    return Estimate(problem.ideal, 3 if problem.gradient else 2, 0)


def _kernel_obstacle(problem: Problem) -> str | None:
    if problem.platform != "cuda":
        return f"kernels are for NVIDIA GPUs, not {problem.platform}"
    if problem.capability is not None and problem.capability < 8.0:
        return f"compute capability {problem.capability} is below 8.0"
    return None


# ---- the table, in order of preference -------------------------------------------------------------

ELEMENTWISE = frozenset([Kind.RECURRENCE, Kind.DIAGONAL])
GENERAL = frozenset([Kind.WIDE, Kind.OTHER, Kind.WINDOW])

ROWS: tuple[Row, ...] = (
    Row(
        frozenset([Kind.RECURRENCE]),
        lambda problem: Kernel(),
        _kernel_obstacle,
        _kernel,
        "one kernel each way touches every byte once",
    ),
    Row(
        frozenset([Kind.OUTER]),
        lambda problem: Chunked(ahead=not problem.on_cpu),
        _chunks_obstacle,
        _chunks,
        "products of matrices, and no stack of states",
    ),
    Row(
        frozenset([Kind.WINDOW]),
        lambda problem: Gather(None if problem.on_cpu else WINDOWS_BLOCK),
        _windows_obstacle,
        _windows,
        "every step finds its window where it was written",
    ),
    Row(
        frozenset(Kind),
        lambda problem: Sequential(),
        _never,
        _loop,
        "one loop reads every element once",
    ),
    Row(
        ELEMENTWISE,
        lambda problem: Associative(),
        _never,
        _tree,
        "a tree has O(log T) launches, and one more tree for the gradient",
    ),
    Row(
        GENERAL | {Kind.OUTER},
        lambda problem: Associative(),
        _never,
        _tree_by_autodiff,
        "a tree has O(log T) launches",
    ),
    Row(
        frozenset([Kind.OUTER]) | GENERAL,
        lambda problem: Sequential(remat=SEGMENT),
        _needs_storing,
        _loop_again,
        "a loop that stores few of its states",
    ),
)
