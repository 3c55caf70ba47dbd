"""Inputs of layers, drawn like the generators of monoids."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..nn import AbstractLayer
from ._draw import Source


def example_input(layer: AbstractLayer, in_size: int | None, given: Any) -> Any:
    """One step of input, for its shapes and dtypes."""
    if given is not None:
        return jax.tree.map(np.asarray, given)
    size = layer.in_size if in_size is None else in_size
    if size is None:
        raise ValueError(
            f"{type(layer).__name__} does not say how long an input vector is: give in_size=, or one "
            "step as input="
        )
    return np.zeros(size, np.dtype(jnp.zeros(()).dtype))


def draw_inputs(example: Any, source: Source) -> Any:
    """A sequence of `source.count` inputs: floating leaves are drawn, others repeat the example's."""

    def drawn(leaf: np.ndarray) -> np.ndarray:
        if jnp.issubdtype(leaf.dtype, jnp.inexact):
            return source.real(leaf.shape, leaf.dtype)
        return np.repeat(leaf[None], source.count, axis=0)

    return jax.tree.map(drawn, example)
