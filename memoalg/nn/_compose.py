"""Layers made of layers: in series, side by side, around a skip."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, PyTree

from ..algebra import AbstractMonoid, DirectProduct
from ..scans import AbstractMethod, Auto
from ._layer import AbstractLayer, Carry
from ._memoroid import AbstractMemoroid


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
        _check_layers("Serial", layers)
        known, known_name = layers[0].out_size, _name(layers, 0)
        for index, layer in enumerate(layers[1:], 1):
            if None not in (known, layer.in_size) and known != layer.in_size:
                raise ValueError(
                    f"Serial: {known_name} gives out_size={known}, but {_name(layers, index)} takes "
                    f"in_size={layer.in_size}"
                )
            known, known_name = layer.out_size, _name(layers, index)
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


class Parallel(AbstractLayer):
    """Layers side by side on the same input, outputs concatenated on the last axis.

    Memoroids among them run as ONE trajectory of the direct product of their monoids. The carry is
    the tuple of the layers' carries, in their order.

    Arguments:
        layers: at least one; input sizes must agree where known.

    Raises:
        TypeError: where an operand is not a layer.
        ValueError: where input sizes differ; the message names both layers.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> keys = jax.random.split(jax.random.key(0))
        >>> lru, attention = ma.nn.LRU(3, 2, 8, key=keys[0]), ma.nn.LinearAttention(3, 4, 2, key=keys[1])
        >>> layer = ma.nn.Parallel(lru, attention)
        >>> layer(layer.init_carry(), jnp.ones((5, 3)), None)[1].shape
        (5, 6)
    """

    layers: tuple[AbstractLayer, ...]

    def __init__(self, *layers: AbstractLayer):
        _check_layers("Parallel", layers)
        for index, layer in enumerate(layers):
            if (
                None not in (layer.in_size, layers[0].in_size)
                and layer.in_size != layers[0].in_size
            ):
                raise ValueError(
                    f"Parallel: {_name(layers, 0)} takes in_size={layers[0].in_size}, but "
                    f"{_name(layers, index)} takes in_size={layer.in_size}"
                )
        self.layers = layers

    @property
    def in_size(self) -> int | None:
        return next((m.in_size for m in self.layers if m.in_size is not None), None)

    @property
    def out_size(self) -> int | None:
        sizes = [layer.out_size for layer in self.layers]
        return None if None in sizes else sum(size for size in sizes if size is not None)

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
        carries, outputs = list(carry), [None] * len(self.layers)
        joined = [i for i, layer in enumerate(self.layers) if isinstance(layer, AbstractMemoroid)]
        if joined:
            product = Joined(tuple(self.layers[i] for i in joined))  # pyright: ignore
            states, ys = product(tuple(carry[i] for i in joined), xs, start, method=method)
            for i, state, y in zip(joined, states, ys, strict=True):
                carries[i], outputs[i] = state, y
        for i, layer in enumerate(self.layers):
            if i not in joined:
                carries[i], outputs[i] = layer(carry[i], xs, start, method=method)
        return tuple(carries), jnp.concatenate(outputs, axis=-1)  # pyright: ignore

    def step(self, carry: Carry, x: PyTree, start: Bool[Array, ""] | None) -> tuple[Carry, Any]:
        pairs = zip(self.layers, carry, strict=True)
        steps = [layer.step(state, x, start) for layer, state in pairs]
        return tuple(state for state, _ in steps), jnp.concatenate([y for _, y in steps], axis=-1)


class Joined(AbstractMemoroid):
    """Several memoroids on one input as one: the direct product of their monoids; outputs a tuple."""

    members: tuple[AbstractMemoroid, ...]

    def __init__(self, members: tuple[AbstractMemoroid, ...]):
        self.members = members

    @property
    def in_size(self) -> int | None:
        return next((m.in_size for m in self.members if m.in_size is not None), None)

    @property
    def out_size(self) -> int | None:
        return None

    @property
    def monoid(self) -> AbstractMonoid:
        return DirectProduct(*(member.monoid for member in self.members))

    def encode(self, x: PyTree) -> PyTree:
        return tuple(member.encode(x) for member in self.members)

    def query(self, x: PyTree) -> PyTree | None:
        queries = tuple(member.query(x) for member in self.members)
        return None if all(query is None for query in queries) else queries

    def initial_state(self) -> PyTree:
        return tuple(member.initial_state() for member in self.members)

    def readout(self, read: PyTree, x: PyTree) -> tuple:
        pairs = zip(self.members, read, strict=True)
        return tuple(member.readout(part, x) for member, part in pairs)


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
        _check_layers("Residual", (layer,))
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


def _name(layers: tuple, index: int) -> str:
    return f"layer {index} ({type(layers[index]).__name__})"


def _check_layers(what: str, layers: tuple) -> None:
    if not layers:
        raise TypeError(f"{what} needs at least one layer")
    for layer in layers:
        if not isinstance(layer, AbstractLayer):
            hint = "; wrap a plain function in ma.nn.Pointwise" if callable(layer) else ""
            raise TypeError(f"{what} takes layers, got {type(layer).__name__}{hint}")
