"""A loop over time as one operation: its static description, its operands, and their axes.

Every operand is of one of three kinds, by the axes that it has, in this order:

| kind | axes | which operands |
|---|---|---|
| constant | outer, inner, lanes | constants, carry, boundary |
| flag | outer, time, inner | resets |
| timed | outer, time, inner, lanes | inputs of the body, shifted inputs |

Lanes are the axes of one element. Outer and inner are axes of a batch, before and after time; an
operand that does not depend on one of them has size 1 there, and is not repeated.
"""

from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ._kernel_body import AbstractBody

LANES = 128
"""Of a program."""
STEPS = 32
"""Of a block of Mosaic's at most. Its chunks of time are multiples of it."""

BackEndName = Literal["auto", "triton", "mosaic"]


class Settings(eqx.Module):
    """How a kernel is to be run: the fields of `Kernel`."""

    back_end: BackEndName = eqx.field(static=True)
    chunks: int | None = eqx.field(static=True)
    interpret: bool = eqx.field(static=True)


class Chunks(NamedTuple):
    """How time is cut."""

    count: int
    steps: int
    """Of each chunk but the last."""


Arrays = tuple[Any, ...]
"""Arrays, or references to them inside a kernel, or their shapes."""


class Operands(NamedTuple):
    """The arrays of a call."""

    constants: Arrays
    """The same at every step."""
    carry: Arrays
    """Entering the first step executed, without the sums."""
    boundary: Arrays
    """The value of each shifted input at the last step executed, for which it has none."""
    flags: Arrays
    """int8, not zero at a reset; or nothing."""
    timed: Arrays
    """Inputs of the body at their step."""
    shifted: Arrays
    """Inputs of the body from the step that the body executes *next*."""

    def mapped(self, constant: Any, flag: Any, timed: Any) -> "Operands":
        """A function for each kind."""
        return Operands(
            tuple(map(constant, self.constants)),
            tuple(map(constant, self.carry)),
            tuple(map(constant, self.boundary)),
            tuple(map(flag, self.flags)),
            tuple(map(timed, self.timed)),
            tuple(map(timed, self.shifted)),
        )


def of_one_chunk(operands: Operands) -> Operands:
    """Operands whose carry has a leading axis of chunks, as if they had one: for their shapes."""
    carry = tuple(jax.ShapeDtypeStruct(x.shape[1:], x.dtype) for x in operands.carry)
    return operands._replace(carry=carry)


class Call(eqx.Module):
    """A loop of `body` over time."""

    body: AbstractBody
    settings: Settings
    reverse: bool = eqx.field(static=True)
    outputs: tuple[np.dtype, ...] = eqx.field(static=True)
    """The dtype of each output of the body."""
    accumulate: np.dtype = eqx.field(static=True)
    """The dtype in which the body computes, and of the carry."""
    outer: int = eqx.field(static=True, default=0)
    inner: int = eqx.field(static=True, default=0)
    lanes: int = eqx.field(static=True, default=0)

    def batch_shape(self, operands: Operands) -> tuple[int, ...]:
        """The sizes of the outer and inner axes."""
        batch = self.outer + self.inner
        constants = operands.constants + operands.carry + operands.boundary
        shapes = [x.shape[:batch] for x in constants]
        for x in operands.flags + operands.timed + operands.shifted:
            shapes.append((x.shape[: self.outer] + x.shape[self.outer + 1 :])[:batch])
        return np.broadcast_shapes(*shapes)

    def lane_shape(self, operands: Operands) -> tuple[int, ...]:
        """The axes of one element."""
        return operands.carry[0].shape[self.outer + self.inner :]

    def length(self, operands: Operands) -> int:
        """The number of steps."""
        return operands.timed[0].shape[self.outer]

    def carried(self, operands: Operands) -> int:
        """The number of arrays of the carry, sums included."""
        return len(operands.carry) + self.body.sums

    def results(self, operands: Operands) -> list[jax.ShapeDtypeStruct]:
        """Shapes of the carry at the end, sums included, and of the outputs."""
        batch, lanes = self.batch_shape(operands), self.lane_shape(operands)
        before, after = batch[: self.outer], batch[self.outer :]
        timed = (*before, self.length(operands), *after, *lanes)
        carry = jax.ShapeDtypeStruct((*batch, *lanes), self.accumulate)
        carries = [carry] * self.carried(operands)
        return carries + [jax.ShapeDtypeStruct(timed, dtype) for dtype in self.outputs]


def widened(x: Array, dtype: np.dtype) -> Array:
    """In the dtype of the computation."""
    return x if x.dtype == dtype else x.astype(dtype)


def broadcast(x: Array, shape: tuple[int, ...]) -> Array:
    """Repeated along its axes of size 1."""
    return x if x.shape == shape else jnp.broadcast_to(x, shape)
