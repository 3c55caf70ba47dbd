"""The monoids, methods and layers that parametrised tests walk. A new one is one line here."""

# Wrong calls are the point of some tests here.
# pyright: reportArgumentType=false, reportCallIssue=false, reportOperatorIssue=false

import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import memoalg as ma
from tests.matrices import MATRICES
from tests.nn.zoo import CASES

METHODS = {"sequential": ma.Sequential(), "associative": ma.Associative()}


def _exp(x):
    return jnp.exp(x)


def _log(x):
    return jnp.log(x)


def complex_of(dtype):
    return jnp.complex128 if dtype == jnp.float64 else jnp.complex64


# name -> the monoid in a given real dtype
MONOIDS = {
    "add": lambda dtype: ma.Add(3, dtype),
    "count": lambda dtype: ma.Add((), jnp.int32),
    "multiply": lambda dtype: ma.Multiply((2, 2), dtype),
    "max": lambda dtype: ma.Max(3, dtype),
    "min": lambda dtype: ma.Min(3, dtype),
    "arg-max": lambda dtype: ma.ArgMax(3, dtype),
    "log-sum-exp": lambda dtype: ma.LogSumExp(3, dtype),
    "any": lambda dtype: ma.Any(3),
    "all": lambda dtype: ma.All(3),
    "first": lambda dtype: ma.First(3, dtype),
    "last": lambda dtype: ma.Last(3, dtype),
    "recent": lambda dtype: ma.Recent(2, 4, dtype),
    "count-saturating": lambda dtype: ma.Count(3),
    "moments": lambda dtype: ma.Moments(3, dtype),
    "unit-beside": lambda dtype: ma.Unit() * ma.Add(3, dtype),
    "log-affine": lambda dtype: ma.LogAffine(3, dtype),
    "affine": lambda dtype: ma.Affine(3, dtype),
    "clipped-affine": lambda dtype: ma.ClippedAffine(3, dtype),
    "affine-complex": lambda dtype: ma.Affine(3, complex_of(dtype)),
    "affine-rows": lambda dtype: ma.SemidirectProduct(ma.Multiply(2, dtype), ma.Add((2, 3), dtype)),
    "affine-shared": lambda dtype: ma.SemidirectProduct(
        ma.Multiply(2, dtype), ma.Add((2, 3), dtype) * ma.Add(2, dtype)
    ),
    "max-plus": lambda dtype: ma.SemidirectProduct(ma.Add(3, dtype), ma.Max(3, dtype), ma.shift),
    "product": lambda dtype: ma.Affine(2, dtype) * ma.Max((), dtype) * ma.Add((), jnp.int32),
    "resettable": lambda dtype: ma.Resettable(ma.Affine(3, dtype)),
    "resettable-twice": lambda dtype: ma.Resettable(ma.Resettable(ma.Add(2, dtype))),
    "map": lambda dtype: ma.Map(ma.Add(3, dtype), ma.Isomorphism(_exp, _log)),
    "dual": lambda dtype: ma.Dual(ma.Affine(3, dtype)),
    "with-identity": lambda dtype: ma.WithIdentity(ma.Affine(3, dtype)),
    "normalised-outer": lambda dtype: ma.nn.NormalisedOuterSum(2, 3, dtype),
    **MATRICES,
    "power": lambda dtype: ma.Power(ma.Affine(2, dtype), 3),
    "window": lambda dtype: ma.Window(ma.Affine(2, dtype), 3),
    "tangent": lambda dtype: ma.Tangent(ma.Affine(2, dtype)),
    "tangents": lambda dtype: ma.Tangent(ma.LogAffine(2, dtype), 3),
    "regular": lambda dtype: ma.Regular(ma.Affine(2, dtype)),
    "folded": lambda dtype: ma.simplify(ma.Resettable(ma.Affine(3, dtype))).monoid,
    "folded-matrix": lambda dtype: ma.simplify(ma.Resettable(ma.MatrixAffine(2, dtype))).monoid,
    "joined": lambda dtype: (
        ma.simplify(
            ma.Affine(2, dtype) * ma.SemidirectProduct(ma.Add(2, dtype), ma.Max(2, dtype), ma.shift)
        ).monoid
    ),
    "nested": lambda dtype: ma.Resettable(
        ma.Power(ma.GatedOuter(2, 2, dtype), 2) * ma.WithIdentity(ma.LogSumExp(2, dtype))
    ),
}


def at_step(tree, t):
    """One step of a pytree with a leading time axis."""
    return jax.tree.map(lambda leaf: leaf[t], tree)


@functools.singledispatch
def sample(monoid, key, length) -> Any:
    """Reachable elements with a leading axis, the same numbers in every dtype. Default: what is drawn."""
    described = drawn(monoid, key, length)
    # A monoid without leaves, `Unit`, has nothing to map over.
    return jax.vmap(monoid.expand)(described) if jax.tree.leaves(described) else described


def drawn(monoid, key, length):
    """Mild generators as the law kit draws them, rounded to float32: the same with and without x64."""
    seed = int(np.asarray(jax.random.key_data(key)).astype(np.int64).sum())

    def rounded(leaf):
        narrow = {"float64": np.float32, "complex128": np.complex64}.get(
            leaf.dtype.name, leaf.dtype
        )
        return jnp.asarray(leaf.astype(narrow).astype(leaf.dtype))

    return jax.tree.map(rounded, ma.laws.draw(monoid, ma.laws.Source(seed, length, mild=True)))


def _normal(key, shape, dtype):
    if jnp.issubdtype(dtype, jnp.complexfloating):
        pair = np.asarray(jax.random.normal(key, (2, *shape), jnp.float32), np.float64)
        return jnp.asarray(pair[0] + 1j * pair[1], dtype)
    return jnp.asarray(np.asarray(jax.random.normal(key, shape, jnp.float32), np.float64), dtype)


def _flags(key, probability, length):
    # Drawn in float32, so that they are the same flags with and without x64.
    return jax.random.uniform(key, (length,), jnp.float32) < probability


@sample.register
def _(monoid: ma.Add, key, length) -> Any:
    shape = (length, *monoid.shape)
    if jnp.issubdtype(monoid.dtype, jnp.integer):
        return jax.random.randint(key, shape, 0, 5, monoid.dtype)
    return _normal(key, shape, monoid.dtype)


@sample.register
def _(monoid: ma.Multiply, key, length) -> Any:
    return 0.5 * _normal(key, (length, *monoid.shape), monoid.dtype)


@sample.register
def _(monoid: ma.Max, key, length) -> Any:
    return _normal(key, (length, *monoid.shape), monoid.dtype)


@sample.register
def _(monoid: ma.SemidirectProduct, key, length) -> Any:
    one, two = jax.random.split(key)
    return sample(monoid.acting, one, length), sample(monoid.base, two, length)


@sample.register
def _(monoid: ma.DirectProduct, key, length) -> Any:
    keys = jax.random.split(key, len(monoid.factors))
    return tuple(sample(m, k, length) for m, k in zip(monoid.factors, keys, strict=True))


@sample.register
def _(monoid: ma.Resettable, key, length) -> Any:
    one, two = jax.random.split(key)
    return sample(monoid.monoid, one, length), _flags(two, 0.3, length)


@sample.register
def _(monoid: ma.Map, key, length) -> Any:
    return jax.vmap(monoid.isomorphism.forward)(sample(monoid.monoid, key, length))


@sample.register
def _(monoid: ma.Dual, key, length) -> Any:
    return sample(monoid.monoid, key, length)


@sample.register
def _(monoid: ma.WithIdentity, key, length) -> Any:
    one, two = jax.random.split(key)
    return sample(monoid.semigroup, one, length), _flags(two, 0.7, length)


@sample.register
def _(monoid: ma.nn.NormalisedOuterSum, key, length) -> Any:
    k, v = generators(monoid, key, length)
    return jax.vmap(monoid.expand)((k, v))


@functools.singledispatch
def generators(monoid, key, length) -> Any:
    """What `trajectory` is given: the elements where they are registered, otherwise what is drawn."""
    is_registered = sample.dispatch(type(monoid)) is not sample.dispatch(object)
    return (sample if is_registered else drawn)(monoid, key, length)


@generators.register
def _(monoid: ma.DirectProduct, key, length) -> Any:
    keys = jax.random.split(key, len(monoid.factors))
    return tuple(generators(m, k, length) for m, k in zip(monoid.factors, keys, strict=True))


@generators.register
def _(monoid: ma.Resettable, key, length) -> Any:
    one, two = jax.random.split(key)
    return generators(monoid.monoid, one, length), _flags(two, 0.3, length)


@generators.register
def _(monoid: ma.nn.NormalisedOuterSum, key, length) -> Any:
    one, two = jax.random.split(key)
    keys = jnp.abs(_normal(one, (length, monoid.key_size), monoid.dtype)) + 0.1
    return keys, _normal(two, (length, monoid.value_size), monoid.dtype)


def reachable_state(monoid, key):
    """A state after three random steps."""
    state = monoid.initial_state()
    steps = generators(monoid, key, 3)
    for t in range(3):
        state = monoid.advance(state, at_step(steps, t))
    return state


def _stack(name, key):
    return ma.nn.make(name, in_size=3, out_size=2, width=4, depth=2, key=key)


# name -> `key -> layer`, of inputs of length 3: every registered model, and what is composed.
LAYERS: dict[str, Any] = {
    **{name: CASES[name].build for name in ma.nn.names() if name in CASES},
    "recurrent": lambda key: ma.nn.Recurrent(eqx.nn.LSTMCell(3, 4, key=key)),
    "position": lambda key: ma.nn.PositionalEncoding(3),
    "residual": lambda key: ma.nn.Residual(ma.nn.LRU(3, 3, 4, key=key)),
    "parallel": lambda key: ma.nn.Parallel(
        ma.nn.LRU(3, 2, 4, key=key),
        ma.nn.LinearAttention(3, 2, 2, key=key),
        ma.nn.GRU(3, 2, key=key),
    ),
    "learned-start": lambda key: ma.nn.Memoroid(
        ma.Add(3), jnp.tanh, jnp.multiply, initial_state=jnp.arange(3.0), in_size=3
    ),
    "stack-lru": functools.partial(_stack, "lru"),
    "stack-gru": functools.partial(_stack, "gru"),
    "stack-mlp": functools.partial(_stack, "mlp"),
    "stack-hybrid": functools.partial(_stack, ["linear_attention", "gru"]),
}
