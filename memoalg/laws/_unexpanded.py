"""A monoid whose generators are its elements."""

from typing import Any

import jax
from jaxtyping import PyTree

from ..algebra import (
    AbstractCombinator,
    AbstractMonoid,
    AbstractSemigroup,
    has_embedding,
    has_identity,
)


class Unexpanded(AbstractCombinator):
    """The monoid itself, for sequences of elements that a user gave: nothing is expanded."""

    monoid: AbstractMonoid

    @property
    def element(self) -> PyTree[jax.ShapeDtypeStruct]:
        return self.monoid.element

    def identity(self) -> Any:
        return self.monoid.identity()

    def combine(self, left: Any, right: Any) -> Any:
        return self.monoid.combine(left, right)

    def initial_state(self) -> Any:
        return self.monoid.initial_state()

    def act(self, state: Any, element: Any) -> Any:
        return self.monoid.act(state, element)

    def embed(self, state: Any) -> Any:
        return self.monoid.embed(state)

    def project(self, element: Any) -> Any:
        return self.monoid.project(element)

    def canon(self, element: Any) -> Any:
        return self.monoid.canon(element)


@has_identity.register
def _(monoid: Unexpanded) -> bool:
    return has_identity(monoid.monoid)


@has_embedding.register
def _(monoid: Unexpanded) -> bool:
    return has_embedding(monoid.monoid)


def unexpanded(monoid: AbstractSemigroup) -> AbstractSemigroup:
    """A semigroup expands nothing anyway."""
    return Unexpanded(monoid) if isinstance(monoid, AbstractMonoid) else monoid
