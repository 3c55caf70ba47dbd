"""Layers made of layers: in series, and around a skip."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, PyTree

from ..scans import AbstractMethod, Auto
from ._check import check_layers, layer_name
from ._layer import AbstractLayer, Carry


class Serial(AbstractLayer):
    """Layers one after the other; the carry is the tuple of their carries.

    Arguments:
        layers: at least one; neighbouring sizes must fit where both are known.

    Raises:
        TypeError: where an operand is not a layer.
        ValueError: where sizes do not fit; the message names both layers.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.Serial(ma.nn.LRU(3, 4, 8, key=jax.random.key(0)), ma.nn.Pointwise(jnp.tanh))
        >>> layer.step(layer.init_carry(), jnp.ones(3), None)[1].shape
        (4,)
    """

    layers: tuple[AbstractLayer, ...]

    def __init__(self, *layers: AbstractLayer):
        check_layers("Serial", layers)
        known, known_name = layers[0].out_size, layer_name(layers, 0)
        for index, layer in enumerate(layers[1:], 1):
            if None not in (known, layer.in_size) and known != layer.in_size:
                raise ValueError(
                    f"Serial: {known_name} gives out_size={known}, but {layer_name(layers, index)} takes "
                    f"in_size={layer.in_size}"
                )
            known, known_name = layer.out_size, layer_name(layers, index)
        self.layers = layers

    @property
    def in_size(self) -> int | None:
        return self.layers[0].in_size

    @property
    def out_size(self) -> int | None:
        return self.layers[-1].out_size

    def init_carry(self) -> Carry:
        return tuple(layer.init_carry() for layer in self.layers)

    def __call__(
        self,
        carry: Carry,
        xs: PyTree,
        start: Bool[Array, " time"] | None,
        *,
        method: AbstractMethod = Auto(),
    ) -> tuple[Carry, Any]:
        carries = []
        for layer, state in zip(self.layers, carry, strict=True):
            state, xs = layer(state, xs, start, method=method)
            carries.append(state)
        return tuple(carries), xs

    def step(self, carry: Carry, x: PyTree, start: Bool[Array, ""] | None) -> tuple[Carry, Any]:
        carries = []
        for layer, state in zip(self.layers, carry, strict=True):
            state, x = layer.step(state, x, start)
            carries.append(state)
        return tuple(carries), x


class Residual(AbstractLayer):
    """A layer with a skip around it: `y = x + layer(x)`.

    Arguments:
        layer: its input and output sizes must be equal where known.

    Raises:
        ValueError: where they differ.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.Residual(ma.nn.Pointwise(jnp.negative))
        >>> print(layer.step(layer.init_carry(), jnp.ones(2), None)[1])
        [0. 0.]
    """

    layer: AbstractLayer

    def __init__(self, layer: AbstractLayer):
        check_layers("Residual", (layer,))
        sizes = (layer.in_size, layer.out_size)
        if None not in sizes and sizes[0] != sizes[1]:
            raise ValueError(
                f"Residual: {type(layer).__name__} has in_size={sizes[0]} but "
                f"out_size={sizes[1]}: a skip adds input and output"
            )
        self.layer = layer

    @property
    def in_size(self) -> int | None:
        return self.layer.in_size

    @property
    def out_size(self) -> int | None:
        return self.layer.out_size

    def init_carry(self) -> Carry:
        return self.layer.init_carry()

    def __call__(
        self,
        carry: Carry,
        xs: PyTree,
        start: Bool[Array, " time"] | None,
        *,
        method: AbstractMethod = Auto(),
    ) -> tuple[Carry, Any]:
        carry, ys = self.layer(carry, xs, start, method=method)
        return carry, _add(xs, ys)

    def step(self, carry: Carry, x: PyTree, start: Bool[Array, ""] | None) -> tuple[Carry, Any]:
        carry, y = self.layer.step(carry, x, start)
        return carry, _add(x, y)


def _add(x: PyTree, y: PyTree) -> PyTree:
    return jax.tree.map(jnp.add, x, y)
