"""One dense product that stays one product under `jax.vmap`, in its gradient too.

`jax.vmap` of `weight @ x` over environments and steps makes a product with two batch axes. XLA's CPU
backend turns its weight gradient (a contraction over both) into a transposing copy and a general
kernel, which is slower than the same product on flattened rows. The batching rule of this primitive
flattens, so that forward and gradient are plain matrix products of rank 2.
"""

import jax
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, Num

from ._tree import as_varying, varying_axes
from ._typing import common_dtype

_rows_p = Primitive("memoalg_dense_product")


def dense_product(
    x: Num[Array, "*batch in"], weight: Num[Array, "out in"]
) -> Num[Array, "*batch out"]:
    """`weight @ x` for every vector x on the last axis, in the common dtype of both."""
    dtype = common_dtype(x.dtype, weight.dtype)
    x, weight = as_varying((x, weight), varying_axes((x, weight)))
    rows = x.reshape(-1, x.shape[-1]).astype(dtype)
    return _rows_p.bind(rows, weight.astype(dtype)).reshape(*x.shape[:-1], weight.shape[0])


def _contract(left: Array, right: Array, left_axis: int, right_axis: int) -> Array:
    return jax.lax.dot_general(left, right, (((left_axis,), (right_axis,)), ((), ())))


def _rows(x: Array, weight: Array) -> Array:
    return _contract(x, weight, 1, 1)


def _rows_shape(x: ShapedArray, weight: ShapedArray) -> ShapedArray:
    # The operand's type but for the shape: under `shard_map` it says over which axes it varies, and
    # a product that did not say so would get a wrong gradient.
    return x.update(shape=(x.shape[0], weight.shape[0]))


def _x_cotangent(bar: Array, x: object, weight: Array) -> Array:
    return _contract(bar, weight, 1, 0)


def _weight_cotangent(bar: Array, x: Array, weight: object) -> Array:
    return _contract(bar, x, 0, 0)


def _batch(operands: tuple[Array, Array], axes: tuple[int | None, int | None]) -> tuple[Array, int]:
    x, weight = operands
    x_axis, weight_axis = axes
    if weight_axis is not None or x_axis is None:
        return jax.vmap(_rows, in_axes=axes)(x, weight), 0
    if x_axis == 2:
        x, x_axis = jax.numpy.moveaxis(x, 2, 0), 0
    rows = _rows_p.bind(x.reshape(-1, x.shape[-1]), weight)
    return rows.reshape(*x.shape[:-1], weight.shape[0]), x_axis


_rows_p.def_impl(jax.jit(_rows))
_rows_p.def_abstract_eval(_rows_shape)
ad.defbilinear(_rows_p, _x_cotangent, _weight_cotangent)
batching.primitive_batchers[_rows_p] = _batch
mlir.register_lowering(_rows_p, mlir.lower_fun(_rows, multiple_results=False))
