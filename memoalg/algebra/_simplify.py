"""Rewriting a monoid until no rule fires."""

import functools
from collections.abc import Iterator

from ._congruence import inside, operands_of
from ._monoid import AbstractSemigroup
from ._rewriting import Rewriting, unchanged
from ._rules import RULES


def simplify(monoid: AbstractSemigroup) -> Rewriting:
    """The cheaper monoid that does the same work, and the maps between the two.

    | rule | from | to |
    |---|---|---|
    | `fold_reset` | `Resettable(SemidirectProduct(a, b))`, a with a zero | `SemidirectProduct(a₀, b)` |
    | `merge_resets` | `Resettable(Resettable(m))` | `Resettable(m)` |
    | `join_semidirect` | a product of semidirect products | a semidirect product of products |
    | `merge_maps` | `Map(Map(m, f), g)` | `Map(m, f.then(g))` |
    | `cancel_duals` | `Dual(Dual(m))` | `Regular(m)` |
    | `drop_regular` | `Regular(m)`, where m acts on itself | `m` |
    | `merge_powers` | `Power(Power(m, n), k)` | `Power(m, k * n)` |
    | `drop_units` | a product with `Unit` | without it |

    Rules fire inside operands first. The result does not depend on the order, and applying it twice
    changes nothing. What depends on *data* being equal (one shared decay, one shared flag) is not a
    rewriting: write `SemidirectProduct(a, b1 * b2)`, `Resettable(a * b)`.

    Arguments:
        monoid: any monoid or semigroup.

    Returns:
        The [`memoalg.Rewriting`][]; where nothing fires, its `monoid` is the one given.

    Raises:
        TypeError: where `monoid` is not a semigroup.

    Example:
        A reset of a linear recurrence is a decay of zero.

        >>> import jax.numpy as jnp, memoalg as ma
        >>> rewriting = ma.simplify(ma.Resettable(ma.Affine()))
        >>> element = (jnp.float32(0.9), jnp.float32(2.0)), jnp.array(True)
        >>> print(*rewriting.on_elements(element))
        0.0 2.0
    """
    if not isinstance(monoid, AbstractSemigroup):
        raise TypeError(
            f"simplify takes a monoid, got {type(monoid).__name__}; of a layer, give layer.monoid"
        )
    return _simplified(monoid)


@functools.cache
def _simplified(monoid: AbstractSemigroup) -> Rewriting:
    rewriting = _simplify_operands(monoid)
    for rule in RULES.values():
        fired = rule(rewriting.monoid)
        if fired is not None:
            rewriting = rewriting.then(fired)
            # What the rule made may have something to rewrite inside, or again at the top.
            return rewriting.then(_simplified(fired.monoid))
    return rewriting


def _simplify_operands(monoid: AbstractSemigroup) -> Rewriting:
    operands = operands_of(monoid)
    parts = tuple(_simplified(operand) for operand in operands)
    if any(part.rules for part in parts):
        whole = inside(monoid, parts)
        if whole is not None:
            return whole
        # One operand may be rewritten where all of them together may not.
        for step in _inner_steps(monoid):
            return step.then(_simplify_operands(step.monoid))
    return unchanged(monoid)


def steps(monoid: AbstractSemigroup) -> Iterator[Rewriting]:
    """Every single application of a rule, anywhere in the tree."""
    for rule in RULES.values():
        fired = rule(monoid)
        if fired is not None:
            yield fired
    yield from _inner_steps(monoid)


def _inner_steps(monoid: AbstractSemigroup) -> Iterator[Rewriting]:
    operands = operands_of(monoid)
    for place, operand in enumerate(operands):
        for step in steps(operand):
            parts = tuple(
                step if i == place else unchanged(other) for i, other in enumerate(operands)
            )
            whole = inside(monoid, parts)
            if whole is not None:
                yield whole
