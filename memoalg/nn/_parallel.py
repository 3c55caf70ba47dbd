"""Layers side by side on one input."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, PyTree

from ..algebra import AbstractMonoid, DirectProduct
from ..scans import AbstractMethod, Auto
from ._check import check_layers, check_sequence, layer_name
from ._compose import Serial
from ._feed_forward import Pointwise
from ._layer import AbstractLayer, Carry
from ._memoroid import AbstractMemoroid


class Fork(AbstractLayer):
    """Layers side by side on the same input; the output is the tuple of theirs.

    Memoroids among them run as ONE trajectory of the direct product of their monoids. The carry is
    the tuple of the layers' carries, in their order. A [`memoalg.nn.Pointwise`][] after it brings the
    outputs together, with one of the inputs too where `Pointwise` is among the layers.

    Arguments:
        layers: at least one; input sizes must agree where known.

    Raises:
        TypeError: where an operand is not a layer.
        ValueError: where input sizes differ; the message names both layers.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> both = ma.nn.Fork(ma.nn.LRU(3, 2, 8, key=jax.random.key(0)), ma.nn.Pointwise(jnp.tanh))
        >>> memory, through = both(both.init_carry(), jnp.ones((5, 3)), None)[1]
        >>> memory.shape, through.shape
        ((5, 2), (5, 3))
    """

    layers: tuple[AbstractLayer, ...]

    def __init__(self, *layers: AbstractLayer):
        _check_inputs("Fork", layers)
        self.layers = layers

    @property
    def in_size(self) -> int | None:
        return _common_size(self.layers)

    @property
    def out_size(self) -> int | None:
        return None

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
        check_sequence(self, xs, start)
        return _call_each(self.layers, carry, xs, start, method)

    def step(self, carry: Carry, x: PyTree, start: Bool[Array, ""] | None) -> tuple[Carry, Any]:
        return _step_each(self.layers, carry, x, start)


class Parallel(AbstractLayer):
    """Layers side by side on the same input, outputs concatenated on the last axis.

    As [`memoalg.nn.Fork`][], which see, but for the output.

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
        _check_inputs("Parallel", layers)
        self.layers = layers

    @property
    def in_size(self) -> int | None:
        return _common_size(self.layers)

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
        check_sequence(self, xs, start)
        carry, outputs = _call_each(self.layers, carry, xs, start, method)
        return carry, jnp.concatenate(outputs, axis=-1)

    def step(self, carry: Carry, x: PyTree, start: Bool[Array, ""] | None) -> tuple[Carry, Any]:
        carry, outputs = _step_each(self.layers, carry, x, start)
        return carry, jnp.concatenate(outputs, axis=-1)


def Gated(layer: AbstractLayer, gate: Callable[[Any], Any]) -> Serial:
    r"""A layer whose output is multiplied by a function of its input: $y = \mathrm{layer}(x) \odot g(x)$.

    Arguments:
        layer: the memory.
        gate: g, of one step: a module (which trains) or a plain function.

    Raises:
        TypeError: where `layer` is not a layer.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.Gated(ma.nn.Pointwise(jnp.exp), jax.nn.relu)
        >>> print(layer.step(layer.init_carry(), jnp.array([0.0, -1.0]), None)[1])
        [0. 0.]
    """
    check_layers("Gated", (layer,))
    size = layer.in_size
    return Serial(Fork(layer, Pointwise(gate, size)), Pointwise(_multiplied, None, layer.out_size))


def _multiplied(pair: tuple[Array, Array]) -> Array:
    return pair[0] * pair[1]


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


def _call_each(
    layers: tuple[AbstractLayer, ...],
    carry: Carry,
    xs: PyTree,
    start: Bool[Array, " time"] | None,
    method: AbstractMethod,
) -> tuple[Carry, tuple]:
    """Each layer's carry and outputs; the memoroids among them in one trajectory."""
    joined = [i for i, layer in enumerate(layers) if isinstance(layer, AbstractMemoroid)]
    found: dict[int, tuple[Carry, Any]] = {}
    # One alone needs no product, and its methods know its own initial state.
    if len(joined) > 1:
        product = Joined(tuple(layers[i] for i in joined))  # pyright: ignore
        states, ys = product(tuple(carry[i] for i in joined), xs, start, method=method)
        found = {i: (state, y) for i, state, y in zip(joined, states, ys, strict=True)}
    for i, layer in enumerate(layers):
        if i not in found:
            found[i] = layer(carry[i], xs, start, method=method)
    order = range(len(layers))
    return tuple(found[i][0] for i in order), tuple(found[i][1] for i in order)


def _step_each(
    layers: tuple[AbstractLayer, ...], carry: Carry, x: PyTree, start: Bool[Array, ""] | None
) -> tuple[Carry, tuple]:
    steps = [layer.step(state, x, start) for layer, state in zip(layers, carry, strict=True)]
    return tuple(state for state, _ in steps), tuple(y for _, y in steps)


def _common_size(layers: tuple[AbstractLayer, ...]) -> int | None:
    return next((layer.in_size for layer in layers if layer.in_size is not None), None)


def _check_inputs(what: str, layers: tuple[AbstractLayer, ...]) -> None:
    check_layers(what, layers)
    known = next((i for i, layer in enumerate(layers) if layer.in_size is not None), 0)
    for index, layer in enumerate(layers):
        if layer.in_size is not None and layer.in_size != layers[known].in_size:
            raise ValueError(
                f"{what}: {layer_name(layers, known)} takes in_size={layers[known].in_size}, but "
                f"{layer_name(layers, index)} takes in_size={layer.in_size}"
            )
