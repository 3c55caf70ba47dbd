"""The laws of resets: what lies before a start is forgotten, NaN and gradients included."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._tree import split_inexact, tree_where
from ..algebra import AbstractMonoid, Resettable
from ..scans import AbstractMethod
from ._containment import SELECTED
from ._law import Law, Sides
from ._poison import total
from ._scan import LOOP, TREE, expanded, joined, rows, states
from ._share import shared

METHODS = (LOOP, TREE)


def reset_cases(lifted: Resettable, x: Any, y: Any, i: Array, j: Array) -> Sides:
    """(x, i) ∘ (y, j) = (y if j else x • y, i ∨ j), in all four cases of i and j.

    Usually: the flag is read on the wrong side or lost, or the identity is not neutral.
    """
    plain = lifted.monoid.combine(x, y)
    return lifted.combine((x, i), (y, j)), (tree_where(j, y, plain), i | j)


def reset_episodes(m: AbstractMonoid, xs: Any) -> Sides:
    """States with a start = the states of each episode, run alone.

    Usually: something passes a start: the state there is not initial_state().
    """
    whole = tuple(_row(states, 0) for states in _variants(m, xs, _states))
    parts = [rows(xs, 0, 1), rows(xs, 1, None)]
    alone = joined(*(states(m, (part, None), TREE)[1] for part in parts))
    return whole, tuple(alone for _ in METHODS)


def reset_containment(m: AbstractMonoid, xs: Any) -> Sides:
    """States after a start, bit for bit, with NaN or inf planted before it = without.

    Usually: a reset multiplies by a mask (0 · NaN is NaN) instead of selecting, or act mixes episodes.
    """
    return _poisoned_and_clean(_variants(m, xs, _states))


def reset_gradient_containment(m: AbstractMonoid, xs: Any) -> Sides:
    """Gradients of the inputs after a start, with NaN or inf planted before it = without.

    Usually: a select of the output keeps a NaN in the gradient; select the input, on both sides.
    """
    return _poisoned_and_clean(_variants(m, xs, _gradients))


def reset_gradient_finite(m: AbstractMonoid, xs: Any) -> Sides:
    """Gradients of the states of an episode are finite.

    Usually: an infinity of the identity reaches a derivative; select with jnp.where before and after.
    """
    leaves = jax.tree.leaves([_row(g, 0) for g in _variants(m, xs, _gradients)])
    return [jnp.isfinite(leaf) for leaf in leaves], [jnp.ones(x.shape, jnp.bool_) for x in leaves]


def identity_gradient(m: AbstractMonoid, xs: Any) -> Sides:
    """The gradients of e • x, x • e and e • e are finite.

    Usually: an infinity of the identity reaches a derivative; select with jnp.where before and after.
    """
    elements = jax.tree.map(lambda leaf: leaf[0], expanded(m, xs))
    e = m.identity()
    pairs = [(e, elements), (elements, e), (e, e)]
    moving, still = split_inexact(jax.tree.map(lambda *leaves: jnp.stack(leaves), *pairs))

    def loss(moving: Any, still: Any) -> Array:
        left, right = eqx.combine(moving, still)
        return total(m.combine(left, right))

    leaves = jax.tree.leaves(jax.vmap(jax.grad(loss))(moving, still))
    return [jnp.isfinite(leaf) for leaf in leaves], [jnp.ones(x.shape, jnp.bool_) for x in leaves]


def reset_gradient_zero(m: AbstractMonoid, xs: Any) -> Sides:
    """The gradient of what follows a start in the inputs before it is exactly zero.

    Usually: something passes a start.
    """
    before = [_row(_row(g, 0), 0) for g in _variants(m, xs, _gradients)]
    return before, jax.tree.map(jnp.zeros_like, before)


RESET: dict[str, Law] = {"reset_episodes": reset_episodes, "reset_containment": reset_containment}
RESET_GRADIENT: dict[str, Law] = {
    "identity_gradient": identity_gradient,
    "reset_gradient_finite": reset_gradient_finite,
    "reset_gradient_containment": reset_gradient_containment,
    "reset_gradient_zero": reset_gradient_zero,
}
RESETTABLE: dict[str, Law] = {"reset_cases": reset_cases}
BITWISE = (
    "reset_containment",
    "reset_gradient_zero",
    *SELECTED,
)
"""Laws whose sides are computed by the same program: they are compared bit for bit.

Gradients are not: a compiler may round the lanes of one vector instruction otherwise than what does not
fill one. What leaks is NaN, which no tolerance hides.
"""


def resets_of(m: AbstractMonoid) -> dict[str, Law]:
    """The laws of resets that apply to a monoid: those of values."""
    inexact = any(jnp.issubdtype(leaf.dtype, jnp.inexact) for leaf in jax.tree.leaves(m.element))
    return RESET if inexact else {"reset_episodes": reset_episodes}


@shared
def _variants(m: AbstractMonoid, xs: Any, function: Callable) -> tuple[Any, ...]:
    """Per method, results with nothing, NaN and inf planted before a start.

    One program computes them on several inputs, so that bits may be compared.
    """

    def run(poison: Array) -> tuple[Any, ...]:
        planted = jax.tree.map(lambda leaf: plant(leaf, poison), xs)
        return tuple(function(m, planted, method) for method in METHODS)

    return jax.vmap(run)(jnp.array([0.0, jnp.nan, jnp.inf]))


def _poisoned_and_clean(variants: tuple[Any, ...]) -> Sides:
    after = jax.tree.map(lambda leaf: leaf[:, 1:], variants)
    return _row(after, slice(1, None)), jax.tree.map(lambda x: jnp.stack([x[0], x[0]]), after)


def _states(m: AbstractMonoid, xs: Any, method: AbstractMethod) -> Any:
    """Along a sequence with one start, after the first step: what is poisoned is that step alone."""
    start = jnp.arange(jax.tree.leaves(xs)[0].shape[0]) == 1
    return states(m, (xs, start), method)[1]


def _gradients(m: AbstractMonoid, xs: Any, method: AbstractMethod) -> Any:
    """Of the states after the start, in all inputs."""
    moving, still = split_inexact(xs)

    def loss(moving: Any) -> Array:
        after = _row(_states(m, eqx.combine(moving, still), method), slice(1, None))
        return total(after)

    return jax.grad(loss)(moving)


def _row(tree: Any, index: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf[index], tree)


def plant(leaf: Array, poison: Array) -> Array:
    """The first step replaced, unless the poison is 0, which leaves it."""
    if not jnp.issubdtype(leaf.dtype, jnp.inexact):
        return leaf
    bad = jnp.full_like(leaf[0], 1.0) * poison.astype(leaf.dtype)
    return leaf.at[0].set(jax.lax.select(poison == 0, leaf[0], bad))
