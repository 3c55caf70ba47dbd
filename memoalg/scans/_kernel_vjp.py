"""The states of an elementwise recurrence and their gradient: one loop forward, one loop backward."""

import functools
from typing import NamedTuple

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Int8

from .._typing import common_dtype
from ._kernel_body import AbstractBody, Adjoint, Forward, Problem
from ._kernel_call import Call, Operands, Settings
from ._kernel_primitive import loop
from ._kernel_recurrence import Parts


class Inputs(NamedTuple):
    """What the states depend on: real arrays, the parts of each number."""

    acting: Parts
    """With a leading time axis, unless fixed."""
    base: Parts
    """With a leading time axis."""
    state: Parts
    initial: Parts
    """At a reset; nothing where it is the neutral one."""


class Run(eqx.Module):
    """How the states are computed."""

    problem: Problem
    settings: Settings
    reverse: bool = eqx.field(static=True)

    def states(self, inputs: Inputs, flags: Int8[Array, " time"] | None) -> tuple[Parts, Parts]:
        """(last state, states)."""
        run = jax.custom_vjp(functools.partial(_primal, self))
        run.defvjp(functools.partial(_forward, self), functools.partial(_backward, self))
        return run(inputs, flags)

    def call(self, body: AbstractBody, inputs: Inputs, outputs: Parts, reverse: bool) -> Call:
        """The loop over time; its outputs have the dtypes of these arrays."""
        return Call(
            body,
            self.settings,
            reverse,
            tuple(np.dtype(x.dtype) for x in outputs),
            _accumulator(inputs),
            lanes=inputs.state[0].ndim,
        )

    def steps(self, inputs: Inputs) -> tuple[Parts, Parts]:
        """(constants, timed) of the forward loop."""
        if self.problem.fixed:
            return inputs.acting + inputs.initial, inputs.base
        return inputs.initial, inputs.acting + inputs.base


def _accumulator(inputs: Inputs) -> np.dtype:
    """At least float32."""
    wide = common_dtype(inputs.acting[0].dtype, inputs.state[0].dtype)
    return common_dtype(wide, np.float32)


def _primal(run: Run, inputs: Inputs, flags: Array | None) -> tuple[Parts, Parts]:
    constants, timed = run.steps(inputs)
    call = run.call(Forward(run.problem), inputs, inputs.state, run.reverse)
    given = Operands(constants, inputs.state, (), _optional(flags), timed, ())
    last, states = loop(call, given)
    return _as(last, inputs.state), states


def _forward(
    run: Run, inputs: Inputs, flags: Array | None
) -> tuple[tuple[Parts, Parts], tuple[Inputs, Array | None, Parts]]:
    last, states = _primal(run, inputs, flags)
    kept = inputs if run.problem.recurrence.needs_inputs else inputs._replace(base=())
    return (last, states), (kept, flags, states)


def _backward(
    run: Run, residuals: tuple[Inputs, Array | None, Parts], bars: tuple[Parts, Parts]
) -> tuple[Inputs, None]:
    inputs, flags, states = residuals
    last_bar, states_bar = bars
    fixed = run.problem.fixed
    constants, timed = run.steps(inputs)
    outputs = states if fixed else inputs.acting + states
    call = run.call(Adjoint(run.problem), inputs, outputs, not run.reverse)
    given = Operands(
        constants, last_bar, inputs.state, _optional(flags), timed + states_bar, states
    )
    ends, moved = loop(call, given)
    size, sums = run.problem.parts, ends[run.problem.parts :]
    cut = len(inputs.initial)
    acting_bar, base_bar = (sums[cut:], moved) if fixed else (moved[:-size], moved[-size:])
    return Inputs(
        _as(acting_bar, inputs.acting),
        base_bar,
        _as(ends[:size], inputs.state),
        _as(sums[:cut], inputs.initial),
    ), None


def _optional(x: Array | None) -> tuple[Array, ...]:
    return () if x is None else (x,)


def _as(values: Parts, like: Parts) -> Parts:
    return tuple(x.astype(y.dtype) for x, y in zip(values, like, strict=True))
