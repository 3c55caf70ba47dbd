"""CPU-seconds, compilation, and tables: what every benchmark here shares.

Times are of the process's own CPU clock, not of the wall, because benchmark machines are shared;
and they are only ever compared inside one run, because machines differ. Candidates take turns
(`interleaved`), so that a slow minute of the machine hits all of them.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
SINGLE_THREAD_FLAGS = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


class Compiled(NamedTuple):
    """An executable and what it took to get it.

    Attributes:
        call: the executable.
        trace_seconds: CPU-seconds of tracing and lowering.
        compile_seconds: CPU-seconds of XLA.
        temp_bytes: memory that XLA plans for intermediate values, without arguments and results.
    """

    call: Callable[..., Any]
    trace_seconds: float
    compile_seconds: float
    temp_bytes: int

    @property
    def build_seconds(self) -> float:
        return self.trace_seconds + self.compile_seconds


def single_thread_environment() -> dict[str, str]:
    """Environment variables for a subprocess whose XLA uses one CPU thread.

    The repository comes first on its path, so that what is measured is what lies here.
    """
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    own = {"XLA_FLAGS": SINGLE_THREAD_FLAGS, "JAX_PLATFORMS": "cpu", "PYTHONPATH": path}
    return {**os.environ, **own}


def pin_to_one_core() -> None:
    """Keep this process on one of its cores, where the system can do that."""
    if sys.platform == "linux":
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def compiled(jitted: Any, *arguments: Any) -> Compiled:
    """Trace and compile a jitted function for these arguments, timing both.

    What jax and the libraries remember of earlier traces stays; see `rebuilt` for repeats.
    """
    begin = time.process_time()
    lowered = jitted.lower(*arguments)
    middle = time.process_time()
    executable = lowered.compile()
    end = time.process_time()
    memory = executable.memory_analysis()
    return Compiled(executable, middle - begin, end - middle, int(memory.temp_size_in_bytes))


def rebuilt(jit: Callable[[], Any], *arguments: Any) -> Compiled:
    """As `compiled`, from a fresh `jit()` and with jax's caches empty."""
    import jax

    jax.clear_caches()
    return compiled(jit(), *arguments)


def cpu_seconds(work: Callable[[], Any]) -> float:
    """CPU-seconds of one call, waiting for its results."""
    import jax

    begin = time.process_time()
    jax.block_until_ready(work())
    return time.process_time() - begin


def settled_cpu_seconds(work: Callable[[], Any]) -> float:
    """CPU-seconds of one call that follows another call of the same work.

    XLA gives its temporary memory back after the results are ready, so in one process the first
    call after another candidate's would pay for that candidate.
    """
    cpu_seconds(work)
    return cpu_seconds(work)


def interleaved(
    measures: Mapping[str, Callable[[], float]], repeats: int
) -> dict[str, list[float]]:
    """Take each measure once per round, for `repeats` rounds."""
    samples: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(repeats):
        for name, measure in measures.items():
            samples[name].append(measure())
    return samples


def medians(samples: Mapping[str, Sequence[float]]) -> dict[str, float]:
    return {name: statistics.median(values) for name, values in samples.items()}


def spread(samples: Sequence[float]) -> float:
    """(largest - smallest) / median."""
    return (max(samples) - min(samples)) / statistics.median(samples)


def megabytes(count: float) -> str:
    return f"{count / 1e6:.1f}"


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table with padded columns."""
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    cells = [[c.ljust(w) for c, w in zip(line, widths, strict=True)] for line in lines]
    padded = ["| " + " | ".join(line) + " |" for line in cells]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([padded[0], rule, *padded[1:]])


def machine() -> str:
    """One line on what the figures were measured with; figures of other machines differ."""
    import jax
    import jax.numpy as jnp

    size = 1024
    matrix = jnp.ones((size, size))
    multiply = jax.jit(jnp.matmul)
    jax.block_until_ready(multiply(matrix, matrix))
    best = min(cpu_seconds(lambda: multiply(matrix, matrix)) for _ in range(10))
    rate = 2 * size**3 / best / 1e9
    return f"jax {jax.__version__}, one core, one XLA thread; {rate:.0f} GFLOP/s in a matmul"


def run_single_threaded(main: Callable[[], None]) -> None:
    """Run `main` in a process pinned to one core whose XLA has one thread.

    XLA reads its flags once, when jax is imported, so the script starts itself again with them.
    """
    if os.environ.get("XLA_FLAGS") != SINGLE_THREAD_FLAGS:
        command = [sys.executable, *sys.argv]
        raise SystemExit(subprocess.call(command, env=single_thread_environment()))
    pin_to_one_core()
    main()
