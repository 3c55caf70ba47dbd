"""Let the planner choose."""

import functools
from typing import Any, NamedTuple

import equinox as eqx
import jax
from jaxtyping import Array, Bool, PyTree

from .._tree import split_inexact
from ..algebra import AbstractMonoid
from ._method import AbstractMethod, length_of
from ._planner import plan


class Auto(AbstractMethod):
    """The method that [`memoalg.plan`][] chooses for the platform on which the program is compiled.

    Where differentiating changes the choice (outer-product memories on a CPU run fastest in a loop and
    are differentiated fastest in chunks), the one that applies is taken.

    Where an accelerator is present the choice is made when the program is lowered
    (`lax.platform_dependent`): the same traced function runs a loop on a CPU and a kernel or a tree on a
    GPU. In a process that has only a CPU the CPU's choice alone is traced, which halves tracing; to
    compile for another platform from there, give a method.

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
        operands = (monoid, state, generators, resets, initial_state, queries)

        def choice(platform: str) -> _Choice:
            chosen = functools.partial(
                plan, monoid, length=length, platform=platform, reads=queries is not None
            )
            return _Choice(chosen(gradient=False).method, chosen(gradient=True).method, reverse)

        on_cpu = choice("cpu")
        # Each branch costs tracing; where no accelerator is present there is nothing to choose.
        if jax.default_backend() == "cpu":
            return on_cpu.run(*operands)
        on_cuda, elsewhere = choice("cuda"), choice("tpu")
        if on_cpu == on_cuda == elsewhere:
            return on_cpu.run(*operands)
        return jax.lax.platform_dependent(
            *operands, cpu=on_cpu.run, cuda=on_cuda.run, default=elsewhere.run
        )


class _Choice(NamedTuple):
    """A method for a trajectory, and one for it and its derivatives."""

    plain: AbstractMethod
    differentiated: AbstractMethod
    reverse: bool

    def run(self, *operands: Any) -> tuple[PyTree, PyTree]:
        """Of all that a method is given, but for the direction."""
        if self.plain == self.differentiated:
            return _run(self.plain, self.reverse, operands)
        # What an operand does not hold cannot move: the monoid is an operand, and may hold arrays.
        arrays, static = eqx.partition(operands, eqx.is_array)
        moving, still = split_inexact(arrays)

        def by(method: AbstractMethod, moving: PyTree, still: PyTree) -> tuple[PyTree, PyTree]:
            return _run(method, self.reverse, eqx.combine(moving, still, static))

        call = jax.custom_jvp(functools.partial(by, self.plain))

        @call.defjvp
        def _(primals: tuple, tangents: tuple) -> tuple[PyTree, PyTree]:
            moving, still = primals
            run = functools.partial(by, self.differentiated, still=still)
            return jax.jvp(run, (moving,), (tangents[0],))

        return call(moving, still)


def _run(method: AbstractMethod, reverse: bool, operands: Any) -> tuple[PyTree, PyTree]:
    monoid, state, generators, resets, initial_state, queries = operands
    return method.run(monoid, state, generators, resets, initial_state, queries, reverse)
