"""Let the planner choose."""

import functools
from typing import Any

import jax
from jaxtyping import Array, Bool, PyTree

from ..algebra import AbstractMonoid
from ._method import AbstractMethod, length_of
from ._planner import plan


class Auto(AbstractMethod):
    """The method that [`memoalg.plan`][] chooses for the platform on which the program is compiled.

    Where an accelerator is present the choice is made when the program is lowered
    (`lax.platform_dependent`): the same traced function runs a loop on a CPU and a tree on a GPU. In a
    process that has only a CPU the loop alone is traced, which halves tracing; to compile for another
    platform from there, give a method.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> print(ma.scan(ma.Add(), jnp.ones(3), method=ma.Auto()))
        [1. 2. 3.]
    """

    def run(
        self,
        monoid: AbstractMonoid,
        state: PyTree,
        generators: PyTree,
        resets: Bool[Array, " time"] | None,
        initial_state: PyTree | None,
        queries: PyTree | None,
        reverse: bool,
    ) -> tuple[PyTree, PyTree]:
        length = length_of(generators, resets)
        on_cpu = plan(monoid, length=length, platform="cpu").method
        elsewhere = plan(monoid, length=length, platform="cuda").method
        # Both branches cost tracing; where no accelerator is present there is nothing to choose.
        if on_cpu == elsewhere or jax.default_backend() == "cpu":
            return on_cpu.run(monoid, state, generators, resets, initial_state, queries, reverse)

        def execute(method: AbstractMethod, *arrays: Any) -> tuple[PyTree, PyTree]:
            monoid, state, generators, resets, initial_state, queries = arrays
            return method.run(monoid, state, generators, resets, initial_state, queries, reverse)

        return jax.lax.platform_dependent(
            *(monoid, state, generators, resets, initial_state, queries),
            cpu=functools.partial(execute, on_cpu),
            default=functools.partial(execute, elsewhere),
        )
