"""The laws of layers: the same numbers over a sequence, in pieces, step by step, across episodes."""

import itertools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._tree import split_inexact
from ..nn import AbstractLayer
from ._law import Law, Sides
from ._poison import total
from ._reset import plant
from ._scan import LOOP, TREE, joined, rows


def layer_steps(layer: AbstractLayer, xs: Any, start: Array) -> Sides:
    """layer(carry, x, start) = step after step.

    Usually: step has a formula of its own, or treats start differently from the call.
    """
    carry, ys = layer.init_carry(), []
    for t in range(start.shape[0]):
        carry, y = layer.step(carry, _row(xs, t), start[t])
        ys.append(y)
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *ys)
    return layer(layer.init_carry(), xs, start), (carry, stacked)


def layer_split(layer: AbstractLayer, xs: Any, start: Array) -> Sides:
    """A call over a sequence = a call over its first part, then one over the rest with the carry.

    Usually: the carry does not hold all that continuing needs, or the wrong state is returned.
    """
    carry, pieces = layer.init_carry(), []
    cuts = [0, 1, start.shape[0] // 2, start.shape[0]]
    for first, last in itertools.pairwise(cuts):
        carry, ys = layer(carry, rows(xs, first, last), start[first:last])
        pieces.append(ys)
    return layer(layer.init_carry(), xs, start), (carry, joined(joined(*pieces[:2]), pieces[2]))


def layer_no_start(layer: AbstractLayer, xs: Any, start: Array) -> Sides:
    """start = None means the same as start = all false.

    Usually: a layer that begins anew where start is None.
    """
    never = jnp.zeros_like(start)
    return layer(layer.init_carry(), xs, None), layer(layer.init_carry(), xs, never)


def layer_reset(layer: AbstractLayer, xs: Any, start: Array) -> Sides:
    """What follows a start = a call on the rest alone, from a fresh carry.

    Usually: start is ignored, or resets a part of the carry only.
    """
    cut = start.shape[0] // 2
    whole = layer(layer.init_carry(), xs, _start_at(start, cut))
    alone = layer(layer.init_carry(), rows(xs, cut, None), jnp.zeros_like(start[cut:]))
    return (whole[0], rows(whole[1], cut, None)), alone


def layer_reset_containment(layer: AbstractLayer, xs: Any, start: Array) -> Sides:
    """Outputs after a start, bit for bit, with NaN or inf planted in the inputs before it = without.

    Usually: a reset multiplies by a mask (0 · NaN is NaN) instead of selecting.
    """

    def run(poison: Array) -> Any:
        carry, ys = layer(layer.init_carry(), _planted(xs, poison), _start_at(start, 1))
        return carry, rows(ys, 1, None)

    results = jax.vmap(run)(jnp.array([0.0, jnp.nan, jnp.inf]))
    return rows(results, 1, None), jax.tree.map(lambda x: jnp.stack([x[0], x[0]]), results)


def layer_gradient_finite(layer: AbstractLayer, xs: Any, start: Array) -> Sides:
    """Gradients of the outputs in all parameters and inputs are finite.

    Usually: a branch that is not taken is infinite; select with jnp.where before and after.
    """
    moving, still = split_inexact((layer, xs))

    def loss(moving: Any) -> Array:
        model, xs = eqx.combine(moving, still)
        return total(model(model.init_carry(), xs, start)[1])

    leaves = jax.tree.leaves(jax.grad(loss)(moving))
    return [jnp.isfinite(x) for x in leaves], [jnp.ones(x.shape, jnp.bool_) for x in leaves]


def layer_gradient_containment(layer: AbstractLayer, xs: Any, start: Array) -> Sides:
    """Gradients of the inputs after a start, with NaN planted in the inputs before it = without.

    Usually: a select of the output keeps a NaN in the gradient; select the input, on both sides.
    """

    def run(poison: Array) -> Any:
        moving, still = split_inexact(_planted(xs, poison))

        def loss(moving: Any) -> Array:
            inputs = eqx.combine(moving, still)
            ys = layer(layer.init_carry(), inputs, _start_at(start, 1))[1]
            return total(rows(ys, 1, None))

        return rows(jax.grad(loss)(moving), 1, None)

    results = jax.vmap(run)(jnp.array([0.0, jnp.nan]))
    return _row(results, 1), _row(results, 0)


def layer_methods(layer: AbstractLayer, xs: Any, start: Array) -> Sides:
    """A call by a loop = a call by a tree.

    Usually: the monoid's operator is not associative, or act, advance and combine do not agree.
    """
    loop = layer(layer.init_carry(), xs, start, method=LOOP)
    return loop, layer(layer.init_carry(), xs, start, method=TREE)


LAYER: dict[str, Law] = {
    "layer_steps": layer_steps,
    "layer_split": layer_split,
    "layer_no_start": layer_no_start,
    "layer_reset": layer_reset,
    "layer_reset_containment": layer_reset_containment,
    "layer_gradient_finite": layer_gradient_finite,
    "layer_gradient_containment": layer_gradient_containment,
}
METHODS: dict[str, Law] = {"layer_methods": layer_methods}


def _start_at(start: Array, step: int) -> Array:
    return jnp.arange(start.shape[0]) == step


def _row(tree: Any, index: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[index], tree)


def _planted(xs: Any, poison: Array) -> Any:
    return jax.tree.map(lambda leaf: plant(leaf, poison), xs)
