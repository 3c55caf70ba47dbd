"""The two programs that `fit` runs, compiled side by side while the first state is made."""

import time
import weakref
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Key

from ._layout import Layout, available_devices
from ._members import evaluate_members, run_chunk, split, state_shape
from ._memory import MemoryUse, memory_use, state_use
from ._population import Population
from ._state import Evaluation

# What was compiled before, for as long as jax keeps the trace: a second `fit` of the same algorithm
# (a longer run, another key) begins at once. jax's own cache does not reach ahead-of-time programs.
_COMPILED: weakref.WeakKeyDictionary[Any, dict[Any, Future[Any]]] = weakref.WeakKeyDictionary()


class Programs:
    """A chunk of updates and an evaluation, for one population in one layout.

    Only the compilation, which needs no Python, is left to threads; tracing stays in the caller's,
    since jax's settings (`jax.enable_x64(…)`, `jax.default_device(…)`) hold for a thread.

    Args:
        population: what is trained.
        layout: where.
        size: most updates in a chunk.
        episodes: per evaluation and member.
    """

    def __init__(self, population: Population, layout: Layout, size: int, episodes: int) -> None:
        self._begin = time.monotonic()
        arrays, static = split(population.algo)
        self._layout = layout
        self._arrays = layout.copy(arrays)
        self._values = layout.divide(population.stacked_values())
        keys = jax.eval_shape(population.keys, jax.random.key(0))
        state = layout.structs(state_shape(population, layout))
        count, healthy = jax.ShapeDtypeStruct((), jnp.int32), jax.ShapeDtypeStruct((), jnp.bool_)
        self._state_use = state_use(state, layout)
        own = (self._arrays, self._values)
        pool = ThreadPoolExecutor(2)
        chunk = run_chunk.trace(static, layout, size, *own, count, healthy, state)
        self._chunk = _compiled(chunk, pool)
        keys = layout.divided_struct(keys)
        evaluate = evaluate_members.trace(static, layout, episodes, True, *own, state, keys)
        self._evaluate = _compiled(evaluate, pool)
        pool.shutdown(wait=False)

    def wait(self) -> float:
        """Waits until both can run.

        Returns:
            Seconds since the beginning, for tracing, compiling, and what went on beside it.
        """
        self._chunk.result()
        self._evaluate.result()
        return time.monotonic() - self._begin

    def memory(self) -> MemoryUse:
        """What the larger of the two takes on one device; waits for both."""
        return memory_use([self._chunk.result(), self._evaluate.result()]) or self._state_use

    def chunk(
        self, count: int, healthy: Bool[Array, ""], state: Any
    ) -> tuple[Any, Any, Array, Bool[Array, ""]]:
        """Sends off `run_chunk`; its results are not there yet when this returns."""
        program = self._chunk.result()
        copied = self._layout.copy((jnp.asarray(count, jnp.int32), healthy))
        return program(self._arrays, self._values, *copied, state)

    def evaluate(self, state: Any, keys: Key[Array, " members"]) -> Evaluation:
        """Sends off `evaluate_members`, greedy."""
        program = self._evaluate.result()
        return program(self._arrays, self._values, state, self._layout.divide(keys))


def _compiled(traced: Any, pool: ThreadPoolExecutor) -> Future[Any]:
    """The program of a trace, compiled now or before."""
    known = _COMPILED.setdefault(traced.jaxpr, {})
    device = available_devices()[0]
    if device not in known or (known[device].done() and known[device].exception() is not None):
        known[device] = pool.submit(traced.lower().compile)
    return known[device]
