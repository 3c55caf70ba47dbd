"""What a piece of a sequence does as a whole, as one element, without forming its prefixes."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, PyTree

from .._tree import as_varying, varying_axes
from .._typing import Element
from ..algebra import (
    AbstractCombinator,
    AbstractMonoid,
    Add,
    DeltaRule,
    DirectProduct,
    GatedOuter,
    Multiply,
    Power,
    StabilisedOuter,
)
from ..algebra._fixed import over_time
from ._associative import _length
from ._factors import run_of
from ._method import AbstractMethod
from ._outer_form import outer_form


def total(
    method: AbstractMethod,
    monoid: AbstractMonoid,
    generators: PyTree,
    resets: Bool[Array, " time"] | None,
    queries: PyTree | None,
    reverse: bool,
) -> PyTree:
    """The product of all steps since the last reset, in the order of execution.

    Queries are given for the sake of methods that need them; what is read is dropped, and the
    compiler drops the reading.
    """
    if _has_outer_factor(monoid):
        return _by_factors(method, monoid, generators, resets, queries, reverse)
    if isinstance(monoid, DeltaRule):
        return _of_delta(method, monoid, generators, resets, queries, reverse)
    if isinstance(monoid, GatedOuter | StabilisedOuter):
        return _of_gated(method, monoid, generators, resets, queries, reverse)
    neutral = monoid.identity()
    if type(monoid).act is AbstractMonoid.act:
        # It acts on itself: the product is the state that is reached from the identity.
        return _run(method, monoid, neutral, generators, resets, neutral, queries, reverse)[0]
    unread = jnp.zeros(_length(generators, resets), jnp.bool_)
    return _run(method, Product(monoid), neutral, generators, resets, None, unread, reverse)[0]


def _run(
    method: AbstractMethod,
    monoid: AbstractMonoid,
    state: PyTree,
    generators: PyTree,
    resets: Array | None,
    initial_state: PyTree | None,
    queries: PyTree | None,
    reverse: bool,
) -> tuple[PyTree, PyTree]:
    # The states that enter are constants here: their type must vary over the mesh as the rest does.
    axes = varying_axes((generators, resets, queries))
    state, initial_state = as_varying((state, initial_state), axes)
    return method.run(monoid, state, generators, resets, initial_state, queries, reverse)


class Product(AbstractCombinator[Element]):
    """A monoid acting on itself, whatever its own states are, from its own generators; unread."""

    monoid: AbstractMonoid[Element, Any]

    def identity(self) -> Element:
        return self.monoid.identity()

    def combine(self, left: Element, right: Element) -> Element:
        return self.monoid.combine(left, right)

    def expand(self, generator: PyTree) -> Element:
        return self.monoid.expand(generator)

    def read(self, state: Element, query: PyTree) -> PyTree:
        return ()


def _has_outer_factor(monoid: Any) -> bool:
    """Whether a product or power has an outer-product memory among its factors.

    All other products are folded in one loop, not in one for each factor.
    """
    if isinstance(monoid, DirectProduct):
        return any(_is_outer(factor) or _has_outer_factor(factor) for factor in monoid.factors)
    if isinstance(monoid, Power):
        return _is_outer(monoid.monoid) or _has_outer_factor(monoid.monoid)
    return False


def _is_outer(monoid: Any) -> bool:
    return outer_form(monoid) is not None


def _by_factors(
    method: AbstractMethod,
    monoid: AbstractMonoid,
    generators: PyTree,
    resets: Array | None,
    queries: PyTree | None,
    reverse: bool,
) -> Any:
    def run(
        monoid: AbstractMonoid,
        state: PyTree,
        generators: PyTree,
        resets: Array | None,
        initial_state: PyTree | None,
        queries: PyTree | None,
        reverse: bool,
    ) -> tuple[PyTree, PyTree]:
        return total(method, monoid, generators, resets, queries, reverse), ()

    by_factor = run_of(monoid)
    assert by_factor is not None, "a product or power; please report"
    neutral = monoid.identity()
    return by_factor(run, monoid, neutral, generators, resets, None, queries, reverse)[0]


def _of_delta(
    method: AbstractMethod,
    monoid: DeltaRule,
    generators: PyTree,
    resets: Array | None,
    queries: PyTree | None,
    reverse: bool,
) -> tuple[Array, Array]:
    r"""The transition and the memory as ONE delta rule with key_size more values.

    $(M, S)$ followed by a step $(M', S')$ is $(M M', S M' + S')$. With S under M that is a step of a
    delta rule that begins with $M = I$ and whose first values are 0: key_size² a step, where a product
    of transitions costs key_size³.
    """
    size = monoid.key_size

    def widened(generator: PyTree) -> PyTree:
        key, value, strength, decay = generator
        return key, jnp.concatenate([jnp.zeros(size, value.dtype), value]), strength, decay

    stacked = DeltaRule(size, size + monoid.value_size, monoid.dtype)
    begin = jnp.concatenate(monoid.identity())
    steps = over_time(widened, generators)
    both, _ = _run(method, stacked, begin, steps, resets, begin, queries, reverse)
    return both[:size], both[size:]


def _of_gated(
    method: AbstractMethod,
    monoid: GatedOuter | StabilisedOuter,
    generators: PyTree,
    resets: Array | None,
    queries: PyTree | None,
    reverse: bool,
) -> tuple:
    """The product of the decays beside the memory, which the method forms in its own way."""
    empty = monoid.initial_state()
    memory, _ = _run(method, monoid, empty, generators, resets, empty, queries, reverse)
    one = monoid.identity()[0]
    kind = Multiply if isinstance(monoid, GatedOuter) else Add
    decays = kind(one.shape, one.dtype)
    if resets is None:  # Decays may be Fixed, and then have no time axis.
        resets = jnp.zeros(_length(generators, None), jnp.bool_)
    decay, _ = _run(method, decays, one, generators[2], resets, one, None, reverse)
    return (decay, memory) if isinstance(monoid, GatedOuter) else (decay, *memory)
