"""What a model is held against: the formula of its paper, and faults that must be seen."""

import copy
import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

T = 12
START = np.zeros(T, bool)
START[[0, 5, 9]] = True
XS = np.asarray(jax.random.normal(jax.random.key(1), (T, 3)), np.float64)


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """A small layer of input length 3 whose other sizes all differ, and its paper's recurrence.

    Attributes:
        build: `key -> layer`.
        initial: `layer -> state` in which an episode begins.
        step: `(layer, state, x) -> (state, y)`, the paper's formula written plainly in jnp with the
            layer's own arrays (float64): no function of the library, no method of the layer.
        faults: name -> `layer -> a wrong layer`, each of which the comparison must refuse.
    """

    build: Callable[[Any], Any]
    initial: Callable[[Any], Any]
    step: Callable[[Any, Any, Any], tuple[Any, Any]]
    faults: dict[str, Callable[[Any], Any]] = dataclasses.field(default_factory=dict)


def perturbed(layer, size=0.1):
    """Every parameter moved off its initial value, so that no 0 or 1 hides a fault."""
    arrays, static = eqx.partition(layer, eqx.is_inexact_array)
    leaves, treedef = jax.tree.flatten(arrays)
    rng = np.random.default_rng(0)
    moved = [leaf + size * jnp.asarray(rng.normal(size=leaf.shape), leaf.dtype) for leaf in leaves]
    return eqx.combine(jax.tree.unflatten(treedef, moved), static)


def cast(tree, dtype):
    """Floating arrays in another dtype (complex ones in the complex of it)."""
    wider = {"float64": "complex128"}.get(str(dtype), "complex64")

    def one(leaf):
        if not eqx.is_inexact_array(leaf):
            return leaf
        return leaf.astype(wider if jnp.iscomplexobj(leaf) else dtype)

    return jax.tree.map(one, tree)


def run_reference(case, layer, xs, start):
    """The paper's recurrence over several episodes."""
    first = case.initial(layer)

    def body(state, now):
        x, begins = now
        state = jax.tree.map(lambda a, b: jnp.where(begins, a, b), first, state)
        return case.step(layer, state, x)

    return jax.lax.scan(body, first, (xs, start))[1]


def run_layer(layer, xs, start):
    return layer(layer.init_carry(), xs, start)[1]


@functools.cache
def with_gradient(run):
    """(outputs, gradients in parameters and inputs) of a loss that weighs every output differently."""

    @eqx.filter_jit
    def program(layer, xs):
        def loss(moving):
            layer, xs = moving
            ys = run(layer, xs, jnp.asarray(START))
            weights = jnp.cos(jnp.arange(ys.size, dtype=ys.dtype)).reshape(ys.shape)
            return jnp.sum(weights * jnp.sin(ys)), ys

        gradient, ys = eqx.filter_grad(loss, has_aux=True)((layer, xs))
        return ys, gradient

    return program


@functools.cache
def reference(case):
    """What the paper says, in float64: (the layer as numpy, outputs, gradients)."""
    layer = small_layer(case)
    with (
        jax.enable_x64(True),
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
    ):
        layer = cast(layer, "float64")
        run = functools.partial(run_reference, case)
        ys, gradient = with_gradient(run)(layer, jnp.asarray(XS))
        arrays, static = eqx.partition((layer, ys, gradient), eqx.is_array)
        return eqx.combine(jax.tree.map(np.asarray, arrays), static)


def assert_is_its_paper(case, layer, dtype, tolerance):
    """Outputs and gradients equal those of the paper's formula, relative to the largest of each array."""
    _, wanted_ys, wanted = reference(case)
    with jax.enable_x64(dtype == "float64"):
        ys, gradient = with_gradient(run_layer)(cast(layer, dtype), jnp.asarray(XS, dtype))
        assert ys.dtype == dtype
    assert_near("outputs", ys, wanted_ys, tolerance)
    named, _ = jax.tree_util.tree_flatten_with_path(eqx.filter(gradient, eqx.is_inexact_array))
    others = jax.tree.leaves(eqx.filter(wanted, eqx.is_inexact_array))
    for (path, one), two in zip(named, others, strict=True):
        assert_near(jax.tree_util.keystr(path), one, two, tolerance)


def assert_near(what, one, two, tolerance):
    scale = max(1.0, float(np.max(np.abs(two), initial=0.0)))
    np.testing.assert_allclose(one, two, rtol=0, atol=tolerance * scale, err_msg=what)


def small_layer(case):
    """The layer whose parameters the reference has, in float32."""
    return cast(perturbed(case.build(jax.random.key(2))), "float32")


def double_layer(case):
    """The same in float64: the same numbers."""
    layer = small_layer(case)
    with jax.enable_x64(True):
        return cast(layer, "float64")


def replaced(module, **fields):
    """A module with other values in some of its fields, past its constructor: for faults."""
    wrong = copy.copy(module)
    for name, value in fields.items():
        assert hasattr(module, name)
        object.__setattr__(wrong, name, value)
    return wrong
