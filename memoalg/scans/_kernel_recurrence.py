"""What an elementwise recurrence does in one step, and the adjoint of that step.

Written once, for every back end: on a CPU the arrays are whole rows of a batch, in a GPU kernel the
registers of one program. A number is a tuple of real arrays, its parts: one, or two where it is
complex. Only arithmetic, comparisons and selects that every back end knows are used.
"""

import abc
from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool

Parts = tuple[Array, ...]
"""A real number, or the real and the imaginary part of a complex one."""


class AbstractRecurrence(eqx.Module):
    """h_t = join(act(h_{t-1}, a_t), u_t), elementwise."""

    zero: eqx.AbstractVar[float | None]
    """The value of `a` that forgets everything, NaN too (see `Strict`); None where there is none."""
    neutral: eqx.AbstractVar[float]
    """What `join` leaves alone."""
    needs_inputs: eqx.AbstractVar[bool]
    """Whether the adjoint asks for u."""

    @abc.abstractmethod
    def act(self, h: Parts, a: Parts) -> Parts:
        """What a makes of h."""

    @abc.abstractmethod
    def compose(self, a: Parts, later: Parts) -> Parts:
        """The acting part of two steps."""

    @abc.abstractmethod
    def join(self, moved: Parts, u: Parts) -> Parts:
        """The input taken in."""

    @abc.abstractmethod
    def pull_act(self, bar: Parts, h: Parts, a: Parts) -> tuple[Parts, Parts]:
        """Cotangents of h and of a, given that of `act(h, a)`."""

    @abc.abstractmethod
    def pull_join(self, bar: Parts, moved: Parts, u: Parts) -> tuple[Parts, Parts]:
        """Cotangents of `moved` and of u, given that of `join(moved, u)`."""


def step(recurrence: AbstractRecurrence, entering: Parts, a: Parts, u: Parts) -> Parts:
    """The state after a step."""
    return recurrence.join(moved_by(recurrence, entering, a), u)


def pull_step(
    recurrence: AbstractRecurrence, bar: Parts, entering: Parts, a: Parts, u: Parts
) -> tuple[Parts, Parts, Parts]:
    """Cotangents of the state that enters, of a and of u, given that of the state after the step."""
    moved = moved_by(recurrence, entering, a) if recurrence.needs_inputs else ()
    moved_bar, u_bar = recurrence.pull_join(bar, moved, u)
    entering_bar, a_bar = recurrence.pull_act(moved_bar, entering, a)
    if recurrence.zero is not None:
        gone = is_zero(a, recurrence.zero)
        entering_bar, a_bar = select(gone, 0.0, entering_bar), select(gone, 0.0, a_bar)
    return entering_bar, a_bar, u_bar


def moved_by(recurrence: AbstractRecurrence, entering: Parts, a: Parts) -> Parts:
    """`act`, in which a strict zero forgets NaN and inf too."""
    moved = recurrence.act(entering, a)
    if recurrence.zero is None:
        return moved
    return select(is_zero(a, recurrence.zero), recurrence.neutral, moved)


def is_zero(a: Parts, zero: float) -> Bool[Array, "..."]:
    """Where a is the strict zero, which is real."""
    gone = a[0] == zero
    for part in a[1:]:
        gone = gone & (part == 0.0)
    return gone


def select(condition: Bool[Array, "..."], if_true: Parts | float, if_false: Parts) -> Parts:
    """Part by part; a number stands for one in every part (complex neutral values are zero)."""
    if not isinstance(if_true, tuple):
        if_true = tuple(jnp.full_like(part, if_true) for part in if_false)
    return tuple(jnp.where(condition, x, y) for x, y in zip(if_true, if_false, strict=True))


def plus(x: Parts, y: Parts) -> Parts:
    """The sum."""
    return tuple(one + two for one, two in zip(x, y, strict=True))


def times(x: Parts, y: Parts) -> Parts:
    """The product, of real and complex numbers."""
    if len(x) == 1:
        return tuple(x[0] * part for part in y)
    if len(y) == 1:
        return times(y, x)
    return x[0] * y[0] - x[1] * y[1], x[0] * y[1] + x[1] * y[0]


def conjugate(x: Parts) -> Parts:
    """The complex conjugate; a real number is its own."""
    return x if len(x) == 1 else (x[0], -x[1])


class AffineRecurrence(AbstractRecurrence):
    """h = a h + u; a may be real where h is complex."""

    zero: float | None = eqx.field(static=True, default=None)
    neutral: float = eqx.field(static=True, default=0.0)
    needs_inputs: bool = eqx.field(static=True, default=False)

    def act(self, h: Parts, a: Parts) -> Parts:
        return times(a, h)

    def compose(self, a: Parts, later: Parts) -> Parts:
        return times(a, later)

    def join(self, moved: Parts, u: Parts) -> Parts:
        return plus(moved, u)

    def pull_act(self, bar: Parts, h: Parts, a: Parts) -> tuple[Parts, Parts]:
        # Cotangents of the real and the imaginary part, each by itself: hence the conjugates.
        if len(a) == len(h):
            return times(conjugate(a), bar), times(conjugate(h), bar)
        products = [one * two for one, two in zip(h, bar, strict=True)]
        return times(a, bar), (products[0] + products[1],)

    def pull_join(self, bar: Parts, moved: Parts, u: Parts) -> tuple[Parts, Parts]:
        return bar, bar


class ShiftRecurrence(AbstractRecurrence):
    """h = max(h + a, u), or min."""

    neutral: float = eqx.field(static=True)
    zero: float | None = eqx.field(static=True, default=None)
    needs_inputs: bool = eqx.field(static=True, default=True)

    def act(self, h: Parts, a: Parts) -> Parts:
        return plus(h, a)

    def compose(self, a: Parts, later: Parts) -> Parts:
        return plus(a, later)

    def join(self, moved: Parts, u: Parts) -> Parts:
        extreme: Callable = jnp.maximum if self.neutral < 0 else jnp.minimum
        return (extreme(moved[0], u[0]),)

    def pull_act(self, bar: Parts, h: Parts, a: Parts) -> tuple[Parts, Parts]:
        return bar, bar

    def pull_join(self, bar: Parts, moved: Parts, u: Parts) -> tuple[Parts, Parts]:
        # As jax.lax.max has it: a tie is shared. Where either is NaN, neither comparison holds.
        less = moved[0] < u[0] if self.neutral < 0 else moved[0] > u[0]
        more = moved[0] > u[0] if self.neutral < 0 else moved[0] < u[0]
        nothing, half = jnp.zeros_like(bar[0]), 0.5 * bar[0]
        shared = jnp.where(moved[0] == u[0], half, nothing)
        return (jnp.where(more, bar[0], shared),), (jnp.where(less, bar[0], shared),)


class LogRecurrence(AbstractRecurrence):
    """h = log(exp(h + a) + exp(u)), with nothing exponentiated but differences."""

    zero: float | None = eqx.field(static=True, default=None)
    neutral: float = eqx.field(static=True, default=-float("inf"))
    needs_inputs: bool = eqx.field(static=True, default=True)

    def act(self, h: Parts, a: Parts) -> Parts:
        return plus(h, a)

    def compose(self, a: Parts, later: Parts) -> Parts:
        return plus(a, later)

    def join(self, moved: Parts, u: Parts) -> Parts:
        x, y = moved[0], u[0]
        return (jnp.maximum(x, y) + _log1p(_smaller_share(x, y)),)

    def pull_act(self, bar: Parts, h: Parts, a: Parts) -> tuple[Parts, Parts]:
        return bar, bar

    def pull_join(self, bar: Parts, moved: Parts, u: Parts) -> tuple[Parts, Parts]:
        x, y = moved[0], u[0]
        less = _smaller_share(x, y)
        more = 1.0 / (1.0 + less)
        rest = less * more
        # As LogSumExp has it: moving an operand a little does not move an infinity.
        infinite = jnp.abs(jnp.maximum(x, y)) == float("inf")
        nothing = jnp.zeros_like(bar[0])
        x_bar = jnp.where(infinite, nothing, jnp.where(x > y, more, rest) * bar[0])
        y_bar = jnp.where(infinite, nothing, jnp.where(x > y, rest, more) * bar[0])
        return (x_bar,), (y_bar,)


def _smaller_share(x: Array, y: Array) -> Array:
    """exp(smaller - larger); 1 where they are equal, both infinite included."""
    return jnp.exp(jnp.where(x == y, jnp.zeros_like(x), -jnp.abs(x - y)))


def _log1p(x: Array) -> Array:
    """log(1 + x) by log alone, which every back end has; as accurate (Kahan's quotient)."""
    wide = 1.0 + x
    unchanged = wide == 1.0
    apart = jnp.where(unchanged, jnp.ones_like(x), wide - 1.0)
    return jnp.where(unchanged, x, x * (jnp.log(wide) / apart))
