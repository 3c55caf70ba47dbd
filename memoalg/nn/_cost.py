"""What a layer costs: counted in its program, not measured."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from .._count import Work, count_work
from .._tree import nbytes
from ._cell import AbstractCell
from ._compose import Residual, Serial
from ._feed_forward import Pointwise
from ._layer import AbstractLayer
from ._make import count_parameters
from ._memoroid import AbstractMemoroid
from ._parallel import Fork, Parallel
from ._recurrent import AbstractRecurrent
from ._substeps import Substeps


class Cost(NamedTuple):
    """What one layer, or a stack of them, costs.

    Attributes:
        parameters: learned numbers.
        state_bytes: bytes of the carry, of one sequence.
        step_flops: floating-point operations of one `step`.
        step_bytes: bytes that a step must touch: the parameters, the carry in and out, input and output.
        flops: operations of a call over `length` steps, by the method that `Auto` takes on this machine.
        bytes: bytes of the operands and results of that call's products and loops, each once.
        depth: dependent steps in a row if as much as possible runs in parallel: the logarithm of the
            length for a memoroid, the length for a recurrent cell, none for what has no memory.
        length: of the sequence.
    """

    parameters: int
    state_bytes: int
    step_flops: int
    step_bytes: int
    flops: int
    bytes: int
    depth: int
    length: int


def cost(layer: AbstractLayer, length: int = 1024, *, example: PyTree | None = None) -> Cost:
    """Counts what a layer costs. Nothing is compiled or run.

    Arguments:
        layer: the layer; its arrays may be shapes alone, as `eqx.filter_eval_shape` makes them.
        length: of the sequence, in steps.
        example: one input, where the layer does not know its `in_size`.

    Returns:
        The counts, for one sequence.

    Raises:
        ValueError: where the size of an input is not known, or for a length below 1.

    Example:
        >>> import jax, memoalg as ma
        >>> found = ma.nn.cost(ma.nn.GRU(3, 4, key=jax.random.key(0)), 100)
        >>> found.parameters, found.state_bytes, found.depth
        (100, 16, 100)
    """
    if length < 1:
        raise ValueError(f"cost: length must be at least 1, got {length}")
    x = _input(layer, example)
    xs = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((length, *leaf.shape), leaf.dtype), x)
    carry = eqx.filter_eval_shape(lambda layer: layer.init_carry(), layer)
    flag, flags = jax.ShapeDtypeStruct((), bool), jax.ShapeDtypeStruct((length,), bool)
    step, (_, y) = _count(_step, layer, carry, x, flag)
    whole, _ = _count(_call, layer, carry, xs, flags)
    parameters = eqx.filter(layer, _is_array)
    return Cost(
        parameters=count_parameters(layer),
        state_bytes=nbytes(carry),
        step_flops=step.flops,
        step_bytes=nbytes(parameters) + 2 * nbytes(carry) + nbytes(x) + nbytes(y),
        flops=whole.flops,
        bytes=whole.bytes,
        depth=depth(layer, length),
        length=length,
    )


def _step(layer: AbstractLayer, carry: PyTree, x: PyTree, start: Any) -> PyTree:
    return layer.step(carry, x, start)


def _call(layer: AbstractLayer, carry: PyTree, xs: PyTree, start: Any) -> PyTree:
    return layer(carry, xs, start)


def depth(layer: AbstractLayer, length: int) -> int:
    """Dependent steps in a row: `Cost.depth`."""
    match layer:
        case AbstractMemoroid():
            return math.ceil(math.log2(max(2, length)))
        case AbstractRecurrent() | AbstractCell():
            return length
        case Pointwise():
            return 0
        case Serial():
            return sum(depth(part, length) for part in layer.layers)
        case Fork() | Parallel():
            return max(depth(part, length) for part in layer.layers)
        case Residual():
            return depth(layer.layer, length)
        case Substeps():
            return depth(layer.layer, length * layer.count)
        case _:
            # A layer of one's own may be anything: no more is claimed than that it has a loop.
            return length


def _input(layer: AbstractLayer, example: PyTree | None) -> PyTree:
    if example is not None:
        return jax.eval_shape(lambda: example)
    if layer.in_size is None:
        raise ValueError(
            f"cost: {type(layer).__name__} does not say its in_size: give `example`, one input"
        )
    return jax.ShapeDtypeStruct((layer.in_size,), jnp.result_type(float))


def _count(
    function: Callable[..., PyTree], layer: AbstractLayer, *rest: Any
) -> tuple[Work, PyTree]:
    """The work of a function of a layer, whose arrays may be shapes alone; and its result's shapes."""
    arrays, static = eqx.partition(layer, _is_array)

    def program(arrays: PyTree, *rest: Any) -> PyTree:
        return function(eqx.combine(arrays, static), *rest)

    jaxpr, shapes = jax.make_jaxpr(program, return_shape=True)(arrays, *rest)
    return count_work(jaxpr), shapes


def _is_array(leaf: object) -> bool:
    return isinstance(leaf, jax.Array | jax.ShapeDtypeStruct)
