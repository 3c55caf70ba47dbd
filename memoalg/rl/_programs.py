"""The two programs that `fit` runs, compiled side by side while the first state is made."""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Key

from ._seeds import Algorithm, evaluate_seeds, run_chunk, split, state_shape
from ._state import Evaluation


class Programs:
    """A chunk of updates and an evaluation, for one algorithm and one number of seeds.

    Only the compilation, which needs no Python, is left to threads; tracing stays in the caller's,
    since jax's settings (`jax.enable_x64(…)`, `jax.default_device(…)`) hold for a thread.

    Args:
        algorithm: what is trained.
        keys: one per seed.
        size: most updates in a chunk.
        episodes: per evaluation and seed.
    """

    def __init__(
        self, algorithm: Algorithm, keys: Key[Array, " seeds"], size: int, episodes: int
    ) -> None:
        self._begin = time.monotonic()
        self._arrays, static = split(algorithm)
        state, seeds = state_shape(algorithm, keys), len(keys)
        count, healthy = jax.ShapeDtypeStruct((), jnp.int32), jax.ShapeDtypeStruct((), jnp.bool_)
        with_arrays = (self._arrays, count, healthy, state)
        pool = ThreadPoolExecutor(2)
        chunk = run_chunk.lower(static, seeds, size, *with_arrays)
        self._chunk: Future[Any] = pool.submit(chunk.compile)
        evaluate = evaluate_seeds.lower(static, seeds, episodes, True, self._arrays, state, keys)
        self._evaluate: Future[Any] = pool.submit(evaluate.compile)
        pool.shutdown(wait=False)

    def wait(self) -> float:
        """Waits until a chunk can run.

        Returns:
            Seconds since the beginning, for tracing, compiling, and what went on beside it.
        """
        self._chunk.result()
        return time.monotonic() - self._begin

    def chunk(
        self, count: int, healthy: Bool[Array, ""], state: Any
    ) -> tuple[Any, Any, Array, Bool[Array, ""]]:
        """Sends off `run_chunk`; its results are not there yet when this returns."""
        program = self._chunk.result()
        return program(self._arrays, jnp.asarray(count, jnp.int32), healthy, state)

    def evaluate(self, state: Any, keys: Key[Array, " seeds"]) -> Evaluation:
        """Sends off `evaluate_seeds`, greedy."""
        return self._evaluate.result()(self._arrays, state, keys)
