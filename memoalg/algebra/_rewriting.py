"""A cheaper monoid, and how to get there and back."""

import dataclasses
from collections.abc import Callable
from typing import Any

from ._functions import compose, same
from ._homomorphism import Homomorphism
from ._monoid import AbstractMonoid, AbstractSemigroup


@dataclasses.dataclass(frozen=True)
class Rewriting:
    r"""A monoid N that does the work of a monoid M: a homomorphism $h: M \to N$ and the states both ways.

    With $\sigma$ the map of states, $\sigma(s \cdot x) = \sigma(s) \cdot h(x)$ and
    $\sigma^{-1}(\sigma(s)) = s$; so a trajectory of M is one of N:

    1. map the state by `on_states` and the elements by `on_elements`,
    2. run the trajectory of `monoid`,
    3. map the states back by `on_states_inverse`.

    Elements may lose what states do not need (a flag that became a decay of zero), so there is a way
    back for elements only where the rewriting is an isomorphism.

    Attributes:
        source: M.
        monoid: N.
        on_elements: h, for one element.
        on_states: from a state of M to one of N.
        on_states_inverse: from a state of N to one of M.
        on_elements_inverse: the inverse of h, or None.
        rules: names of the rules that fired, in order.

    Example:
        >>> import memoalg as ma
        >>> rewriting = ma.simplify(ma.Resettable(ma.Resettable(ma.Add())))
        >>> print(rewriting.rules, rewriting.monoid)
        ('merge_resets',) Resettable(monoid=Add(shape=(), dtype=dtype('float32')))
    """

    source: AbstractSemigroup
    monoid: AbstractSemigroup
    on_elements: Callable[[Any], Any]
    on_states: Callable[[Any], Any]
    on_states_inverse: Callable[[Any], Any]
    on_elements_inverse: Callable[[Any], Any] | None
    rules: tuple[str, ...]

    @property
    def homomorphism(self) -> Homomorphism:
        """h as an object that can be composed and checked."""
        return Homomorphism(self.source, self.monoid, self.on_elements)

    @property
    def keeps_elements(self) -> bool:
        """Whether an element of M is, as it stands, an element of N with the same meaning."""
        return self.on_elements is same

    def then(self, other: "Rewriting") -> "Rewriting":
        """This rewriting, then `other`, which begins at this one's `monoid`."""
        back = None
        if self.on_elements_inverse is not None and other.on_elements_inverse is not None:
            back = compose(other.on_elements_inverse, self.on_elements_inverse)
        return Rewriting(
            self.source,
            other.monoid,
            compose(self.on_elements, other.on_elements),
            compose(self.on_states, other.on_states),
            compose(other.on_states_inverse, self.on_states_inverse),
            back,
            self.rules + other.rules,
        )


def unchanged(monoid: AbstractSemigroup) -> Rewriting:
    """The rewriting that does nothing."""
    return Rewriting(monoid, monoid, same, same, same, same, ())


def relabel(
    source: AbstractSemigroup, target: AbstractSemigroup, rules: tuple[str, ...]
) -> Rewriting:
    """To a monoid with the very same elements and states."""
    return dataclasses.replace(unchanged(source), monoid=target, rules=rules)


def acts_on_itself(monoid: AbstractSemigroup) -> bool:
    """Whether elements are states and generators, and a read is the state: no hook is overridden."""
    hooks = ("initial_state", "act", "embed", "project", "expand", "advance", "read")
    kind = type(monoid)
    return isinstance(monoid, AbstractMonoid) and all(
        getattr(kind, hook) is getattr(AbstractMonoid, hook) for hook in hooks
    )
