"""The direct power: several independent copies of one monoid."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from .._typing import Element, State
from ._inverse import group_in, has_zero, inverse, is_invertible, zero
from ._monoid import AbstractCombinator, AbstractMonoid, AbstractSemigroup
from ._traits import (
    Tracks,
    has_embedding,
    has_identity,
    is_commutative,
    is_elementwise,
    is_idempotent,
    tracks,
)


class Power(AbstractCombinator[Element, State]):
    r"""Copies of one monoid side by side, stacked: heads or channels. $M^n$, by `vmap`.

    Elements, states, generators and queries have a leading axis of length n in every leaf.

    $$(x_1, \dots, x_n) \bullet (y_1, \dots, y_n) = (x_1 \bullet y_1, \dots, x_n \bullet y_n).$$

    Arguments:
        monoid: the monoid (or semigroup) of one copy.
        size: the number of copies.

    Raises:
        TypeError: where `monoid` is not a semigroup.
        ValueError: where `size` is not a positive int.

    Example:
        >>> import memoalg as ma
        >>> heads = ma.Power(ma.GatedOuter(4, 8), 2)
        >>> print(heads.initial_state().shape)
        (2, 4, 8)
    """

    monoid: AbstractSemigroup[Element, State]
    size: int = eqx.field(static=True)

    def __check_init__(self) -> None:
        if not isinstance(self.monoid, AbstractSemigroup):
            raise TypeError(f"Power(monoid, size) takes a monoid, got {type(self.monoid).__name__}")
        if not isinstance(self.size, int) or isinstance(self.size, bool) or self.size < 1:
            raise ValueError(f"Power: size is a positive int, got {self.size!r}")

    @property
    def _monoid(self) -> AbstractMonoid[Element, State]:
        if not isinstance(self.monoid, AbstractMonoid):
            raise TypeError(
                f"Power({type(self.monoid).__name__}) is a semigroup: it has no identity and no states. "
                "Adjoin an identity with ma.WithIdentity(...)."
            )
        return self.monoid

    @property
    def element(self) -> PyTree[jax.ShapeDtypeStruct]:
        def stacked(leaf: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct((self.size, *leaf.shape), leaf.dtype)

        return jax.tree.map(stacked, self.monoid.element)

    def _repeat(self, tree: Any) -> Any:
        return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (self.size, *leaf.shape)), tree)

    def _each(self, function: Any, *operands: Any) -> Any:
        return jax.vmap(function, axis_size=self.size)(*operands)

    def identity(self) -> Element:
        return self._repeat(self._monoid.identity())

    def combine(self, left: Element, right: Element) -> Element:
        return self._each(self.monoid.combine, left, right)

    def initial_state(self) -> State:
        return self._repeat(self._monoid.initial_state())

    def act(self, state: State, element: Element) -> State:
        return self._each(self._monoid.act, state, element)

    def embed(self, state: State) -> Element:
        return self._each(self._monoid.embed, state)

    def project(self, element: Element) -> State:
        return self._each(self._monoid.project, element)

    def expand(self, generator: PyTree) -> Element:
        return self._each(self._monoid.expand, generator)

    def advance(self, state: State, generator: PyTree) -> State:
        return self._each(self._monoid.advance, state, generator)

    def read(self, state: State, query: PyTree) -> PyTree:
        """Each copy's own read of its own query."""
        return self._each(self._monoid.read, state, query)

    def canon(self, element: Element) -> Element:
        return self._each(self._monoid.canon, element)


@has_identity.register
def _(monoid: Power) -> bool:
    return has_identity(monoid.monoid)


@has_embedding.register
def _(monoid: Power) -> bool:
    return has_embedding(monoid._monoid)


@is_commutative.register
def _(monoid: Power) -> bool:
    return is_commutative(monoid.monoid)


@is_idempotent.register
def _(monoid: Power) -> bool:
    return is_idempotent(monoid.monoid)


@is_elementwise.register
def _(monoid: Power) -> bool:
    return is_elementwise(monoid.monoid)


@is_invertible.register
def _(monoid: Power) -> bool:
    return is_invertible(monoid.monoid)


@inverse.register
def _(monoid: Power, element: Any) -> Any:
    return monoid._each(lambda x: inverse(monoid._monoid, x), element)


@has_zero.register
def _(monoid: Power) -> bool:
    return has_zero(monoid.monoid)


@zero.register
def _(monoid: Power) -> Any:
    return monoid._repeat(zero(monoid.monoid))


@tracks.register
def _(monoid: Power) -> Tracks:
    return tracks(monoid.monoid)


@group_in.register
def _(monoid: Power) -> tuple[Any, ...]:
    return tuple(monoid._repeat(g) for g in group_in(monoid._monoid))
