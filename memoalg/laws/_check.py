"""Check a monoid's laws on given elements."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from .._tree import key_path
from ..algebra import AbstractMonoid, AbstractSemigroup, describe
from ..scans._check import check_elements
from ._laws import MEANINGS, laws_of


class LawError(AssertionError):
    """A law does not hold: the message gives law, monoid, inputs and both sides.

    Example:
        >>> import memoalg as ma
        >>> issubclass(ma.laws.LawError, AssertionError)
        True
    """


# A traceback names what a user can import.
LawError.__module__ = "memoalg.laws"


def check(monoid: AbstractSemigroup, elements: Any, *, tolerance: float = 64.0) -> list[str]:
    """Check every law that applies, on all cyclic triples of the given elements.

    Give elements that are *reachable*: what `encode` makes of varied inputs (zero, large, tiny,
    repeated), and products of them; random numbers in the shape of an element often are not.

    Arguments:
        monoid: the monoid (or semigroup) to check.
        elements: the monoid's element with a leading axis of at least 3.
        tolerance: allowed difference, in units of the dtype's epsilon times the largest absolute value
            of the leaf (at least 1). Integers and bools must be equal.

    Returns:
        The names of the laws that were checked.

    Raises:
        LawError: for the first law that fails.
        ValueError: where the elements do not fit the monoid.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> ma.laws.check(ma.Add(), jnp.arange(4.0))[:3]
        ['associativity', 'left_identity', 'right_identity']
    """
    if check_elements(monoid, elements) < 3:
        raise ValueError("check needs at least 3 elements, to combine three at a time")
    laws = laws_of(monoid)
    rolled = [_rolled(elements, i) for i in range(3)]

    @jax.jit
    def both_sides(triples: list) -> dict[str, tuple[Any, Any]]:
        return {
            name: jax.vmap(law, (None, 0, 0, 0))(monoid, *triples) for name, law in laws.items()
        }

    sides = both_sides(rolled)
    for name in laws:  # in their own order: JAX sorts the keys of a dict
        left, right = sides[name]
        _require_equal(monoid, name, rolled, left, right, tolerance)
    return list(laws)


def _rolled(elements: Any, shift: int) -> Any:
    return jax.tree.map(lambda leaf: jnp.roll(leaf, -shift, axis=0), elements)


def _require_equal(
    monoid: AbstractSemigroup, law: str, inputs: list, left: Any, right: Any, tolerance: float
) -> None:
    # Elements are compared by the representative that the monoid picks; states have none.
    if law in ("associativity", "left_identity", "right_identity") and isinstance(
        monoid, AbstractMonoid
    ):
        left, right = jax.vmap(monoid.canon)(left), jax.vmap(monoid.canon)(right)
    pairs, _ = jtu.tree_flatten_with_path(left)
    for (path, one), other in zip(pairs, jax.tree.leaves(right), strict=True):
        wrong = _differs(np.asarray(one), np.asarray(other), tolerance)
        if wrong.any():
            case = int(np.argmax(wrong))
            raise LawError(_message(monoid, law, key_path(path), inputs, left, right, case))


def _differs(one: np.ndarray, other: np.ndarray, tolerance: float) -> np.ndarray:
    """Per case, whether the two sides differ by more than rounding; NaN equals NaN."""
    cases = one.shape[0]
    if not jnp.issubdtype(one.dtype, jnp.inexact):
        return (one != other).reshape(cases, -1).any(axis=1)
    wide = np.complex128 if jnp.issubdtype(one.dtype, jnp.complexfloating) else np.float64
    a, b = one.astype(wide).reshape(cases, -1), other.astype(wide).reshape(cases, -1)
    finite = np.isfinite(a) & np.isfinite(b)
    scale = np.maximum(1.0, np.max(np.abs(np.where(finite, a, 0.0)), initial=0.0))
    bound = tolerance * float(jnp.finfo(one.dtype).eps) * scale
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore"):
        close = np.abs(np.where(finite, a - b, np.inf)) <= bound
    return ~(same | (finite & close)).all(axis=1)


def _message(
    monoid: AbstractSemigroup, law: str, leaf: str, inputs: list, left: Any, right: Any, case: int
) -> str:
    def at(tree: Any) -> str:
        return str(jax.tree.map(lambda array: np.asarray(array[case]), tree))

    lines = [f"{law} fails for"]
    lines += ["  " + line for line in describe(monoid)]
    lines += [f"{name} = {at(value)}" for name, value in zip("xyz", inputs, strict=True)]
    lines += [
        f"left side  = {at(left)}",
        f"right side = {at(right)}",
        f"first difference: leaf {leaf}",
    ]
    return "\n".join([*lines, f"Usually: {MEANINGS[law]}."])
