"""What a kernel does at each step of time: forward, adjoint, and the totals of a chunk of steps.

A body is a pure function of arrays that is the same at every step; back ends loop over it. Its
constants, its carry and its inputs are flat tuples: the parts of a decay, of a state, and so on, one
after the other.
"""

import abc

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool

from ._kernel_recurrence import (
    AbstractRecurrence,
    Parts,
    moved_by,
    plus,
    pull_step,
    select,
    step,
    times,
)


class Problem(eqx.Module):
    """A recurrence and how its numbers are stored."""

    recurrence: AbstractRecurrence
    decay_parts: int = eqx.field(static=True)
    parts: int = eqx.field(static=True)
    fixed: bool = eqx.field(static=True)
    """Whether a is the same at every step."""
    flagged: bool = eqx.field(static=True)
    """Whether there are resets."""
    has_initial: bool = eqx.field(static=True)
    """Whether the state at a reset is given; otherwise it is the neutral one."""

    def split_constants(self, constants: Parts) -> tuple[Parts, Parts]:
        """(a or nothing, initial state or nothing)."""
        cut = self.decay_parts if self.fixed else 0
        return constants[:cut], constants[cut:]

    def split_timed(self, constants: Parts, timed: Parts) -> tuple[Parts, Parts]:
        """(a, what follows it)."""
        if self.fixed:
            return self.split_constants(constants)[0], timed
        return timed[: self.decay_parts], timed[self.decay_parts :]

    def entering(self, constants: Parts, before: Parts, reset: Bool[Array, "..."] | None) -> Parts:
        """The state that enters a step: the one before it, or the initial one."""
        if reset is None:
            return before
        initial = self.split_constants(constants)[1]
        return select(reset, initial or self.recurrence.neutral, before)


class AbstractBody(eqx.Module):
    """One step of a loop over time."""

    @property
    @abc.abstractmethod
    def sums(self) -> int:
        """How many arrays at the end of the carry are sums over time, which begin with zero."""

    @abc.abstractmethod
    def __call__(
        self,
        constants: Parts,
        carry: Parts,
        reset: Bool[Array, "..."] | None,
        timed: Parts,
        shifted: Parts,
    ) -> tuple[Parts, Parts]:
        """The carry after the step and the step's outputs."""


class AbstractTotal(AbstractBody):
    """What a chunk of steps does to the carry that enters it: a body without outputs."""

    @property
    @abc.abstractmethod
    def beginning(self) -> tuple[float, ...]:
        """The carry of no steps."""

    @abc.abstractmethod
    def follow(self, before: Parts, total: Parts) -> Parts:
        """The carry after a chunk, given that before it and the chunk's total; without sums."""


class Forward(AbstractBody):
    """The states."""

    problem: Problem

    @property
    def sums(self) -> int:
        return 0

    def total(self) -> AbstractTotal:
        """The body of the totals."""
        return ForwardTotal(self.problem)

    def __call__(
        self,
        constants: Parts,
        carry: Parts,
        reset: Bool[Array, "..."] | None,
        timed: Parts,
        shifted: Parts,
    ) -> tuple[Parts, Parts]:
        a, u = self.problem.split_timed(constants, timed)
        entering = self.problem.entering(constants, carry, reset)
        after = step(self.problem.recurrence, entering, a, u)
        return after, after


class Adjoint(AbstractBody):
    """The cotangents, from the last step executed to the first.

    The carry is the cotangent of the state that the previous step left, then the sums: of the
    cotangent of the initial state where it is given, and of a where it is fixed.
    """

    problem: Problem

    @property
    def sums(self) -> int:
        initial = self.problem.parts if self.problem.has_initial else 0
        return initial + (self.problem.decay_parts if self.problem.fixed else 0)

    def total(self) -> AbstractTotal:
        """The body of the totals."""
        return AdjointTotal(self.problem)

    def __call__(
        self,
        constants: Parts,
        carry: Parts,
        reset: Bool[Array, "..."] | None,
        timed: Parts,
        shifted: Parts,
    ) -> tuple[Parts, Parts]:
        problem, size = self.problem, self.problem.parts
        a, rest = problem.split_timed(constants, timed)
        u, bar = rest[:-size], plus(rest[-size:], carry[:size])
        entering = problem.entering(constants, shifted, reset)
        entering_bar, a_bar, u_bar = pull_step(problem.recurrence, bar, entering, a, u)
        sums = carry[size:]
        before_bar, added = entering_bar, ()
        if reset is not None:
            before_bar = select(reset, 0.0, entering_bar)
        if reset is not None and problem.has_initial:
            unused = tuple(jnp.zeros_like(part) for part in entering_bar)
            added = select(reset, entering_bar, unused)
        if problem.fixed:
            return before_bar + plus(sums, added + a_bar), u_bar
        return before_bar + plus(sums, added), a_bar + u_bar


class ForwardTotal(AbstractTotal):
    """The acting part of a chunk, the state it makes of nothing, and whether it has a reset."""

    problem: Problem

    @property
    def sums(self) -> int:
        return 0

    @property
    def beginning(self) -> tuple[float, ...]:
        problem = self.problem
        one = 1.0 if problem.recurrence.neutral == 0.0 else 0.0
        decay = (one, 0.0)[: problem.decay_parts]
        state = (problem.recurrence.neutral,) * problem.parts
        return (*decay, *state, *_no_reset(problem))

    def follow(self, before: Parts, total: Parts) -> Parts:
        decay, made, was_reset = _split_total(total, self.problem.decay_parts, self.problem.parts)
        recurrence = self.problem.recurrence
        after = recurrence.join(moved_by(recurrence, before, decay), made)
        return _unless_reset(was_reset, made, after)

    def __call__(
        self,
        constants: Parts,
        carry: Parts,
        reset: Bool[Array, "..."] | None,
        timed: Parts,
        shifted: Parts,
    ) -> tuple[Parts, Parts]:
        problem = self.problem
        decay, made, was_reset = _split_total(carry, problem.decay_parts, problem.parts)
        a, u = problem.split_timed(constants, timed)
        made = step(problem.recurrence, problem.entering(constants, made, reset), a, u)
        decay = problem.recurrence.compose(decay, a)
        return decay + made + _reset_so_far(was_reset, reset), ()


class AdjointTotal(AbstractTotal):
    """The factor of a chunk on the cotangent that enters it, what it adds, and its resets."""

    problem: Problem

    @property
    def sums(self) -> int:
        return 0

    @property
    def beginning(self) -> tuple[float, ...]:
        size = self.problem.parts
        return (*(1.0, 0.0)[:size], *(0.0,) * size, *_no_reset(self.problem))

    def follow(self, before: Parts, total: Parts) -> Parts:
        factor, made, was_reset = _split_total(total, self.problem.parts, self.problem.parts)
        return _unless_reset(was_reset, made, plus(times(factor, before), made))

    def __call__(
        self,
        constants: Parts,
        carry: Parts,
        reset: Bool[Array, "..."] | None,
        timed: Parts,
        shifted: Parts,
    ) -> tuple[Parts, Parts]:
        problem, size = self.problem, self.problem.parts
        factor, made, was_reset = _split_total(carry, size, size)
        a, rest = problem.split_timed(constants, timed)
        u, bar = rest[:-size], plus(rest[-size:], made)
        entering = problem.entering(constants, shifted, reset)
        made, _, _ = pull_step(problem.recurrence, bar, entering, a, u)
        factor, _, _ = pull_step(problem.recurrence, factor, entering, a, u)
        if reset is not None:
            made = select(reset, 0.0, made)
        return factor + made + _reset_so_far(was_reset, reset), ()


class Follow(AbstractBody):
    """What enters each chunk, in a loop over the totals of chunks."""

    chunk: AbstractTotal

    @property
    def sums(self) -> int:
        return 0

    def __call__(
        self,
        constants: Parts,
        carry: Parts,
        reset: Bool[Array, "..."] | None,
        timed: Parts,
        shifted: Parts,
    ) -> tuple[Parts, Parts]:
        return self.chunk.follow(carry, timed), carry


def _split_total(carry: Parts, first: int, second: int) -> tuple[Parts, Parts, Parts]:
    return carry[:first], carry[first : first + second], carry[first + second :]


def _no_reset(problem: Problem) -> tuple[float, ...]:
    # A number, since back ends keep a carry of one dtype.
    return (0.0,) if problem.flagged else ()


def _reset_so_far(was_reset: Parts, reset: Bool[Array, "..."] | None) -> Parts:
    if reset is None:
        return was_reset
    return (jnp.where(reset, jnp.ones_like(was_reset[0]), was_reset[0]),)


def _unless_reset(was_reset: Parts, made: Parts, after: Parts) -> Parts:
    # Selected: what enters a chunk that has a reset may be NaN.
    return select(was_reset[0] > 0.0, made, after) if was_reset else after
