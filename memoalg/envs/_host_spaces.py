"""gymnasium's spaces as ours, and values from the one to the other: numpy on both sides."""

from typing import Any

import numpy as np
from jaxtyping import PyTree

from .spaces import AbstractSpace, Box, Dict, Discrete, MultiDiscrete, Tuple

NARROW = {"int64": "int32", "uint64": "uint32"}


def from_gymnasium_space(space: Any) -> AbstractSpace:
    """One of gymnasium's spaces as ours.

    Indices count from 0 whatever the space's `start`; MultiDiscrete of any shape and MultiBinary are
    vectors of indices; floats have the default float dtype, and 64-bit integers become 32-bit ones.

    Raises:
        TypeError: it is none of Discrete, MultiDiscrete, MultiBinary, Box, Tuple, Dict.
    """
    from gymnasium import spaces

    if isinstance(space, spaces.Discrete):
        return Discrete(int(space.n))
    if isinstance(space, spaces.MultiDiscrete):
        return MultiDiscrete(tuple(int(n) for n in space.nvec.reshape(-1)))
    if isinstance(space, spaces.MultiBinary):
        return MultiDiscrete((2,) * int(np.prod(space.shape)))
    if isinstance(space, spaces.Box):
        return _box(space)
    if isinstance(space, spaces.Tuple):
        return Tuple(tuple(from_gymnasium_space(child) for child in space.spaces))
    if isinstance(space, spaces.Dict):
        return Dict({name: from_gymnasium_space(child) for name, child in space.spaces.items()})
    raise TypeError(
        f"gymnasium's space {space!r} is none of Discrete, MultiDiscrete, MultiBinary, Box, Tuple, "
        f"Dict; wrap the environment in a gymnasium wrapper that changes it"
    )


def _box(space: Any) -> Box:
    if np.issubdtype(space.dtype, np.floating):
        return Box(space.low, space.high, space.shape)
    dtype = np.dtype(NARROW.get(space.dtype.name, space.dtype.name))
    limits = np.iinfo(dtype.name)
    low, high = (np.clip(bound, limits.min, limits.max) for bound in (space.low, space.high))
    return Box(low, high, space.shape, dtype)


def to_ours(space: Any, ours: AbstractSpace, values: list[Any]) -> PyTree[np.ndarray]:
    """Values of gymnasium's space as a batch of `ours`: each leaf with a new first axis.

    Raises:
        ValueError: a value has another shape than the space says.
    """
    if isinstance(ours, Tuple):
        children = enumerate(zip(space.spaces, ours.spaces, strict=True))
        return tuple(to_ours(s, our, [v[i] for v in values]) for i, (s, our) in children)
    if isinstance(ours, Dict):
        return {
            name: to_ours(space.spaces[name], our, [v[name] for v in values])
            for name, our in ours.entries
        }
    assert isinstance(ours, Discrete | MultiDiscrete | Box)
    batch = np.asarray(values)
    if batch.shape != (len(values), *space.shape):
        raise ValueError(f"the space {space!r} has shape {space.shape}, got {batch.shape[1:]}")
    if not isinstance(ours, Box):
        batch = (batch - _start(space)).reshape((len(values), *ours.shape))
    return batch.astype(ours.dtype)


def to_theirs(space: Any, ours: AbstractSpace, batch: PyTree[np.ndarray]) -> list[Any]:
    """The values of a batch of `ours` as values of gymnasium's space."""
    if isinstance(ours, Tuple):
        children = zip(space.spaces, ours.spaces, batch, strict=True)
        return list(zip(*(to_theirs(s, our, part) for s, our, part in children), strict=True))
    if isinstance(ours, Dict):
        parts = {
            name: to_theirs(space.spaces[name], our, batch[name]) for name, our in ours.entries
        }
        return [dict(zip(parts, value, strict=True)) for value in zip(*parts.values(), strict=True)]
    # Copies: an environment may keep an action, or write into it.
    values = np.array(batch, space.dtype).reshape((len(batch), *space.shape))
    return list(values if isinstance(ours, Box) else values + _start(space))


def _start(space: Any) -> Any:
    """What the first index is called."""
    from gymnasium import spaces

    # An array of the space's dtype: what is added to it keeps it.
    return np.zeros((), space.dtype) if isinstance(space, spaces.MultiBinary) else space.start
