"""gymnax's spaces as ours and ours as gymnax's, with the values that are written differently."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from .spaces import AbstractSpace, Box, Dict, Discrete, MultiDiscrete, Tuple


def from_gymnax_space(space: Any) -> AbstractSpace:
    """One of gymnax's spaces as ours.

    Raises:
        TypeError: it is none of Discrete, Box, Tuple, Dict.
    """
    from gymnax.environments import spaces

    if isinstance(space, spaces.Discrete):
        return Discrete(int(space.n))
    if isinstance(space, spaces.Box):
        return Box(space.low, space.high, space.shape)
    if isinstance(space, spaces.Tuple):
        return Tuple(tuple(from_gymnax_space(child) for child in space.spaces))
    if isinstance(space, spaces.Dict):
        return Dict({name: from_gymnax_space(child) for name, child in space.spaces.items()})
    raise TypeError(f"gymnax's space {space!r} is none of Discrete, Box, Tuple, Dict")


def to_gymnax_space(space: AbstractSpace) -> Any:
    """One of our spaces as gymnax's; a MultiDiscrete, which gymnax lacks, is a Tuple of Discrete."""
    from gymnax.environments import spaces

    if isinstance(space, Discrete):
        return spaces.Discrete(space.n)
    if isinstance(space, MultiDiscrete):
        return spaces.Tuple(tuple(spaces.Discrete(n) for n in space.nvec))
    if isinstance(space, Tuple):
        return spaces.Tuple(tuple(to_gymnax_space(child) for child in space.spaces))
    if isinstance(space, Dict):
        return spaces.Dict({name: to_gymnax_space(child) for name, child in space.entries})
    if isinstance(space, Box):
        low, high = np.asarray(space.low, space.dtype), np.asarray(space.high, space.dtype)
        # gymnax annotates its bounds as jax arrays; numpy's keep them out of any trace.
        bounds: Any = (low, high)
        return spaces.Box(bounds[0], bounds[1], space.shape, jnp.dtype(space.dtype))
    raise TypeError(f"gymnax has nothing like {space!r}: none of Discrete, Box, Tuple, Dict")


def conform(space: AbstractSpace, observation: PyTree) -> PyTree[Array]:
    """Cast to the space's dtypes: some of gymnax's environments declare others than they return."""
    if isinstance(space, Tuple):
        return tuple(conform(s, x) for s, x in zip(space.spaces, observation, strict=True))
    if isinstance(space, Dict):
        return {name: conform(child, observation[name]) for name, child in space.entries}
    assert isinstance(space, Discrete | Box)
    return jax.lax.convert_element_type(jnp.asarray(observation), space.dtype)


def to_gymnax_value(space: AbstractSpace, value: PyTree[Array]) -> PyTree[Array]:
    """An element of our space as one of `to_gymnax_space(space)`: vectors of indices as tuples."""
    if isinstance(space, MultiDiscrete):
        return tuple(value[i] for i in range(len(space.nvec)))
    if isinstance(space, Tuple):
        return tuple(to_gymnax_value(s, x) for s, x in zip(space.spaces, value, strict=True))
    if isinstance(space, Dict):
        return {name: to_gymnax_value(child, value[name]) for name, child in space.entries}
    return value


def from_gymnax_value(space: AbstractSpace, value: PyTree) -> PyTree[Array]:
    """The other way round, in our dtypes; a vector of indices may also come as one."""
    if isinstance(space, MultiDiscrete):
        parts = jnp.stack(value) if isinstance(value, tuple | list) else jnp.asarray(value)
        return parts.astype(space.dtype)
    if isinstance(space, Tuple):
        return tuple(from_gymnax_value(s, x) for s, x in zip(space.spaces, value, strict=True))
    if isinstance(space, Dict):
        return {name: from_gymnax_value(child, value[name]) for name, child in space.entries}
    return jnp.asarray(value)
