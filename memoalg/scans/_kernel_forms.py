"""Which monoids a kernel knows."""

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from ..algebra import Add, DirectProduct, LogSumExp, Max, Min, Multiply, SemidirectProduct
from ..algebra._action import MultiplyAction, ShiftAction
from ..algebra._strict import ProductAction, Strict, StrictAction
from ._kernel_recurrence import (
    AbstractRecurrence,
    AffineRecurrence,
    LogRecurrence,
    ShiftRecurrence,
)


def recurrence_of(monoid: Any) -> AbstractRecurrence | None:
    """The recurrence of a semidirect product of ground monoids of floats; None for others."""
    if not isinstance(monoid, SemidirectProduct):
        return None
    acting: Any = monoid.acting
    action: Any = monoid.action
    base: Any = monoid.base
    zero: Any = None
    if isinstance(acting, Strict) and isinstance(action, StrictAction) and not acting.whole:
        acting, action, zero = acting.monoid, action.action, acting.value
    if not isinstance(base, Add | Max | Min | LogSumExp):
        return None
    if not jnp.issubdtype(base.dtype, jnp.inexact):
        return None
    if isinstance(acting, Multiply) and isinstance(action, MultiplyAction):
        return AffineRecurrence(zero) if isinstance(base, Add) else None
    if not (isinstance(acting, Add) and isinstance(action, ShiftAction)):
        return None
    if isinstance(base, LogSumExp):
        return LogRecurrence(zero)
    if isinstance(base, Max | Min):
        return ShiftRecurrence(neutral=-math.inf if isinstance(base, Max) else math.inf, zero=zero)
    return None


def factors_of(monoid: Any) -> tuple[list[SemidirectProduct], Callable[[Any, int], Any]] | None:
    """A semidirect product over a direct product as its factors, and each one's acting part.

    One decay shared by several memories, or the joined product of `simplify`.
    """
    if not isinstance(monoid, SemidirectProduct) or not isinstance(monoid.base, DirectProduct):
        return None
    acting: Any = monoid.acting
    action: Any = monoid.action
    bases: Any = monoid.base.factors
    if isinstance(acting, DirectProduct):
        if not isinstance(monoid.action, ProductAction):
            return None
        triples: Any = zip(acting.factors, bases, action.actions, strict=True)
        return [SemidirectProduct(*triple) for triple in triples], _own
    is_strict = isinstance(acting, Strict)
    ground = acting.monoid if is_strict else acting
    if not isinstance(ground, Multiply | Add):
        return None
    products = []
    for factor in bases:
        own: Any = StrictAction(action.action, acting, factor) if is_strict else action
        products.append(SemidirectProduct(acting, factor, own))
    return products, _same


def _own(acting: Any, place: int) -> Any:
    return acting[place]


def _same(acting: Any, place: int) -> Any:
    return acting
