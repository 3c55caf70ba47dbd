"""One dense product that stays one product under `jax.vmap`, in its gradient too.

`jax.vmap` of `weight @ x` over environments and steps makes a product with two batch axes. XLA's CPU
backend turns its weight gradient (a contraction over both) into a transposing copy and a general
kernel, which is slower than the same product on flattened rows. This primitive flattens, so that
forward and gradient are plain matrix products of rank 2. Its batching rule, and that of the bias,
leave the mapped axis where it is, where jax's own would move it to the front: a copy of the array.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, Num

from ._tree import as_varying, varying_axes
from ._typing import common_dtype

_product_p = Primitive("memoalg_dense_product")
_sum_p = Primitive("memoalg_dense_sum")


def dense_product(
    x: Num[Array, "*batch in"], weight: Num[Array, "out in"], bias: Num[Array, " out"] | None = None
) -> Num[Array, "*batch out"]:
    """`weight @ x + bias` for every vector x on the last axis, in the common dtype of all."""
    product = _bind(_product_p, x, weight)
    return product if bias is None else _bind(_sum_p, product, bias)


def _bind(primitive: Primitive, x: Array, parameter: Array) -> Array:
    dtype = common_dtype(x.dtype, parameter.dtype)
    x, parameter = as_varying((x, parameter), varying_axes((x, parameter)))
    return primitive.bind(x.astype(dtype), parameter.astype(dtype))


def _contract(left: Array, right: Array, left_axis: int, right_axis: int) -> Array:
    return jax.lax.dot_general(left, right, (((left_axis,), (right_axis,)), ((), ())))


def _rows(x: Array) -> Array:
    return x.reshape(-1, x.shape[-1])


def _product(x: Array, weight: Array) -> Array:
    return _contract(_rows(x), weight, 1, 1).reshape(*x.shape[:-1], weight.shape[0])


def _product_shape(x: ShapedArray, weight: ShapedArray) -> ShapedArray:
    # The operand's type but for the shape: under `shard_map` it says over which axes it varies, and
    # a product that did not say so would get a wrong gradient.
    return x.update(shape=(*x.shape[:-1], weight.shape[0]))


def _x_cotangent(bar: Array, x: object, weight: Array) -> Array:
    return _product_p.bind(bar, weight.T)


def _weight_cotangent(bar: Array, x: Array, weight: object) -> Array:
    return _contract(_rows(bar), _rows(x), 0, 0)


def _sum(x: Array, bias: Array) -> Array:
    return x + jnp.broadcast_to(bias, x.shape)


def _sum_shape(x: ShapedArray, bias: ShapedArray) -> ShapedArray:
    return x


def _sum_cotangents(bar: Array, x: object, bias: object) -> tuple[Array, Array]:
    return bar, jnp.sum(_rows(bar), 0)


def _batch(
    primitive: Primitive,
    plain: Callable[[Array, Array], Array],
    operands: tuple[Array, Array],
    axes: tuple[int | None, int | None],
) -> tuple[Array, int]:
    x, parameter = operands
    x_axis, parameter_axis = axes
    if parameter_axis is not None or x_axis is None:
        return jax.vmap(plain, in_axes=axes)(x, parameter), 0
    if x_axis == x.ndim - 1:
        x, x_axis = jnp.moveaxis(x, x_axis, 0), 0
    # The axis stays where it is: moving it to the front would copy the array, and its gradient.
    return primitive.bind(x, parameter), x_axis


def _define(
    primitive: Primitive,
    plain: Callable[[Array, Array], Array],
    shape: Callable[[ShapedArray, ShapedArray], ShapedArray],
) -> None:
    primitive.def_impl(jax.jit(plain))
    primitive.def_abstract_eval(shape)
    batching.primitive_batchers[primitive] = partial(_batch, primitive, plain)
    mlir.register_lowering(primitive, mlir.lower_fun(plain, multiple_results=False))


_define(_product_p, _product, _product_shape)
_define(_sum_p, _sum, _sum_shape)
ad.defbilinear(_product_p, _x_cotangent, _weight_cotangent)
ad.deflinear2(_sum_p, _sum_cotangents)
