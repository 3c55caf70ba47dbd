"""Every method on every class of monoid, in every dtype and around every length that matters, against the
float64 loop: values and all gradients. Minutes, so it is marked slow."""

import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg as ma
from memoalg._tree import split_inexact

pytestmark = pytest.mark.slow

C = 16
RUNS = [(length, False) for length in (0, 1, C - 1, C, C + 1, 257)] + [(C + 1, True)]
TOLERANCE = {"float32": 2e-5, "float64": 1e-10, "bfloat16": 0.15}
METHODS = {
    "sequential": ma.Sequential(),
    "unrolled": ma.Sequential(unroll=3),
    "remat": ma.Sequential(remat=C),
    "associative": ma.Associative(),
    "chunked": ma.Chunked(C),
    "kernel": ma.Kernel(),
    "auto": ma.Auto(),
}


def rows(key, length, *shape, low=-1.0, high=1.0):
    # Drawn in float32 whatever the default: the same numbers in every dtype.
    return jax.random.uniform(key, (length, *shape), jnp.float32, low, high)


def affine(dtype, length, keys):
    return ma.Affine(3, dtype), (rows(keys[0], length, 3), rows(keys[1], length, 3)), None


def complex_affine(dtype, length, keys):
    wide = jnp.complex128 if dtype == jnp.float64 else jnp.complex64
    turned = 0.9 * jnp.exp(2j * rows(keys[0], length, 3))
    return ma.Affine(3, wide), (turned, rows(keys[1], length, 3) + 0.5j), None


def fixed(dtype, length, keys):
    decay = ma.Fixed(rows(keys[0], 3))
    return ma.Affine(3, dtype), (decay, rows(keys[1], length, 3)), None


def max_plus(dtype, length, keys):
    monoid = ma.SemidirectProduct(ma.Add(3, dtype), ma.Max(3, dtype), ma.shift)
    return monoid, (rows(keys[0], length, 3, high=0.0), rows(keys[1], length, 3)), None


def product(dtype, length, keys):
    monoid = ma.Affine(3, dtype) * ma.Max(3, dtype)
    return monoid, (affine(dtype, length, keys)[1], rows(keys[2], length, 3)), None


def matrix(dtype, length, keys):
    matrices = rows(keys[0], length, 2, 2, low=-0.6, high=0.6)
    return ma.MatrixAffine(2, dtype), (matrices, rows(keys[1], length, 2)), None


def gated(per_key, dtype, length, keys):
    monoid = ma.GatedOuter(4, 3, dtype, per_key=per_key)
    decays = rows(keys[2], length, *((4,) if per_key else ()), low=0.3)
    generators = rows(keys[0], length, 4), rows(keys[1], length, 3), decays
    return monoid, generators, rows(keys[3], length, 4)


def delta(dtype, length, keys):
    strength, decay = rows(keys[2], length, 2, low=0.3).T
    generators = 0.5 * rows(keys[0], length, 4), rows(keys[1], length, 3), strength, decay
    return ma.DeltaRule(4, 3, dtype), generators, rows(keys[3], length, 4)


CLASSES = {
    "affine": affine,
    "complex": complex_affine,
    "fixed": fixed,
    "max-plus": max_plus,
    "product": product,
    "matrix": matrix,
    "one-decay": functools.partial(gated, False),
    "decay-per-key": functools.partial(gated, True),
    "delta": delta,
}


def case(name, dtype, length):
    """(monoid, (generators, state, initial state, queries), start)."""
    keys = jax.random.split(jax.random.key(length), 6)
    dtype = jnp.dtype(dtype)
    monoid, generators, queries = CLASSES[name](dtype, length, keys)

    def of_dtype(leaf):
        complexes = jnp.issubdtype(leaf.dtype, jnp.complexfloating)
        wide = jnp.complex128 if dtype == jnp.float64 else jnp.complex64
        return leaf.astype(wide if complexes or name == "complex" else dtype)

    state = jax.tree.map(
        lambda s: jax.random.normal(keys[4], s.shape, jnp.float32), monoid.initial_state()
    )
    initial = jax.tree.map(lambda s: jax.random.normal(keys[5], s.shape, jnp.float32), state)
    arguments = jax.tree.map(of_dtype, (generators, state, initial, queries))
    return monoid, arguments, np.arange(length) % 7 == 3


def loop(monoid, start, reverse, generators, state, initial, queries):
    """The definition."""
    resets = jnp.asarray(np.append(start[1:], False) if reverse and len(start) else start)
    nodes: Any = generators
    held = isinstance(generators, tuple) and isinstance(nodes[0], ma.Fixed)

    def step(before, now):
        generator, reset, query = now
        generator = (nodes[0].value, generator) if held else generator
        entering = jax.tree.map(lambda a, b: jnp.where(reset, a, b), initial, before)
        after = monoid.advance(entering, generator)
        return after, after if query is None else monoid.read(after, query)

    timed = nodes[1] if held else generators
    return jax.lax.scan(step, state, (timed, resets, queries), reverse=reverse)


def outputs(name, dtype, length, method, reverse):
    """(last, reads) and all gradients, as wide numpy arrays."""
    monoid, arguments, start = case(name, dtype, length)

    def run(generators, state, initial, queries):
        if method is None:
            return loop(monoid, start, reverse, generators, state, initial, queries)
        return ma.trajectory(
            monoid,
            state,
            generators,
            jnp.asarray(start, jnp.bool_),
            initial_state=initial,
            queries=queries,
            reverse=reverse,
            method=METHODS[method],
        )

    moving, still = split_inexact(arguments)

    def loss(moving):
        found = run(*eqx.combine(moving, still))
        leaves = [x.real + x.imag for x in jax.tree.leaves(found)]
        return sum((jnp.sum(x.astype(jnp.float32) ** 2) for x in leaves), jnp.float32(0)), found

    (_, found), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(moving)
    return [np.asarray(leaf) for leaf in jax.tree.leaves((found, gradient))]


@functools.cache
def oracle(name, length, reverse):
    with jax.enable_x64(True):
        return outputs(name, "float64", length, None, reverse)


@pytest.mark.parametrize(
    ("length", "reverse"),
    RUNS,
    ids=lambda x: str(x) if type(x) is int else ("forward", "reverse")[x],
)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("method", METHODS)
def test_a_method_equals_the_float64_loop(method, name, dtype, length, reverse):
    with jax.enable_x64(dtype == "float64"):
        found = outputs(name, dtype, length, method, reverse)
    for one, other in zip(found, oracle(name, length, reverse), strict=True):
        scale = max(1.0, np.max(np.abs(other), initial=0))
        wide = one.astype(other.dtype)
        np.testing.assert_allclose(wide, other, rtol=0, atol=TOLERANCE[dtype] * scale)
