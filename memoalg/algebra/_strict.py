"""Strict zeros: a reset as an element of the acting part of a semidirect product."""

import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, PyTree

from .._tree import tree_where
from ._action import AbstractAction, MultiplyAction, ShiftAction
from ._action_matrix import MatmulAction, MatvecAction
from ._add import Add
from ._dual import Dual
from ._inverse import group_in, has_zero, zero
from ._log_sum_exp import LogSumExp
from ._mat_mul import MatMul
from ._max import Max
from ._monoid import AbstractCombinator, AbstractMonoid, DirectProduct
from ._multiply import Multiply
from ._traits import Tracks, is_commutative, is_elementwise, tracks


class Strict(AbstractCombinator[Array]):
    r"""A monoid of arrays whose zero absorbs *everything*, NaN and inf included: $A_0$.

    One value stands for the zero: 0 for products, $-\infty$ for sums of logarithms. In floating point
    $0 \cdot \mathrm{NaN}$ is NaN, so a decay of zero would not forget a NaN; here it is a select. This is
    what [`memoalg.simplify`][] folds resets into; there is seldom a reason to write it. The derivative
    with respect to an operand that meets a zero is taken as zero.

    Arguments:
        monoid: whose elements are single arrays.
        value: of every entry of the zero.
        whole: the zero is the array all of whose entries are `value`; otherwise each entry counts for
            itself.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> m = ma.algebra.Strict(ma.Multiply(), 0.0)
        >>> print(m.combine(jnp.float32(jnp.nan), jnp.float32(0)))
        0.0
    """

    monoid: AbstractMonoid[Array, Any]
    value: float = eqx.field(static=True)
    whole: bool = eqx.field(static=True, default=False)

    def is_zero(self, element: Array) -> Bool[Array, "..."]:
        """Where an element is the zero: one flag if `whole`, else one for each entry."""
        equal = element == jnp.asarray(self.value, element.dtype)
        return jnp.all(equal) if self.whole else equal

    def identity(self) -> Array:
        return self.monoid.identity()

    def combine(self, left: Array, right: Array) -> Array:
        either = self.is_zero(left) | self.is_zero(right)
        neutral = self.monoid.identity()
        # Selected before as well as after: NaN in what is not used must not reach a gradient.
        product = self.monoid.combine(
            tree_where(either, neutral, left), tree_where(either, neutral, right)
        )
        return tree_where(either, jnp.full_like(product, self.value), product)

    def canon(self, element: Array) -> Array:
        return self.monoid.canon(element)


class StrictAction(AbstractAction):
    r"""An action whose zero sends everything to the identity, NaN and inf too: $b \triangleleft 0 = e$.

    Arguments:
        action: of the acting monoid on the base.
        acting: the acting monoid, with its strict zero.
        base: the monoid acted on.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> folded = ma.simplify(ma.Resettable(ma.Affine())).monoid
        >>> print(folded.action(jnp.float32(jnp.inf), jnp.float32(0)))
        0.0
    """

    action: AbstractAction
    acting: Strict
    base: AbstractMonoid

    def __call__(self, base: PyTree, acting: Array) -> PyTree:
        forgets = self.acting.is_zero(acting)
        neutral = self.base.identity()
        moved = self.action(tree_where(forgets, neutral, base), acting)
        return tree_where(forgets, neutral, moved)


class ProductAction(AbstractAction):
    """The action of a direct product on a direct product, component by component.

    Arguments:
        actions: one for each factor.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> both = ma.algebra.ProductAction((ma.multiply, ma.shift))
        >>> one, three = jnp.float32(1), jnp.float32(3)
        >>> print(*both((three, three), (one, one)))
        3.0 4.0
    """

    actions: tuple[AbstractAction, ...]

    def __call__(self, base: tuple, acting: tuple) -> tuple:
        triples = zip(self.actions, base, acting, strict=True)
        return tuple(action(b, a) for action, b, a in triples)


def strictly(
    acting: AbstractMonoid, base: AbstractMonoid, action: AbstractAction
) -> tuple[AbstractMonoid, AbstractAction] | None:
    """The acting monoid and the action with a strict zero; None where there is none that forgets."""
    if isinstance(action, StrictAction):
        return acting, action
    if isinstance(action, ProductAction):
        return _strict_product(acting, base, action)
    value = forgetting_value(action, acting, base)
    if value is None:
        return None
    strict = Strict(acting, value, whole=not is_elementwise(action))
    return strict, StrictAction(action, strict, base)


def _strict_product(
    acting: Any, base: Any, action: ProductAction
) -> tuple[AbstractMonoid, AbstractAction] | None:
    triples = zip(acting.factors, base.factors, action.actions, strict=True)
    parts = [strictly(*triple) for triple in triples]
    if any(part is None for part in parts):
        return None
    pairs = [part for part in parts if part is not None]
    return DirectProduct(*(m for m, _ in pairs)), ProductAction(tuple(a for _, a in pairs))


@functools.singledispatch
def forgetting_value(
    action: AbstractAction, acting: AbstractMonoid, base: AbstractMonoid
) -> float | None:
    r"""The value of an acting element z with $b \triangleleft z = e$ for every (finite) b, or None.

    It must absorb as well, $a \bullet z = z \bullet a = z$. An action of one's own may register its
    answer.
    """
    return None


@forgetting_value.register
def _(action: MultiplyAction, acting: AbstractMonoid, base: AbstractMonoid) -> float | None:
    return 0.0 if isinstance(acting, Multiply) and _made_of(base, (Add,)) else None


@forgetting_value.register
def _(action: ShiftAction, acting: AbstractMonoid, base: AbstractMonoid) -> float | None:
    if not isinstance(acting, Add) or not jnp.issubdtype(acting.dtype, jnp.floating):
        return None
    dtypes = [leaf.dtype for leaf in jax.tree.leaves(base.element)]
    floats = all(jnp.issubdtype(dtype, jnp.floating) for dtype in dtypes)
    return -np.inf if floats and _made_of(base, (Max, LogSumExp)) else None


@forgetting_value.register
def _(
    action: MatmulAction | MatvecAction, acting: AbstractMonoid, base: AbstractMonoid
) -> float | None:
    matrices = acting.monoid if isinstance(acting, Dual) else acting
    return 0.0 if isinstance(matrices, MatMul) and _made_of(base, (Add,)) else None


def _made_of(monoid: Any, kinds: tuple[type, ...]) -> bool:
    if isinstance(monoid, DirectProduct):
        return all(_made_of(factor, kinds) for factor in monoid.factors)
    return isinstance(monoid, kinds)


@has_zero.register
def _(monoid: Strict) -> bool:
    return True


@zero.register
def _(monoid: Strict) -> Array:
    return jnp.full_like(monoid.monoid.identity(), monoid.value)


@is_commutative.register
def _(monoid: Strict) -> bool:
    return is_commutative(monoid.monoid)


@is_elementwise.register
def _(monoid: Strict) -> bool:
    return is_elementwise(monoid.monoid) and not monoid.whole


@is_elementwise.register
def _(action: StrictAction) -> bool:
    return is_elementwise(action.action) and is_elementwise(action.acting)


@is_elementwise.register
def _(action: ProductAction) -> bool:
    return all(is_elementwise(part) for part in action.actions)


@tracks.register
def _(monoid: Strict) -> Tracks:
    return tracks(monoid.monoid)


@group_in.register
def _(monoid: Strict) -> tuple[Array, ...]:
    return group_in(monoid.monoid)
