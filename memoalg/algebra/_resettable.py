"""The reset-lift: any memory, made correct across episodes."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, PyTree

from .._tree import tree_where
from .._typing import Element, State
from ._inverse import group_in
from ._monoid import AbstractCombinator, AbstractMonoid, AbstractSemigroup
from ._traits import Tracks, has_embedding, has_identity, is_idempotent, tracks


class Resettable(AbstractCombinator[tuple[Element, Bool[Array, ""]], State]):
    r"""The reset-lift of a monoid: elements `(x, start)`; a start forgets everything before it.

    $$(x, i) \circ (y, j) = (y \text{ if } j \text{ else } x \bullet y,\; i \lor j), \qquad
      e = (e, \text{false}).$$

    | | plain y | y at a start |
    |---|---|---|
    | **plain x** | (x • y, false) | (y, true) |
    | **x at a start** | (x • y, true) | (y, true) |

    It is a monoid for every monoid, and a semigroup for every semigroup. It is computed as
    $\mathrm{where}(j, e, x) \bullet y$: because the *input* is selected, NaN and inf before a start reach
    neither later values nor later gradients.

    It resets to the monoid's own `initial_state`. A learned one is given to
    [`memoalg.trajectory`][], which takes `start` itself: users of layers need no lift.

    Source: Theorem 4.2 of Recurrent Reinforcement Learning with Memoroids (arXiv 2402.09900).

    Arguments:
        monoid: the monoid or semigroup to lift.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> elements = jnp.array([1.0, 2.0, 3.0]), jnp.array([True, False, True])
        >>> print(ma.scan(ma.Resettable(ma.Add()), elements)[0])
        [1. 3. 3.]
    """

    monoid: AbstractSemigroup[Element, State]

    def __check_init__(self) -> None:
        if not isinstance(self.monoid, AbstractSemigroup):
            raise TypeError(f"Resettable takes a monoid, got {type(self.monoid).__name__}")

    @property
    def element(self) -> PyTree[jax.ShapeDtypeStruct]:
        return self.monoid.element, jax.ShapeDtypeStruct((), jnp.bool_)

    @property
    def _inner(self) -> AbstractMonoid[Element, State]:
        if not isinstance(self.monoid, AbstractMonoid):
            raise TypeError(
                f"Resettable({type(self.monoid).__name__}) lifts a semigroup: it has no identity and no "
                "states. Adjoin an identity with ma.WithIdentity(...)."
            )
        return self.monoid

    def identity(self) -> tuple[Element, Bool[Array, ""]]:
        return self._inner.identity(), jnp.zeros((), jnp.bool_)

    def combine(
        self, left: tuple[Element, Bool[Array, ""]], right: tuple[Element, Bool[Array, ""]]
    ) -> tuple[Element, Bool[Array, ""]]:
        (x, started), (y, starts) = left, right
        if has_identity(self.monoid):
            product = self.monoid.combine(tree_where(starts, self._inner.identity(), x), y)
        else:
            product = tree_where(starts, y, self.monoid.combine(tree_where(starts, y, x), y))
        return product, started | starts

    def initial_state(self) -> State:
        return self._inner.initial_state()

    def act(self, state: State, element: tuple[Element, Bool[Array, ""]]) -> State:
        x, starts = element
        return self._inner.act(tree_where(starts, self._inner.initial_state(), state), x)

    def expand(self, generator: Any) -> tuple[Element, Bool[Array, ""]]:
        described, start = generator
        return self._inner.expand(described), start

    def advance(self, state: State, generator: Any) -> State:
        described, start = generator
        return self._inner.advance(tree_where(start, self._inner.initial_state(), state), described)

    def read(self, state: State, query: PyTree) -> PyTree:
        return self._inner.read(state, query)

    def canon(self, element: Any) -> tuple[Element, Bool[Array, ""]]:
        x, start = element
        return self._inner.canon(x), start


@has_identity.register
def _(monoid: Resettable) -> bool:
    return has_identity(monoid.monoid)


@has_embedding.register
def _(monoid: Resettable) -> bool:
    # A state would have to say whether it lies after a start: only the full prefix knows.
    return False


@is_idempotent.register
def _(monoid: Resettable) -> bool:
    return is_idempotent(monoid.monoid)


@tracks.register
def _(monoid: Resettable) -> Tracks:
    return tracks(monoid.monoid)


@group_in.register
def _(monoid: Resettable) -> tuple[Any, ...]:
    plain = jnp.zeros((), jnp.bool_)
    return tuple((g, plain) for g in group_in(monoid.monoid))
