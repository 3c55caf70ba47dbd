"""The rules of rewriting: one function each, with its statement, its conditions and its proof's idea."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax

from .._tree import tree_where
from ._dual import Dual
from ._functions import same
from ._inverse import zero
from ._map import Map
from ._monoid import AbstractMonoid, AbstractSemigroup, DirectProduct
from ._power import Power
from ._regular import Regular
from ._resettable import Resettable
from ._rewriting import Rewriting, acts_on_itself, relabel
from ._semidirect import SemidirectProduct
from ._strict import ProductAction, strictly
from ._unit import Unit

Rule = Callable[[AbstractSemigroup], Rewriting | None]


def fold_reset(monoid: AbstractSemigroup) -> Rewriting | None:
    r"""$\mathrm{Resettable}(A \ltimes B) \Rightarrow A_0 \ltimes B$: a start is a decay of zero.

    $$\varphi((a, b), f) = (0 \text{ if } f \text{ else } a,\; b).$$

    Condition: A has, or can be given, a zero with $b \triangleleft 0 = e$ for every b. The flag needs no
    room of its own. The zero is strict, so that NaN and inf before a start are forgotten too.
    Elements lose the flag; states are the same. Bitwise on finite values.
    """
    if not isinstance(monoid, Resettable) or not isinstance(monoid.monoid, SemidirectProduct):
        return None
    product = monoid.monoid
    strict = strictly(product.acting, product.base, product.action)
    if strict is None:
        return None
    acting, action = strict
    target = SemidirectProduct(acting, product.base, action)
    return Rewriting(monoid, target, Fold(acting), same, same, None, ("fold_reset",))


@dataclasses.dataclass(frozen=True)
class Fold:
    """`((a, b), start)` to `(0 if start else a, b)`."""

    acting: AbstractMonoid

    def __call__(self, element: Any) -> Any:
        (a, b), start = element
        return tree_where(start, zero(self.acting), a), b


def merge_resets(monoid: AbstractSemigroup) -> Rewriting | None:
    r"""$\mathrm{Resettable}(\mathrm{Resettable}(M)) \Rightarrow \mathrm{Resettable}(M)$.

    $((x, i), j) \mapsto (x, i \lor j)$: a start of either kind forgets all that is before it. Bitwise.
    """
    if not isinstance(monoid, Resettable) or not isinstance(monoid.monoid, Resettable):
        return None
    return Rewriting(monoid, monoid.monoid, _either, same, same, None, ("merge_resets",))


def _either(element: Any) -> Any:
    (x, inner), outer = element
    return x, inner | outer


def join_semidirect(monoid: AbstractSemigroup) -> Rewriting | None:
    r"""$(A_1 \ltimes B_1) \times (A_2 \ltimes B_2) \Rightarrow (A_1 \times A_2) \ltimes (B_1 \times B_2)$.

    A change of places: $((a_1, b_1), (a_2, b_2)) \mapsto ((a_1, a_2), (b_1, b_2))$.

    Condition: every factor is a semidirect product, and there are at least two. An isomorphism; states
    are the same. Bitwise.
    """
    if not isinstance(monoid, DirectProduct) or len(monoid.factors) < 2:
        return None
    if not all(isinstance(factor, SemidirectProduct) for factor in monoid.factors):
        return None
    factors: Any = monoid.factors
    target = SemidirectProduct(
        DirectProduct(*(factor.acting for factor in factors)),
        DirectProduct(*(factor.base for factor in factors)),
        ProductAction(tuple(factor.action for factor in factors)),
    )
    # Pairs of tuples and tuples of pairs: the way back is the same change of places.
    return Rewriting(monoid, target, _transpose, same, same, _transpose, ("join_semidirect",))


def _transpose(element: Any) -> Any:
    return tuple(zip(*element, strict=True))


def merge_maps(monoid: AbstractSemigroup) -> Rewriting | None:
    r"""$\mathrm{Map}(\mathrm{Map}(M, f), g) \Rightarrow \mathrm{Map}(M, g \circ f)$: the same elements.

    One pair of maps for each product. Exact where the inner round trip is, else up to its rounding.
    """
    if not isinstance(monoid, Map) or not isinstance(monoid.monoid, Map):
        return None
    both = monoid.monoid.isomorphism.then(monoid.isomorphism)
    return relabel(monoid, Map(monoid.monoid.monoid, both), ("merge_maps",))


def cancel_duals(monoid: AbstractSemigroup) -> Rewriting | None:
    r"""$\mathrm{Dual}(\mathrm{Dual}(M)) \Rightarrow \mathrm{Regular}(M)$.

    Operands swapped twice are not swapped: M, acting on itself. States are elements on both sides. Bitwise.
    """
    if not isinstance(monoid, Dual) or not isinstance(monoid.monoid, Dual):
        return None
    return relabel(monoid, Regular(monoid.monoid.monoid), ("cancel_duals",))


def drop_regular(monoid: AbstractSemigroup) -> Rewriting | None:
    r"""$\mathrm{Regular}(M) \Rightarrow M$ where M acts on itself anyway.

    And $\mathrm{Dual}(\mathrm{Regular}(M)) \Rightarrow \mathrm{Dual}(M)$: a dual does not use
    its operand's states. The same elements and states. Bitwise.
    """
    if isinstance(monoid, Regular) and acts_on_itself(monoid.monoid):
        return relabel(monoid, monoid.monoid, ("drop_regular",))
    if isinstance(monoid, Dual) and isinstance(monoid.monoid, Regular):
        return relabel(monoid, Dual(monoid.monoid.monoid), ("drop_regular",))
    return None


def merge_powers(monoid: AbstractSemigroup) -> Rewriting | None:
    r"""$(M^n)^k \Rightarrow M^{kn}$: two stacked axes become one. An isomorphism. Bitwise."""
    if not isinstance(monoid, Power) or not isinstance(monoid.monoid, Power):
        return None
    outer, inner = monoid.size, monoid.monoid.size
    target = Power(monoid.monoid.monoid, outer * inner)
    there, back = Reshape((outer * inner,), 2), Reshape((outer, inner), 1)
    return Rewriting(monoid, target, there, there, back, back, ("merge_powers",))


@dataclasses.dataclass(frozen=True)
class Reshape:
    """Replaces the first axes of every leaf."""

    axes: tuple[int, ...]
    replaced: int

    def __call__(self, tree: Any) -> Any:
        def reshaped(leaf: Any) -> Any:
            return leaf.reshape(*self.axes, *leaf.shape[self.replaced :])

        return jax.tree.map(reshaped, tree)


def drop_units(monoid: AbstractSemigroup) -> Rewriting | None:
    r"""$M \times 1 \Rightarrow M$: a factor of one element says nothing, and a product of one factor is it.

    An isomorphism. Bitwise.
    """
    if not isinstance(monoid, DirectProduct):
        return None
    kept = tuple(i for i, m in enumerate(monoid.factors) if not isinstance(m, Unit))
    if len(kept) == len(monoid.factors) != 1:
        return None
    drop, back = Drop(kept), Restore(kept, len(monoid.factors))
    factors = [monoid.factors[i] for i in kept]
    target = factors[0] if len(factors) == 1 else DirectProduct(*factors) if factors else Unit()
    return Rewriting(monoid, target, drop, drop, back, back, ("drop_units",))


@dataclasses.dataclass(frozen=True)
class Drop:
    """The kept components of a tuple; of one, the component itself."""

    kept: tuple[int, ...]

    def __call__(self, parts: tuple) -> Any:
        return parts[self.kept[0]] if len(self.kept) == 1 else tuple(parts[i] for i in self.kept)


@dataclasses.dataclass(frozen=True)
class Restore:
    """The inverse of `Drop`: elsewhere stands the element of `Unit`."""

    kept: tuple[int, ...]
    length: int

    def __call__(self, parts: Any) -> tuple:
        values = (parts,) if len(self.kept) == 1 else parts
        restored: list[Any] = [()] * self.length
        for place, value in zip(self.kept, values, strict=True):
            restored[place] = value
        return tuple(restored)


RULES: dict[str, Rule] = {
    "drop_units": drop_units,
    "merge_resets": merge_resets,
    "merge_maps": merge_maps,
    "cancel_duals": cancel_duals,
    "drop_regular": drop_regular,
    "merge_powers": merge_powers,
    "join_semidirect": join_semidirect,
    "fold_reset": fold_reset,
}
"""Every rule by name. Each makes the tree smaller by its own measure, so rewriting ends."""
