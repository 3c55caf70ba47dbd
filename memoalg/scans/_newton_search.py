"""The iteration of `Newton`: refine until it settles, otherwise the loop; one choice for a whole batch.

`jax.vmap` of a `lax.cond` computes both branches and selects, and a batched `lax.while_loop` selects in
every round. A batching rule of its own keeps both as they are: under `jax.vmap` the largest change of
all sequences decides.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

Leaves = tuple[Any, ...]


class Problem(NamedTuple):
    """What is sought, as functions of the operands' leaves; each is mapped over a batch when there is one.

    Attributes:
        begin: leaves -> (a first guess, what every round needs, error). An error of 0 says that the
            guess is the answer, NaN that there is none.
        refine: (leaves, what every round needs, guess) -> (better guess, its error, what is left of
            the equation).
        loop: leaves -> the answer, step after step.
        limit: rounds at most.
        tolerance: of the error and of what is left.
    """

    begin: Callable[[Leaves], tuple[Array, Any, Array]]
    refine: Callable[[Leaves, Any, Array], tuple[Array, Array, Array]]
    loop: Callable[[Leaves], Array]
    limit: int
    tolerance: float


def search(
    problem: Problem, skip: Array | None, leaves: Leaves
) -> tuple[Array, Array, Array, Array]:
    """(answer, rounds, residual, whether the loop had to be run).

    `skip` says to run the loop at once. The last three are one number each, under `jax.vmap` too.
    """
    found = jax.custom_batching.custom_vmap(lambda *given: _search(problem, given[0], given[1:]))

    @found.def_vmap
    def batched(size: int, axes: list, *given: Any) -> tuple[tuple, tuple]:
        del size
        skip, *leaves = given
        if skip is not None and axes[0]:
            skip = jnp.any(skip)
        flags = axes[1:]
        if not any(flags):
            return search(problem, skip, tuple(leaves)), (False,) * 4
        wider = _wider(problem, tuple(0 if flag else None for flag in flags))
        return search(wider, skip, tuple(leaves)), (True, False, False, False)

    return found(skip, *leaves)


def largest(sizes: Array) -> Array:
    """The largest of some sizes, NaN where one is not finite: XLA's maximum on a CPU forgets NaN."""
    return jnp.where(jnp.all(jnp.isfinite(sizes)), jnp.max(sizes), jnp.nan)


def _wider(problem: Problem, axes: tuple) -> Problem:
    """The same problem for a batch: the worst sequence counts."""
    begin = jax.vmap(problem.begin, (axes,))
    refine = jax.vmap(problem.refine, (axes, 0, 0))

    def begin_all(leaves: Leaves) -> tuple[Array, Any, Array]:
        guess, kept, error = begin(leaves)
        return guess, kept, largest(error)

    def refine_all(leaves: Leaves, kept: Any, guess: Array) -> tuple[Array, Array, Array]:
        guess, error, residual = refine(leaves, kept, guess)
        return guess, largest(error), largest(residual)

    return problem._replace(
        begin=begin_all, refine=refine_all, loop=jax.vmap(problem.loop, (axes,))
    )


def _search(problem: Problem, skip: Array | None, leaves: Leaves) -> tuple:
    guess, kept, error = problem.begin(leaves)
    if skip is not None:
        error = jnp.where(skip, jnp.nan, error)

    def unsettled(carry: tuple) -> Array:
        # A comparison with NaN is false: what is not finite stops, and has not settled.
        _, rounds, error, _ = carry
        return (rounds < problem.limit) & (error > problem.tolerance) & (error < jnp.inf)

    def refined(carry: tuple) -> tuple:
        guess, rounds, _, _ = carry
        guess, error, residual = problem.refine(leaves, kept, guess)
        return guess, rounds + 1, error, residual

    carry = guess, jnp.zeros((), jnp.int32), error, error
    if problem.limit > 0:
        carry = jax.lax.while_loop(unsettled, refined, carry)
    guess, rounds, error, residual = carry
    settled = (error <= problem.tolerance) & (residual <= problem.tolerance)
    answer = jax.lax.cond(settled, _kept, lambda leaves, _: problem.loop(leaves), leaves, guess)
    return answer, rounds, residual, ~settled


def _kept(leaves: Leaves, guess: Array) -> Array:
    del leaves
    return guess
