r"""Rounding, or a broken law? The tolerance rule.

Sides that are integers or bools must be equal. Floating sides pass where they differ by at most 16
units of rounding of the largest number in the case. Where they differ by more, the law is judged in
double precision, on the same inputs: by the triangle inequality the sides may differ by what
each of them differs from its own double-precision value, and by no more, so it is the *oracle's* sides
that must agree. Overflow of a narrow dtype is judged in the same way. NaN equals NaN.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from .._tree import key_path

UNITS = 16.0


class Verdict(NamedTuple):
    """Which cases fail, and the address of the first leaf that differs, per case."""

    failing: np.ndarray
    leaf: list[str | None]


def judge(
    sides: tuple[Any, Any],
    inputs: Any,
    oracle: tuple[Any, Any] | None,
    tolerance: float | None,
    bitwise: bool = False,
    alone: bool = False,
) -> Verdict:
    """Compare both sides, case by case.

    Arguments:
        sides: two trees with a leading axis of cases.
        inputs: what the law was given, with the same axis.
        oracle: both sides in double precision, where the narrow ones leave a doubt.
        tolerance: the user's, in units of rounding; then there is no oracle.
        bitwise: the sides must be equal.
        alone: there is no oracle, so what rounding may do is estimated from the sizes of the factors.
    """
    pairs = list(
        zip(jtu.tree_flatten_with_path(sides[0])[0], jax.tree.leaves(sides[1]), strict=True)
    )
    if not pairs:
        return Verdict(np.zeros(1, bool), [None])
    given = _magnitudes(inputs, pairs[0][1].shape[0])
    wrong = []
    for (_, left), right in pairs:
        wrong.append(_differs(left, right, given, tolerance, bitwise, alone))
    failing = np.any(wrong, axis=0)
    if oracle is not None and tolerance is None and not bitwise:
        failing &= judge(oracle, inputs, None, None).failing
    names = [key_path(path) for (path, _), _ in pairs]
    leaves = [names[int(np.argmax(column))] for column in np.array(wrong).T]
    return Verdict(
        failing, [leaf if bad else None for leaf, bad in zip(leaves, failing, strict=True)]
    )


def out_of_range(sides: tuple[Any, Any]) -> np.ndarray:
    """Per case, whether a number is finite on one side and infinite or NaN on the other."""
    lost = []
    for left, right in zip(*map(jax.tree.leaves, sides), strict=True):
        if jnp.issubdtype(left.dtype, jnp.inexact):
            differs = np.isfinite(_wide(left)) != np.isfinite(_wide(right))
            lost.append(differs.reshape(len(left), -1).any(axis=1))
    return np.any(lost, axis=0)


class Magnitudes(NamedTuple):
    """The largest number among the inputs of each case, and the product of those of each input."""

    largest: np.ndarray
    product: np.ndarray


def _magnitudes(inputs: Any, cases: int) -> Magnitudes:
    largest, product = np.zeros(cases), np.ones(cases)
    for value in inputs:
        sizes = [_size(leaf, cases) for leaf in jax.tree.leaves(value)]
        size = np.max([np.zeros(cases), *sizes], axis=0)
        largest = np.maximum(largest, size)
        with np.errstate(over="ignore"):
            product = product * np.maximum(1.0, size)
    return Magnitudes(largest, product)


def _size(leaf: np.ndarray, cases: int) -> np.ndarray:
    if not jnp.issubdtype(leaf.dtype, jnp.inexact):
        return np.zeros(cases)
    values = np.abs(_wide(leaf)).reshape(cases, -1)
    return np.max(np.where(np.isfinite(values), values, 0.0), axis=1, initial=0.0)


def _wide(leaf: np.ndarray) -> np.ndarray:
    is_complex = jnp.issubdtype(leaf.dtype, jnp.complexfloating)
    return leaf.astype(np.complex128 if is_complex else np.float64)


def _differs(
    left: np.ndarray,
    right: np.ndarray,
    given: Magnitudes,
    tolerance: float | None,
    bitwise: bool,
    alone: bool,
) -> np.ndarray:
    """Per case, whether a leaf of the two sides differs by more than rounding."""
    left, right = np.asarray(left), np.asarray(right)
    cases = left.shape[0]
    if not jnp.issubdtype(left.dtype, jnp.inexact):
        return (left != right).reshape(cases, -1).any(axis=1)
    a, b = _wide(left).reshape(cases, -1), _wide(right).reshape(cases, -1)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    if bitwise:
        return ~same.all(axis=1)
    scale = np.maximum(given.largest, np.maximum(_size(left, cases), _size(right, cases)))
    finite = np.isfinite(a) & np.isfinite(b)
    bound = _bound(left, scale, given, tolerance, alone)[:, None]
    with np.errstate(invalid="ignore", over="ignore"):
        close = np.abs(np.where(finite, a - b, np.inf)) <= bound
    overflow = alone & ~finite & (scale > float(jnp.finfo(left.dtype).max) ** 0.25)[:, None]
    return ~(same | (finite & close) | overflow).all(axis=1)


def _bound(
    leaf: np.ndarray,
    scale: np.ndarray,
    given: Magnitudes,
    tolerance: float | None,
    alone: bool,
) -> np.ndarray:
    eps = float(jnp.finfo(leaf.dtype).eps)
    if tolerance is not None:
        return tolerance * eps * np.maximum(1.0, scale)
    is_wide = leaf.dtype.itemsize // (1 + np.iscomplexobj(leaf)) >= 8
    if not is_wide and not alone:
        return UNITS * eps * scale
    # In double precision there is room: products that cancel may lose what their factors' sizes say,
    # and inverses a little more, and a real fault is still far larger.
    with np.errstate(over="ignore", invalid="ignore"):
        relative = UNITS * eps * given.product / np.where(scale > 0, scale, 1.0)
    least, most = (1e-9, 1e-6) if is_wide else (UNITS * eps, max(UNITS * eps, 2e-4))
    return scale * np.clip(relative, least, most)
