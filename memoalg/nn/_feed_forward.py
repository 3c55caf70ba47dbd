"""Functions of each step alone, as layers."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, PRNGKeyArray, PyTree

from ..scans import AbstractMethod, Auto
from ._check import check_sequence, check_step
from ._layer import AbstractLayer, Carry
from ._linear import Linear
from ._memoroid import StaticFunction, _as_static


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


class FeedForward(eqx.Module):
    r"""$W_o\,(f(W_g x) \odot W_u x)$, or without the gate $W_o\,f(W_u x)$: a channel mixer.

    Arguments:
        in_size: length of x.
        hidden_size: length of the middle.
        out_size: length of the output.
        activation: f.
        gated: whether there is a $W_g$.
        key: for the initialisation.

    Source: Shazeer, GLU Variants Improve Transformer (arXiv 2002.05202).

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> ma.nn.FeedForward(3, 8, 2, key=jax.random.key(0))(jnp.ones(3)).shape
        (2,)
    """

    inputs: Linear
    output: Linear
    activation: StaticFunction
    gated: bool = eqx.field(static=True)

    def __init__(
        self,
        in_size: int,
        hidden_size: int,
        out_size: int,
        *,
        activation: Callable[[Array], Array] = jax.nn.silu,
        gated: bool = True,
        key: PRNGKeyArray,
    ):
        in_key, out_key = jax.random.split(key)
        self.inputs = Linear(in_size, (1 + gated) * hidden_size, use_bias=False, key=in_key)
        self.output = Linear(hidden_size, out_size, use_bias=False, key=out_key)
        self.activation, self.gated = StaticFunction(activation), gated

    def __call__(self, x: Array) -> Array:
        hidden = self.inputs(x)
        if not self.gated:
            return self.output(self.activation(hidden))
        value, gate = jnp.split(hidden, 2)
        return self.output(self.activation(gate) * value)
