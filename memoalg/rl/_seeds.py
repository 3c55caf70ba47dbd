"""What `fit` asks of an algorithm, and the key of each seed."""

from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, UInt32

from ._state import Evaluation


@runtime_checkable
class Algorithm(Protocol):
    """What `fit` asks of an algorithm: three pure functions and a number."""

    @property
    def frames_per_update(self) -> int:
        """Environment steps of one seed in one update."""
        ...

    def init(self, key: Key[Array, ""]) -> Any:
        """The first training state."""
        ...

    def update(self, state: Any) -> tuple[Any, Any]:
        """One rollout and what is learned from it: the next state and scalar metrics."""
        ...

    def evaluate(
        self, state: Any, key: Key[Array, ""], episodes: int, *, greedy: bool = True
    ) -> Evaluation:
        """Complete episodes, one per lane."""
        ...


@runtime_checkable
class SweepableAlgorithm(Protocol):
    """What a sweep asks besides: a configuration whose numbers may be replaced by arrays."""

    @property
    def config(self) -> Any:
        """A dataclass of hyper-parameters."""
        ...

    def with_config(self, **changes: Any) -> Any:
        """The same algorithm with other hyper-parameters."""
        ...


def seed_keys(key: Key[Array, ""] | UInt32[Array, " 2"], seeds: int) -> Key[Array, " seeds"]:
    """The key of each seed: the given one for a single seed, else a split of it.

    Seed `i` of several is therefore the run `fit(algo, jax.random.split(key, seeds)[i], …)`.

    Args:
        key: a random key, typed or old.
        seeds: how many, at least 1.

    Returns:
        Typed keys, shape `(seeds,)`.

    >>> seed_keys(jax.random.key(0), 3).shape
    (3,)
    """
    if not jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        key = jax.random.wrap_key_data(key)
    return key[None] if seeds == 1 else jax.random.split(key, seeds)
