"""Wrong ranks, lengths and flags, said with the layer's name and what to write instead."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from ..scans._check import check_start, sequence_length
from ._layer import AbstractLayer


def check_sequence(layer: AbstractLayer, xs: PyTree, start: Any) -> None:
    """Inputs of a call: a leading time axis everywhere, `(time, in_size)` where the size is known."""
    name = type(layer).__name__
    if layer.in_size is not None and isinstance(xs, jax.Array):
        _check_array(name, xs, 2, layer.in_size, "(time, in_size)")
    length = sequence_length(f"{name}: xs", xs)
    try:
        check_start(start, length)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: {error}") from None


def check_step(layer: AbstractLayer, x: PyTree, start: Any) -> None:
    """Inputs of a step: no time axis, a scalar bool flag."""
    name = type(layer).__name__
    if layer.in_size is not None and isinstance(x, jax.Array):
        _check_array(name, x, 1, layer.in_size, "(in_size,)")
    if start is None:
        return
    if jnp.result_type(start) != jnp.bool_:
        raise TypeError(
            f"{name}: start must be bool, got {jnp.result_type(start).name}: write start.astype(bool)"
        )
    if jnp.ndim(start) != 0:
        raise ValueError(
            f"{name}: start of one step is a scalar, got shape {jnp.shape(start)}: for a batch wrap "
            "the call in jax.vmap"
        )


def _check_array(name: str, x: jax.Array, ndim: int, size: int, wanted: str) -> None:
    if x.ndim > ndim:
        raise ValueError(
            f"{name}: expected {wanted} with in_size={size}, got shape {x.shape}, which has "
            f"{x.ndim - ndim} axis too many: for a batch wrap the call in jax.vmap"
            + ("; for a sequence call the layer instead of `step`" if ndim == 1 else "")
        )
    if x.ndim < ndim:
        raise ValueError(
            f"{name}: expected {wanted} with in_size={size}, got shape {x.shape}: "
            + ("use `step` for one step" if ndim == 2 else "one step is a vector")
        )
    if x.shape[-1] != size:
        raise ValueError(f"{name}: expected {wanted} with in_size={size}, got shape {x.shape}")


def layer_name(layers: tuple, index: int) -> str:
    """How a message names one of several layers."""
    return f"layer {index} ({type(layers[index]).__name__})"


def check_layers(what: str, layers: tuple) -> None:
    """What a layer of layers takes: at least one, and layers only."""
    if not layers:
        raise TypeError(f"{what} needs at least one layer")
    for layer in layers:
        if not isinstance(layer, AbstractLayer):
            hint = "; wrap a plain function in ma.nn.Pointwise" if callable(layer) else ""
            raise TypeError(f"{what} takes layers, got {type(layer).__name__}{hint}")


def check_sizes(name: str, **sizes: int) -> None:
    """Raises ValueError where a size is below 1; the message shows all of them."""
    if min(sizes.values()) < 1:
        given = ", ".join(f"{what}={size}" for what, size in sizes.items())
        raise ValueError(f"{name} needs sizes of at least 1, got {given}")
