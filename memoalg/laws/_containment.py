"""The laws of forgetting: what means nothing may be NaN, and nobody notices.

Each compares a computation with NaN or inf planted in what is forgotten with the same one without: bit
for bit where the result is selected, and up to rounding where it is a product, which a compiler may
round otherwise in one lane of a vector than in another. What leaks is NaN, which no tolerance hides.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._tree import split_inexact, tree_where
from ..algebra import AbstractMonoid, Homomorphism, Resettable, SemidirectProduct, Strict, zero
from ._law import Law, Sides
from ._poison import poisoned, same_bits, total, with_poison


def canon_containment(m: AbstractMonoid, x: Any, y: Any) -> Sides:
    """x̃ • y = x • y and y • x̃ = y • x for x̃ = x with NaN or inf in it, where canon(x̃) = canon(x).

    Usually: what means nothing is multiplied by a mask (0 · NaN is NaN) instead of selected away.
    """

    def products(poison: Array) -> Any:
        bad = poisoned(x, poison)
        means_the_same = same_bits(m.canon(bad), m.canon(x))
        kept = tree_where(means_the_same, bad, x)
        return m.combine(kept, y), m.combine(y, kept)

    return with_poison(products)


def reset_cases_containment(lifted: Resettable, x: Any, y: Any, i: Array) -> Sides:
    """(x, i) ∘ (y, true), bit for bit, with NaN or inf planted in x = without.

    Usually: the lift multiplies by a mask (0 · NaN is NaN) instead of selecting.
    """
    return with_poison(lambda poison: _restarted(lifted, poisoned(x, poison), y, i))


def reset_cases_gradient(lifted: Resettable, x: Any, y: Any, i: Array) -> Sides:
    """The gradient of (x, i) ∘ (y, true) in y, bit for bit, with NaN or inf planted in x = without.

    Usually: a select of the output keeps a NaN in the gradient; select the input.
    """
    moving, still = split_inexact(y)

    def slope(poison: Array) -> Any:
        def loss(moving: Any) -> Array:
            later = eqx.combine(moving, still)
            return total(_restarted(lifted, poisoned(x, poison), later, i))

        return {"gradient": jax.grad(loss)(moving)}

    return with_poison(slope)


def strict_zero(m: Strict, x: Any) -> Sides:
    """0 • x = x • 0 = 0 for every x, NaN and inf included.

    Usually: the zero is multiplied instead of selected.
    """

    def products(poison: Array) -> Any:
        bad = poisoned(x, poison)
        return m.combine(zero(m), bad), m.combine(bad, zero(m))

    found = jax.vmap(products)(jnp.array([0.0, jnp.nan, jnp.inf]))
    return found, jax.tree.map(lambda leaf: jnp.full_like(leaf, m.value), found)


def strict_zero_gradient(m: Strict, x: Any) -> Sides:
    """The gradients of 0 • x and x • 0 are zero for every x, NaN and inf included.

    Usually: a select of the output keeps a NaN in the gradient; select the inputs as well.
    """

    def slope(poison: Array) -> Any:
        def loss(nothing: Any, bad: Any) -> Array:
            return total((m.combine(nothing, bad), m.combine(bad, nothing)))

        return {"gradient": jax.grad(loss, argnums=(0, 1))(zero(m), poisoned(x, poison))}

    found = jax.vmap(slope)(jnp.array([0.0, jnp.nan, jnp.inf]))
    return found, jax.tree.map(jnp.zeros_like, found)


def strict_action(m: SemidirectProduct, b: Any) -> Sides:
    """b ◁ 0 = e for every b, NaN and inf included.

    Usually: the zero is multiplied instead of selected.
    """
    nothing = zero(m.acting)
    moved = jax.vmap(lambda poison: m.action(poisoned(b, poison), nothing))(
        jnp.array([0.0, jnp.nan, jnp.inf])
    )
    neutral = m.base.identity()
    return moved, jax.tree.map(lambda e, leaf: jnp.broadcast_to(e, leaf.shape), neutral, moved)


def homomorphism_containment(h: Homomorphism, x: Any, y: Any) -> Sides:
    """h(x̃) • h(y) = h(x) • h(y) for x̃ = x with NaN in it, where x̃ • y = x • y.

    Usually: what the source forgets (at a start, say) the target multiplies by zero: 0 · NaN is NaN.
    """

    def products(poison: Array) -> Any:
        bad = poisoned(x, poison)
        forgotten = same_bits(h.source.combine(bad, y), h.source.combine(x, y))
        kept = tree_where(forgotten, bad, x)
        return h.target.combine(h.function(kept), h.function(y))

    return with_poison(products, jnp.nan)


CANON_CONTAINMENT: dict[str, Law] = {"canon_containment": canon_containment}
RESETTABLE_CONTAINMENT: dict[str, Law] = {"reset_cases_containment": reset_cases_containment}
RESETTABLE_GRADIENT: dict[str, Law] = {"reset_cases_gradient": reset_cases_gradient}
STRICT: dict[str, Law] = {
    "strict_zero": strict_zero,
    "strict_zero_gradient": strict_zero_gradient,
}
STRICT_ACTION: dict[str, Law] = {"strict_action": strict_action}
HOMOMORPHISM_CONTAINMENT: dict[str, Law] = {"homomorphism_containment": homomorphism_containment}
SELECTED = tuple(RESETTABLE_CONTAINMENT | RESETTABLE_GRADIENT | STRICT | STRICT_ACTION)
"""Names of those whose sides are selected, whatever else was computed: they are equal bit for bit."""


def _restarted(lifted: Resettable, x: Any, y: Any, i: Array) -> Any:
    return lifted.combine((x, i), (y, jnp.ones((), jnp.bool_)))
