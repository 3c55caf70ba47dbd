"""The laws of semigroups and monoids."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..algebra import AbstractMonoid, AbstractSemigroup
from ._law import Law, Sides


def associativity(m: AbstractSemigroup, x: Any, y: Any, z: Any) -> Sides:
    """(x • y) • z = x • (y • z).

    Usually: the operator depends on how a sequence is cut, so a parallel scan and a loop differ.
    """
    return m.combine(m.combine(x, y), z), m.combine(x, m.combine(y, z))


def no_nan(m: AbstractSemigroup, x: Any, y: Any) -> Sides:
    """x • y holds no NaN where x and y hold none.

    Usually: infinities cancel or multiply a zero (a mask is multiplied, a division is not guarded);
    select with jnp.where before and after.
    """
    return _no_nan(m.combine(x, y)) | ~(_no_nan(x) & _no_nan(y)), jnp.ones((), jnp.bool_)


def left_identity(m: AbstractMonoid, x: Any) -> Sides:
    """e • x = x.

    Usually: identity() is not neutral on the left; is it perhaps an initial state?
    """
    return m.combine(neutral(m), x), x


def right_identity(m: AbstractMonoid, x: Any) -> Sides:
    """x • e = x.

    Usually: identity() is not neutral on the right; is a part of the earlier element lost?
    """
    return m.combine(x, neutral(m)), x


def canon_of_product(m: AbstractMonoid, x: Any, y: Any) -> Sides:
    """canon(x) • canon(y) = x • y, where equal means: the same canon.

    Usually: canon joins elements that do not mean the same, so combine tells them apart.
    """
    return m.combine(m.canon(x), m.canon(y)), m.combine(x, y)


SEMIGROUP: dict[str, Law] = {"associativity": associativity, "no_nan": no_nan}
MONOID: dict[str, Law] = {
    "left_identity": left_identity,
    "right_identity": right_identity,
    "canon_of_product": canon_of_product,
}


def neutral(m: AbstractMonoid) -> Any:
    """The identity, as a value that the compiler does not know: it would simplify faults away."""
    return jax.lax.optimization_barrier(m.identity())


def _no_nan(tree: Any) -> Array:
    flags = [~jnp.any(jnp.isnan(leaf)) for leaf in jax.tree.leaves(tree) if _is_inexact(leaf)]
    return jnp.all(jnp.stack([jnp.ones((), jnp.bool_), *flags]))


def _is_inexact(leaf: Array) -> bool:
    return bool(jnp.issubdtype(leaf.dtype, jnp.inexact))
