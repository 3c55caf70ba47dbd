"""NaN and inf, planted in values that are to be forgotten."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ._law import Sides

POISONS = (jnp.nan, jnp.inf)


def poisoned(tree: Any, poison: Array) -> Any:
    """Every floating number replaced, unless the poison is 0, which leaves them."""

    def replaced(leaf: Array) -> Array:
        if not jnp.issubdtype(leaf.dtype, jnp.inexact):
            return leaf
        bad = jnp.full_like(leaf, 1.0) * poison.astype(leaf.dtype)
        return jax.lax.select(jnp.broadcast_to(poison == 0, leaf.shape), leaf, bad)

    return jax.tree.map(replaced, tree)


def with_poison(function: Callable[[Array], Any], *poisons: float) -> Sides:
    """The function's results for each poison, and those without, as often.

    One program computes them all, so that bits may be compared.
    """
    results = jax.vmap(function)(jnp.array([0.0, *(poisons or POISONS)]))
    planted = jax.tree.map(lambda leaf: leaf[1:], results)
    return planted, jax.tree.map(
        lambda leaf, p: jnp.broadcast_to(leaf[0], p.shape), results, planted
    )


def same_bits(one: Any, other: Any) -> Array:
    """Whether two trees hold the same numbers."""
    flags = [jnp.all(a == b) for a, b in zip(*map(jax.tree.leaves, (one, other)), strict=True)]
    return jnp.all(jnp.stack([jnp.ones((), jnp.bool_), *flags]))


def finite_sum(leaf: Array) -> Array:
    """The sum of the real parts that are finite, in the default float."""
    if not jnp.issubdtype(leaf.dtype, jnp.inexact):
        return jnp.zeros(())
    real = jnp.real(leaf)
    finite = jnp.where(jnp.isfinite(real), real, jnp.zeros_like(real))
    return jnp.sum(finite).astype(jnp.zeros(()).dtype)


def total(tree: Any) -> Array:
    """The sum of all numbers of a tree that are finite."""
    return sum((finite_sum(leaf) for leaf in jax.tree.leaves(tree)), jnp.zeros(()))
