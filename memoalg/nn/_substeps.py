"""Several steps of a memory for each step of the sequence."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, PyTree

from ..scans import AbstractMethod, Auto
from ._check import check_sequence, check_step
from ._layer import AbstractLayer, Carry


class Substeps(AbstractLayer):
    """A layer that makes n steps for each step of the sequence, and gives the output of the last.

    An input holds n inputs of the layer, stacked: every leaf begins with an axis of length n. An
    episode starts at the first of them.

    Arguments:
        layer: what makes the steps.
        count: n.

    Raises:
        TypeError: where `layer` is not a layer.
        ValueError: where `count` is not a positive int.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> total = ma.nn.Memoroid(ma.Add(), encode=jnp.asarray, readout=lambda total, x: total)
        >>> layer = ma.nn.Substeps(total, 2)
        >>> print(layer(layer.init_carry(), jnp.array([[1.0, 2.0], [3.0, 4.0]]), None)[1])
        [ 3. 10.]
    """

    layer: AbstractLayer
    count: int = eqx.field(static=True)

    def __init__(self, layer: AbstractLayer, count: int):
        if not isinstance(layer, AbstractLayer):
            raise TypeError(f"Substeps takes a layer, got {type(layer).__name__}")
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise ValueError(f"Substeps: count is a positive int, got {count!r}")
        self.layer, self.count = layer, count

    @property
    def in_size(self) -> int | None:
        return None

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
        check_sequence(self, xs, start)
        self._check(xs, 1)
        flat = jax.tree.map(_flat, xs)
        if start is not None:
            first = jnp.arange(self.count) == 0
            start = (start[:, None] & first[None, :]).reshape(-1)
        carry, ys = self.layer(carry, flat, start, method=method)
        return carry, jax.tree.map(lambda leaf: leaf[self.count - 1 :: self.count], ys)

    def step(self, carry: Carry, x: PyTree, start: Bool[Array, ""] | None) -> tuple[Carry, Any]:
        check_step(self, x, start)
        self._check(x, 0)
        y = None
        for index in range(self.count):
            part = jax.tree.map(lambda leaf, index=index: leaf[index], x)
            begins = None if start is None else (start if index == 0 else jnp.zeros((), bool))
            carry, y = self.layer.step(carry, part, begins)
        return carry, y

    def _check(self, xs: PyTree, axis: int) -> None:
        for leaf in jax.tree.leaves(xs):
            if leaf.ndim <= axis or leaf.shape[axis] != self.count:
                raise ValueError(
                    f"Substeps: every part of an input begins with an axis of length count={self.count}, "
                    f"got {'(time, ...) of ' if axis else ''}shape {leaf.shape}"
                )


def _flat(leaf: Array) -> Array:
    return leaf.reshape(leaf.shape[0] * leaf.shape[1], *leaf.shape[2:])
