"""The loop: one `lax.scan` forward and one reversed `lax.scan` backward."""

import dataclasses

import equinox as eqx
from jaxtyping import Array, Bool, PyTree

from ..algebra import AbstractMonoid
from ..algebra._fixed import split_fixed
from ._blocks import run_in_blocks
from ._loop import Loop, step_of
from ._method import AbstractMethod


class Sequential(AbstractMethod):
    """Step after step, O(1) memory beyond the outputs: the fastest method on a CPU.

    A reset is a select inside the step. The gradient is a hand-written adjoint: one reversed loop that
    recomputes each step from the state before it, so nothing but the states is stored, and NaN or
    inf before a start reaches neither values nor gradients after it. Forward mode, and derivatives of
    derivatives, work too.

    Arguments:
        unroll: steps per iteration of the compiled loop.
        remat: store for the gradient only the state before every `remat`-th step, and run the steps
            between again: for states that are much larger than what is read of them. Without queries the
            states are the result, so that nothing more is stored in any case. None: store every state.

    Raises:
        ValueError: where `unroll` or `remat` is not a positive int.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> print(ma.scan(ma.Add(), jnp.ones(3), method=ma.Sequential()))
        [1. 2. 3.]
    """

    unroll: int = eqx.field(static=True, default=1)
    remat: int | None = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        for name, value in (("unroll", self.unroll), ("remat", self.remat)):
            optional = name == "remat" and value is None
            if not optional and (not isinstance(value, int) or value < 1):
                raise ValueError(f"{name} is a positive int, got {value!r}")

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
        if self.remat is not None and queries is not None:
            inner = dataclasses.replace(self, remat=None)
            return run_in_blocks(
                *(inner, self.remat, False),
                *(monoid, state, generators, resets, initial_state, queries, reverse),
            )
        arrays, static = eqx.partition(monoid, eqx.is_array)
        fixed, timed, treedef = split_fixed(generators)
        initial = None if resets is None else initial_state
        loop = Loop(step_of(static, treedef), reverse, self.unroll, reads_states=queries is None)
        return loop.run((arrays, fixed, initial), state, (timed, resets, queries))
