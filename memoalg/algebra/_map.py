"""Transport of structure: the same monoid in other coordinates."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import equinox as eqx
from jaxtyping import PyTree

from ._functions import compose
from ._inverse import group_in, has_zero, inverse, is_invertible, zero
from ._monoid import AbstractCombinator, AbstractMonoid
from ._traits import Tracks, has_embedding, is_commutative, is_idempotent, tracks

Source = TypeVar("Source")
Target = TypeVar("Target")
Further = TypeVar("Further")
State = TypeVar("State")


class Isomorphism(eqx.Module, Generic[Source, Target]):
    r"""A pair of inverse maps: `backward(forward(x)) == x` and `forward(backward(y)) == y`.

    Arguments:
        forward: from the source's elements to the target's. A module-level function: it is part of
            the monoid's type and must hold no arrays.
        backward: its inverse.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> log = ma.Isomorphism(jnp.log, jnp.exp)
        >>> print(log.backward(log.forward(jnp.float32(2.0))))
        2.0
    """

    forward: Callable[[Source], Target] = eqx.field(static=True)
    backward: Callable[[Target], Source] = eqx.field(static=True)

    def then(self, other: "Isomorphism[Target, Further]") -> "Isomorphism[Source, Further]":
        """This isomorphism, then `other`."""
        return Isomorphism(
            compose(self.forward, other.forward), compose(other.backward, self.backward)
        )

    def inverted(self) -> "Isomorphism[Target, Source]":
        """The same pair, read the other way."""
        return Isomorphism(self.backward, self.forward)


class Map(AbstractCombinator[Target, State], Generic[Target, State]):
    r"""A monoid transported along an isomorphism $\varphi$: the same algebra, other coordinates.

    $$x \bullet' y = \varphi(\varphi^{-1}(x) \bullet \varphi^{-1}(y)), \qquad e' = \varphi(e).$$

    States are those of the original monoid.

    Arguments:
        monoid: the original.
        isomorphism: from its elements to the new ones.

    Example:
        Products, as sums of logarithms.

        >>> import jax.numpy as jnp, memoalg as ma
        >>> m = ma.Map(ma.Add(), ma.Isomorphism(jnp.exp, jnp.log))
        >>> print(m.combine(jnp.float32(2), jnp.float32(3)).round(4))
        6.0
    """

    monoid: AbstractMonoid[Any, State]
    isomorphism: Isomorphism[Any, Target]

    def __check_init__(self) -> None:
        if not isinstance(self.isomorphism, Isomorphism):
            raise TypeError(
                "Map(monoid, isomorphism) needs both directions: write "
                f"ma.Isomorphism(forward, backward), got {type(self.isomorphism).__name__}"
            )

    def identity(self) -> Target:
        return self.isomorphism.forward(self.monoid.identity())

    def combine(self, left: Target, right: Target) -> Target:
        backward = self.isomorphism.backward
        return self.isomorphism.forward(self.monoid.combine(backward(left), backward(right)))

    def initial_state(self) -> State:
        return self.monoid.initial_state()

    def act(self, state: State, element: Target) -> State:
        return self.monoid.act(state, self.isomorphism.backward(element))

    def embed(self, state: State) -> Target:
        return self.isomorphism.forward(self.monoid.embed(state))

    def project(self, element: Target) -> State:
        return self.monoid.project(self.isomorphism.backward(element))

    def read(self, state: State, query: PyTree) -> PyTree:
        return self.monoid.read(state, query)

    def canon(self, element: Target) -> Target:
        return self.isomorphism.forward(self.monoid.canon(self.isomorphism.backward(element)))


@has_embedding.register
def _(monoid: Map) -> bool:
    return has_embedding(monoid.monoid)


@is_commutative.register
def _(monoid: Map) -> bool:
    return is_commutative(monoid.monoid)


@is_idempotent.register
def _(monoid: Map) -> bool:
    return is_idempotent(monoid.monoid)


@is_invertible.register
def _(monoid: Map) -> bool:
    return is_invertible(monoid.monoid)


@has_zero.register
def _(monoid: Map) -> bool:
    return has_zero(monoid.monoid)


@inverse.register
def _(monoid: Map, element: Any) -> Any:
    return monoid.isomorphism.forward(inverse(monoid.monoid, monoid.isomorphism.backward(element)))


@zero.register
def _(monoid: Map) -> Any:
    return monoid.isomorphism.forward(zero(monoid.monoid))


@tracks.register
def _(monoid: Map) -> Tracks:
    return tracks(monoid.monoid)


@group_in.register
def _(monoid: Map) -> tuple[Any, ...]:
    return tuple(monoid.isomorphism.forward(g) for g in group_in(monoid.monoid))
