"""Layers without memory."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Bool, PRNGKeyArray, PyTree

from ..scans import AbstractMethod, Auto
from ._check import check_sequence, check_step
from ._layer import AbstractLayer, Carry
from ._linear import Linear
from ._memoroid import _as_static


class Pointwise(AbstractLayer):
    """A function of each step alone, as a layer; its carry is `()`.

    Arguments:
        function: `x -> y` of one step: a module (which trains) or a plain function.
        in_size: length of an input vector; None where unknown.
        out_size: length of an output vector; None where unknown.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> carry, ys = ma.nn.Pointwise(jax.nn.relu)((), jnp.array([[-1.0, 2.0]]), None)
        >>> print(ys)
        [[0. 2.]]
    """

    function: Callable[[Any], Any]
    in_size: int | None = eqx.field(static=True)
    out_size: int | None = eqx.field(static=True)

    def __init__(
        self,
        function: Callable[[Any], Any],
        in_size: int | None = None,
        out_size: int | None = None,
    ):
        if not callable(function):
            raise TypeError(f"Pointwise takes a function, got {type(function).__name__}")
        self.function = _as_static(function)
        self.in_size, self.out_size = in_size, out_size

    def init_carry(self) -> Carry:
        return ()

    def __call__(
        self,
        carry: Carry,
        xs: PyTree,
        start: Bool[Array, " time"] | None,
        *,
        method: AbstractMethod = Auto(),
    ) -> tuple[Carry, Any]:
        check_sequence(self, xs, start)
        return carry, jax.vmap(self.function)(xs)

    def step(self, carry: Carry, x: PyTree, start: Bool[Array, ""] | None) -> tuple[Carry, Any]:
        check_step(self, x, start)
        return carry, self.function(x)


class Dense(eqx.Module):
    """A linear map and a relu: one step of [`memoalg.nn.MLP`][]."""

    linear: Linear

    def __call__(self, x: Array) -> Array:
        return jax.nn.relu(self.linear(x))


def MLP(in_size: int, out_size: int, *, key: PRNGKeyArray) -> Pointwise:
    """The control without memory: `relu(W x + b)` of each step alone.

    Arguments:
        in_size: length of an input vector.
        out_size: length of an output vector.
        key: for the initialisation.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> ma.nn.MLP(3, 2, key=jax.random.key(0)).init_carry()
        ()
    """
    return Pointwise(Dense(Linear(in_size, out_size, scale=2**0.5, key=key)), in_size, out_size)
