"""Hypothesis strategies: elements of a monoid, and monoids composed at random."""

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

try:
    from hypothesis import strategies as st
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "ma.laws.strategies needs hypothesis: pip install hypothesis"
    ) from error

from ..algebra import (
    AbstractMonoid,
    AbstractSemigroup,
    Add,
    Affine,
    Dual,
    Max,
    Multiply,
    Resettable,
    SemidirectProduct,
    WithIdentity,
    shift,
)
from ._draw import Source
from ._draw_combinators import draw_elements

ROWS = 24


def elements(monoid: AbstractSemigroup, *, count: int | None = None) -> st.SearchStrategy[Any]:
    """Reachable elements of a monoid, of every kind that `draw` knows.

    Arguments:
        monoid: the monoid or semigroup.
        count: None for one element; otherwise so many, on a leading axis.

    Returns:
        A strategy. It shrinks towards small whole numbers, early rows and the seed 0.

    Example:
        >>> import memoalg as ma
        >>> ma.laws.strategies.elements(ma.Add(3)).example().shape  # doctest: +SKIP
        (3,)
    """
    rows = 1 if count is None else count

    @st.composite
    def drawn(choose: Any) -> Any:
        exact, seed = not choose(st.booleans()), choose(st.integers(0, 1000))
        # A row's number says its kind: one element may be of any.
        first = choose(st.integers(0, 5)) if count is None else 0
        source = Source(seed, max(rows + first, 1), exact=exact)
        with _undisturbed_random():
            made = draw_elements(monoid, source)
        taken = slice(first, first + rows) if count is not None else first
        return jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf)[taken]), made)

    return drawn()


@contextlib.contextmanager
def _undisturbed_random() -> Iterator[None]:
    """Type checkers of containers look at random members; hypothesis wants to be alone with `random`."""
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)


def monoids(*, depth: int = 2, size: int = 2) -> st.SearchStrategy[AbstractMonoid]:
    """Monoids composed at random out of ground monoids, products, lifts and mirrors.

    Arguments:
        depth: combinators on top of each other, at most.
        size: length of the ground monoids' elements.

    Returns:
        A strategy of monoids whose laws hold.
    """
    decayed = SemidirectProduct(Add(size), Max(size), shift)
    ground = st.sampled_from([Add(size), Max(size), Multiply(size), Affine(size), decayed])
    if depth == 0:
        return ground
    smaller = monoids(depth=depth - 1, size=size)
    return st.one_of(
        ground,
        st.builds(lambda a, b: a * b, smaller, smaller),
        st.builds(Resettable, smaller),
        st.builds(Dual, smaller),
        st.builds(WithIdentity, smaller),
    )
