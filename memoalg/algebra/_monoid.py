"""Semigroups, monoids and their direct product: what a memory is.

The three stand in one file because they define each other: `*` of two monoids is a
`DirectProduct`, which is a monoid.
"""

import abc
from typing import Any, Generic, TypeVar

import equinox as eqx
import jax
from jaxtyping import PyTree

from .._typing import Element, State
from ._annotations import check_annotations_of
from ._closure import require_same, require_strong_types, shapes_of

OtherElement = TypeVar("OtherElement")
OtherState = TypeVar("OtherState")


class AbstractSemigroup(eqx.Module, Generic[Element, State]):
    """An associative operator on elements of one type.

    An element is a pytree of arrays for ONE time step: no time axis, no batch axis; the library adds
    both. `combine(left, right)` takes the earlier element on the left, always, also in reverse scans,
    and must be associative:

    $$(x \\bullet y) \\bullet z = x \\bullet (y \\bullet z).$$

    A semigroup declares `element`, the shapes and dtypes of its elements. Most memories are monoids:
    subclass [`memoalg.AbstractMonoid`][] unless there is no identity.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> class Largest(ma.AbstractSemigroup):
        ...     @property
        ...     def element(self):
        ...         return jax.ShapeDtypeStruct((), jnp.int32)
        ...     def combine(self, left, right):
        ...         return jnp.maximum(left, right)
        >>> print(ma.scan(Largest(), jnp.array([1, 3, 2])))
        [1 3 3]
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not cls.__module__.startswith("memoalg."):
            check_annotations_of(cls)

    @property
    @abc.abstractmethod
    def element(self) -> PyTree[jax.ShapeDtypeStruct]:
        """Shapes and dtypes of one element."""

    @abc.abstractmethod
    def combine(self, left: Element, right: Element) -> Element:
        """The operator. `left` is earlier, `right` is later."""

    def __check_init__(self) -> None:
        # Combinators of closed operands are closed: checking each level again would cost four times.
        if not isinstance(self, AbstractCombinator):
            element = self.element
            require_strong_types(self, "identity", element)
            product = shapes_of(self, self.combine, element, element)
            require_same(self, "combine(left, right)", element, product, "its element")
            if isinstance(self, AbstractMonoid):
                _check_states(self)

    def __mul__(
        self: "AbstractSemigroup[Element, State]",
        other: "AbstractSemigroup[OtherElement, OtherState]",
    ) -> "DirectProduct[tuple[Element, OtherElement], tuple[State, OtherState]]":
        if not isinstance(other, AbstractSemigroup):
            return NotImplemented
        return DirectProduct(self, other)


class AbstractMonoid(AbstractSemigroup[Element, State]):
    """A semigroup with an identity, acting on states: the algebra of a memory.

    $$e \\bullet x = x \\bullet e = x, \\qquad s \\cdot e = s, \\qquad
      s \\cdot (x \\bullet y) = (s \\cdot x) \\cdot y.$$

    `identity` and `combine` are all that a subclass must write. The other methods are hooks with
    defaults, the only concrete methods that a subclass may override. The identity is *not* the state
    in which an episode begins: that is `initial_state`.

    A monoid holds sizes and dtypes (static fields), never learnable arrays: parameters live in the
    layer around it. Types are checked at construction, annotations whenever a method is traced.

    Raises:
        AlgebraTypeError: at construction, where `identity()`, `combine`, `initial_state` and `act` do
            not agree in pytree structure, shape or dtype.

    Example:
        >>> import equinox as eqx, jax.numpy as jnp, memoalg as ma
        >>> from jaxtyping import Array
        >>> class RunningSum(ma.AbstractMonoid[Array]):
        ...     size: int = eqx.field(static=True)
        ...     def identity(self):
        ...         return jnp.zeros(self.size)
        ...     def combine(self, left, right):
        ...         return left + right
        >>> print(ma.scan(RunningSum(2), jnp.ones((3, 2))))
        [[1. 1.]
         [2. 2.]
         [3. 3.]]
    """

    @abc.abstractmethod
    def identity(self) -> Element:
        """The neutral element."""

    @property
    def element(self) -> PyTree[jax.ShapeDtypeStruct]:
        """Shapes and dtypes of one element, read off `identity()`."""
        return shapes_of(self, self.identity)

    def initial_state(self) -> State:
        """The state in which an episode begins (parameter-free). Default: the identity."""
        return self.identity()  # pyright: ignore[reportReturnType]

    def act(self, state: State, element: Element) -> State:
        """The state after `element`. Default: the monoid acts on itself by `combine`."""
        return self.combine(state, element)  # pyright: ignore[reportArgumentType, reportReturnType]

    def embed(self, state: State) -> Element:
        """An element that stands for `state`: `project(embed(s)) == s`. Default: the state itself."""
        return state  # pyright: ignore[reportReturnType]

    def project(self, element: Element) -> State:
        """The state in an element: `act(s, x) == project(combine(embed(s), x))`."""
        return element  # pyright: ignore[reportReturnType]

    def expand(self, generator: PyTree) -> Element:
        """The element that a generator describes. Default: the generator is the element."""
        return generator

    def advance(self, state: State, generator: PyTree) -> State:
        """One step: the state after `generator`. Default: `act(state, expand(generator))`."""
        return self.act(state, self.expand(generator))

    def read(self, state: State, query: PyTree) -> PyTree:
        """What is asked of the state at each step. Default: the state."""
        del query
        return state

    def canon(self, element: Element) -> Element:
        """One representative where several elements mean the same. Default: unchanged."""
        return element


def _check_states(monoid: AbstractMonoid) -> None:
    state = shapes_of(monoid, monoid.initial_state)
    require_strong_types(monoid, "initial_state", state)
    after = shapes_of(monoid, monoid.act, state, monoid.element)
    require_same(monoid, "act(state, element)", state, after, "initial_state()")


class AbstractCombinator(AbstractMonoid[Element, State]):
    """A monoid made of monoids. Its operands were checked, so it closes by construction.

    Example:
        >>> import memoalg as ma
        >>> isinstance(ma.Dual(ma.Add()), ma.AbstractCombinator)
        True
    """


class DirectProduct(AbstractCombinator[Element, State]):
    """Several monoids side by side; elements, states, generators and queries are tuples.

    $$(x_1, \\dots, x_n) \\bullet (y_1, \\dots, y_n) = (x_1 \\bullet y_1, \\dots, x_n \\bullet y_n).$$

    `m * n` is `DirectProduct(m, n)`; `*` never flattens, so `(a * b) * c` has elements
    `((x, y), z)`.

    Arguments:
        factors: monoids (or semigroups; then there is no identity).

    Raises:
        TypeError: where a factor is not a semigroup.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> m = ma.Add() * ma.Max()
        >>> total, largest = m.combine((jnp.float32(1), jnp.float32(2)), m.identity())
        >>> print(total, largest)
        1.0 2.0
    """

    factors: tuple[AbstractSemigroup, ...]

    def __init__(self, *factors: AbstractSemigroup):
        for factor in factors:
            if not isinstance(factor, AbstractSemigroup):
                raise TypeError(
                    f"DirectProduct takes monoids, got {type(factor).__name__}; write "
                    "ma.DirectProduct(m, n), each an instance (`ma.Add(4)`, not `ma.Add`)."
                )
        self.factors = factors

    @property
    def element(self) -> PyTree[jax.ShapeDtypeStruct]:
        return tuple(m.element for m in self.factors)

    @property
    def _monoids(self) -> tuple[AbstractMonoid, ...]:
        for factor in self.factors:
            if not isinstance(factor, AbstractMonoid):
                raise TypeError(
                    f"{type(factor).__name__} is a semigroup: it has no identity and no states. "
                    "Adjoin an identity with ma.WithIdentity(...)."
                )
        return self.factors  # pyright: ignore[reportReturnType]

    def identity(self) -> Element:
        return tuple(m.identity() for m in self._monoids)  # pyright: ignore[reportReturnType]

    def combine(self, left: Element, right: Element) -> Element:
        products = zip(self.factors, _parts(left), _parts(right), strict=True)
        return tuple(m.combine(x, y) for m, x, y in products)  # pyright: ignore[reportReturnType]

    def initial_state(self) -> State:
        return tuple(m.initial_state() for m in self._monoids)  # pyright: ignore[reportReturnType]

    def act(self, state: State, element: Element) -> State:
        acts = zip(self._monoids, _parts(state), _parts(element), strict=True)
        return tuple(m.act(s, x) for m, s, x in acts)  # pyright: ignore[reportReturnType]

    def embed(self, state: State) -> Element:
        pairs = zip(self._monoids, _parts(state), strict=True)
        return tuple(m.embed(s) for m, s in pairs)  # pyright: ignore[reportReturnType]

    def project(self, element: Element) -> State:
        pairs = zip(self._monoids, _parts(element), strict=True)
        return tuple(m.project(x) for m, x in pairs)  # pyright: ignore[reportReturnType]

    def expand(self, generator: Any) -> Element:
        pairs = zip(self._monoids, generator, strict=True)
        return tuple(m.expand(g) for m, g in pairs)  # pyright: ignore[reportReturnType]

    def advance(self, state: State, generator: Any) -> State:
        steps = zip(self._monoids, _parts(state), generator, strict=True)
        return tuple(m.advance(s, g) for m, s, g in steps)  # pyright: ignore[reportReturnType]

    def read(self, state: State, query: Any) -> PyTree:
        """Each factor's own read; a factor whose query is None reads its state."""
        reads = zip(self._monoids, _parts(state), query, strict=True)
        return tuple(s if q is None else m.read(s, q) for m, s, q in reads)

    def canon(self, element: Element) -> Element:
        pairs = zip(self._monoids, _parts(element), strict=True)
        return tuple(m.canon(x) for m, x in pairs)  # pyright: ignore[reportReturnType]


def _parts(value: Any) -> Any:
    """A tuple as a tuple: no type says that Element is one."""
    return value
