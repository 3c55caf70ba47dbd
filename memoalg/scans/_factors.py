"""Products and powers, run factor by factor: for methods that know only some monoids."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from ..algebra import AbstractMonoid, DirectProduct, Power
from ..algebra._fixed import mark_fixed, split_fixed
from ._method import length_of

Run = Callable[..., tuple[PyTree, PyTree]]
"""With the signature of `AbstractMethod.run`."""


def run_of(monoid: AbstractMonoid) -> Callable[..., tuple[PyTree, PyTree]] | None:
    """How a product or power is run by its factors, `(run, monoid, ...)`; None for other monoids."""
    if isinstance(monoid, DirectProduct):
        return _run_product
    return _run_power if isinstance(monoid, Power) else None


def _run_product(
    run: Run,
    monoid: DirectProduct,
    state: PyTree,
    generators: PyTree,
    resets: Array | None,
    initial_state: PyTree | None,
    queries: PyTree | None,
    reverse: bool,
) -> tuple[PyTree, PyTree]:
    """Factor by factor."""
    if resets is None:  # A factor may have no leaf with a time axis.
        resets = jnp.zeros(length_of(generators, None), jnp.bool_)
    initials, asked = _repeat_none(monoid, initial_state), _repeat_none(monoid, queries)
    parts = zip(monoid.factors, state, generators, initials, asked, strict=True)
    results = [run(m, s, g, resets, i, q, reverse) for m, s, g, i, q in parts]
    return tuple(last for last, _ in results), tuple(reads for _, reads in results)


def _run_power(
    run: Run,
    monoid: Power,
    state: PyTree,
    generators: PyTree,
    resets: Array | None,
    initial_state: PyTree | None,
    queries: PyTree | None,
    reverse: bool,
) -> tuple[PyTree, PyTree]:
    """All copies at once: their axis comes after time, and where there is no time, first."""
    fixed, timed, treedef = split_fixed(generators)

    def one(state: PyTree, fixed: list, timed: list, initial: PyTree, queries: PyTree) -> PyTree:
        own = mark_fixed(treedef, fixed, timed)
        return run(monoid.monoid, state, own, resets, initial, queries, reverse)

    axes = (0, 0, 1, None if initial_state is None else 0, None if queries is None else 1)
    return jax.vmap(one, in_axes=axes, out_axes=(0, 1))(state, fixed, timed, initial_state, queries)


def _repeat_none(monoid: DirectProduct, tree: PyTree | None) -> PyTree:
    return (None,) * len(monoid.factors) if tree is None else tree
