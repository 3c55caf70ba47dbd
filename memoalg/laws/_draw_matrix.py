"""How generators of the matrix-valued and discrete monoids are drawn: under the conditions they obey."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from ..algebra import (
    DeltaRule,
    GatedOuter,
    GeneralisedDelta,
    Kalman,
    LogMatMul,
    MatMul,
    MaxPlus,
    Permutation,
    Rotation,
    StabilisedOuter,
    kalman_element,
)
from ..algebra._hidden_markov import HiddenMarkov
from ..algebra._markov import Markov
from ..algebra._sphere import Sphere
from ._draw import Source, draw
from ._options import compiler_options


@draw.register
def _(monoid: MatMul, source: Source) -> np.ndarray:
    """Matrices of norm 2 at most, so that products of ten fit into half precision."""
    shape = (monoid.n, monoid.n)
    if source.exact or not jnp.issubdtype(monoid.dtype, jnp.inexact):
        return source.integers(shape, monoid.dtype, -1, 2)
    if source.mild:
        return _orthogonal(source, monoid.n, monoid.dtype)
    return _bounded(source.real(shape, monoid.dtype), 2.0).astype(monoid.dtype)


@draw.register
def _(monoid: MaxPlus, source: Source) -> np.ndarray:
    return _forbidding(source, source.real((monoid.n, monoid.n), monoid.dtype))


@draw.register
def _(monoid: LogMatMul, source: Source) -> np.ndarray:
    scores = source.real((monoid.n, monoid.n), monoid.dtype)
    if source.exact:
        # One term in every sum: neither the exponential nor the logarithm rounds.
        only = _maps(source, monoid.n)[:, :, None] == np.arange(monoid.n)
        return np.where(only, scores, np.full_like(scores, -np.inf))
    return _forbidding(source, scores)


@draw.register
def _(monoid: Markov, source: Source) -> tuple[np.ndarray, ...]:
    """Two letters, each with a transition; one letter and maps of the states where `exact`."""
    weights = source.rng.dirichlet(np.ones(2), source.count)
    rows = source.rng.dirichlet(np.ones(monoid.n), (source.count, 2, monoid.n))
    maps = _maps(source, 2 * monoid.n).reshape(-1, 2, monoid.n) % monoid.n
    only = source.flags(probability=1.0 if source.exact else 0.3)
    weights = np.where(only[:, None], np.eye(2)[source.rng.integers(0, 2, source.count)], weights)
    matrices = np.where(only[:, None, None, None], np.eye(monoid.n)[maps], rows)
    return weights.astype(monoid.dtype), matrices.astype(monoid.dtype)


@draw.register
def _(monoid: HiddenMarkov, source: Source) -> tuple[np.ndarray, ...]:
    """Transitions with forbidden ones among them, and scores of observations."""
    n = monoid.n
    scores = _forbidding(source, source.real((n, n), np.dtype(np.float64)))
    likelihood = source.real((n,), np.dtype(np.float64))
    if source.exact:
        maps = _maps(source, n)[:, :, None] == np.arange(n)
        scores, likelihood = np.where(maps, 0.0, -np.inf), 0.0 * likelihood
    total = np.logaddexp.reduce(scores, axis=2, keepdims=True)
    rows = scores - np.where(np.isneginf(total), 0.0, total)
    return rows.astype(monoid.dtype), likelihood.astype(monoid.dtype)


@draw.register
def _(monoid: Permutation, source: Source) -> np.ndarray:
    """Permutations and, unless mild, any maps; the last one is constant."""
    images = _permutations(source, monoid.n)
    if not source.mild:
        images = np.where(source.flags((1,), 0.5), images, _maps(source, monoid.n))
        images[-1] = 0
    return images.astype(np.int32)


@draw.register
def _(monoid: Rotation, source: Source) -> np.ndarray:
    """Orthogonal matrices with determinant 1; of signed units where `exact`."""
    matrices = _orthogonal(source, monoid.n, np.dtype(np.float64))
    if source.exact:
        matrices = np.eye(monoid.n)[_permutations(source, monoid.n)]
    matrices[:, 0] *= np.sign(np.linalg.det(matrices))[:, None]
    return matrices.astype(monoid.dtype)


@draw.register
def _(monoid: Sphere, source: Source) -> tuple[np.ndarray, ...]:
    """Pairs of unit quaternions; signed units where `exact`."""
    signs = source.rng.choice([-1.0, 1.0], (2, source.count, 1))
    pair = (signs[i] * _unit_keys(source, 4) for i in range(2))
    return tuple(quaternions.astype(monoid.dtype) for quaternions in pair)


@draw.register
def _(monoid: GatedOuter, source: Source) -> tuple[np.ndarray, ...]:
    key = _bounded(source.real((monoid.key_size,), monoid.dtype), 10.0).astype(monoid.dtype)
    value = source.real((monoid.value_size,), monoid.dtype)
    return key, value, source.unit(monoid.element[0].shape, monoid.decay_dtype)


@draw.register
def _(monoid: DeltaRule, source: Source) -> tuple[np.ndarray, ...]:
    """Keys of norm 1, strengths in [0, 2], decays in [0, 1]."""
    key = _unit_keys(source, monoid.key_size).astype(monoid.dtype)
    value = source.real((monoid.value_size,), monoid.dtype)
    strength = 2 * source.unit((), np.dtype(np.float64))
    return key, value, strength.astype(monoid.dtype), source.unit((), monoid.dtype)


@draw.register
def _(monoid: GeneralisedDelta, source: Source) -> tuple[np.ndarray, ...]:
    """Keys and directions of norm 1 at most, decays in [0, 1]: transitions of norm 2 at most."""
    key, erased, replaced = (_unit_keys(source, monoid.key_size) for _ in range(3))
    strength = source.unit((monoid.key_size,), np.dtype(np.float64))
    value = source.real((monoid.value_size,), monoid.dtype)
    decay = source.unit((monoid.key_size,), monoid.dtype)
    parts = (key.astype(monoid.dtype), value, decay)
    return *parts, erased.astype(monoid.dtype), (-strength * replaced).astype(monoid.dtype)


@draw.register
def _(monoid: StabilisedOuter, source: Source) -> tuple[np.ndarray, ...]:
    """Keys of norm 1; gates that differ by what the dtype resolves, some of them closed."""
    key = _unit_keys(source, monoid.key_size)
    value = source.real((monoid.value_size,), monoid.dtype)
    forget = np.zeros(source.count) if source.exact else -source.unit((), np.dtype(np.float64))
    reach = 3.0 if monoid.dtype.itemsize == 2 else 20.0
    write = (
        np.zeros(source.count) if source.exact else source.rng.uniform(-reach, reach, forget.shape)
    )
    if not source.mild:
        forget = np.where(source.flags((), 0.1), -np.inf, forget)
        write = np.where(source.flags((), 0.1), -np.inf, write)
    gates = (gate.astype(monoid.dtype) for gate in (forget, write))
    return key.astype(monoid.dtype), value, *gates


@draw.register
def _(monoid: Kalman, source: Source) -> tuple[np.ndarray, ...]:
    """Steps of random models: stable transitions, noise that may lack a direction, few sensors."""
    n, m = monoid.n, (monoid.n + 1) // 2
    wide = np.dtype(np.float64)
    roots = _bounded(source.real((n, n), wide), 1.0)
    model = (
        _bounded(source.real((n, n), wide), 1.0),
        roots @ np.swapaxes(roots, 1, 2),
        _bounded(source.real((m, n), wide), 1.0),
        np.eye(m) * source.rng.uniform(0.5, 2.0, (source.count, 1, 1)),
        source.real((m,), wide),
    )
    steps = _kalman_elements()(*(part.astype(monoid.dtype) for part in model))
    return tuple(np.asarray(part) for part in steps)


@functools.cache
def _kalman_elements() -> Callable:
    """Compiled once for all draws of as many rows."""
    return jax.jit(jax.vmap(kalman_element), compiler_options=compiler_options())


def _bounded(rows: np.ndarray, limit: float) -> np.ndarray:
    """Rows (matrices or vectors) scaled down to a norm of at most `limit`, computed in wide floats."""
    wide = rows.astype(np.complex128 if rows.dtype.kind == "c" else np.float64)
    norm = np.linalg.norm(wide, 2 if rows.ndim == 3 else None, axis=tuple(range(1, rows.ndim)))
    scale = np.minimum(1.0, limit / np.maximum(norm, 1e-30))
    return wide * scale.reshape((-1,) + (1,) * (rows.ndim - 1))


def _unit_keys(source: Source, size: int) -> np.ndarray:
    """Directions of every kind; coordinate axes where `exact`, and for a row of zeros."""
    rows = source.real((size,), np.dtype(np.float64))
    axes = np.eye(size)[source.rng.integers(0, size, source.count)]
    norm = np.linalg.norm(rows, axis=1, keepdims=True)
    if source.exact:
        return axes
    return np.where(norm > 0, rows / np.where(norm > 0, norm, 1.0), axes)


def _orthogonal(source: Source, size: int, dtype: np.dtype) -> np.ndarray:
    rows = source.rng.normal(size=(2, source.count, size, size))
    random = rows[0] + 1j * rows[1] if dtype.kind == "c" else rows[0]
    return np.linalg.qr(random)[0].astype(dtype)


def _permutations(source: Source, size: int) -> np.ndarray:
    return np.argsort(source.rng.random((source.count, size)), axis=1)


def _maps(source: Source, size: int) -> np.ndarray:
    return source.rng.integers(0, size, (source.count, size))


def _forbidding(source: Source, scores: np.ndarray) -> np.ndarray:
    """Some entries -inf and, unless mild, some whole rows; mild products always leave a path."""
    forbidden = source.flags(scores.shape[1:])
    if source.mild:
        forbidden &= ~np.eye(scores.shape[1], dtype=bool)
    else:
        forbidden |= source.flags((scores.shape[1], 1), 0.1)
    return np.where(forbidden, np.full_like(scores, -np.inf), scores)
