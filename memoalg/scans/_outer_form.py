"""Which monoids are outer-product memories, and how."""

import abc
import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ..algebra import AbstractMonoid, DeltaRule, GatedOuter, StabilisedOuter
from ._chunk import Memory, Outer
from ._chunk_exponent import LogGates


class AbstractOuterForm(eqx.Module):
    r"""A monoid as a memory $S_t = a_t S_{t-1} + k_t u_t^\top$ that is read by rows, $S_t^\top q_t$.

    What [`memoalg.Chunked`][] needs to know of a monoid. A class of one's own registers its form:
    `ma.scans.outer_form.register(MyMonoid, lambda monoid: MyForm())`.

    Example:
        >>> import memoalg as ma
        >>> print(ma.scans.outer_form(ma.Affine(2)))
        None
    """

    @abc.abstractmethod
    def writes(self, generators: PyTree) -> Outer:
        """What generators, with a time axis, write."""

    @abc.abstractmethod
    def memory(self, state: PyTree) -> Memory:
        """What a state remembers."""

    @abc.abstractmethod
    def state(self, memory: Memory) -> PyTree:
        """The state that remembers it."""

    @abc.abstractmethod
    def rows(self, queries: PyTree) -> Float[Array, "time key"]:
        """The vectors with which queries, with a time axis, read the matrix."""

    @abc.abstractmethod
    def reads(
        self, read: Float[Array, "time value"], exponents: Float[Array, " time"] | None
    ) -> PyTree:
        """What the monoid's `read` makes of what the rows read of the matrix."""


@functools.singledispatch
def outer_form(monoid: AbstractMonoid) -> AbstractOuterForm | None:
    """How a monoid is an outer-product memory, or None.

    Example:
        >>> import memoalg as ma
        >>> type(ma.scans.outer_form(ma.DeltaRule(4, 4))).__name__
        'DeltaForm'
    """
    return None


class GatedForm(AbstractOuterForm):
    """The generators of `GatedOuter` are the writes; its state is the matrix."""

    def writes(self, generators: PyTree) -> Outer:
        keys, values, decays = generators
        return Outer(keys, values, decays, None)

    def memory(self, state: PyTree) -> Memory:
        return Memory(state)

    def state(self, memory: Memory) -> PyTree:
        return memory.matrix

    def rows(self, queries: PyTree) -> Float[Array, "time key"]:
        return queries

    def reads(
        self, read: Float[Array, "time value"], exponents: Float[Array, " time"] | None
    ) -> PyTree:
        return read


class DeltaForm(AbstractOuterForm):
    """`DeltaRule` keeps the matrix with values first."""

    def writes(self, generators: PyTree) -> Outer:
        keys, values, strengths, decays = generators
        return Outer(keys, values, decays, strengths)

    def memory(self, state: PyTree) -> Memory:
        return Memory(state.T)

    def state(self, memory: Memory) -> PyTree:
        return memory.matrix.T

    def rows(self, queries: PyTree) -> Float[Array, "time key"]:
        return queries

    def reads(
        self, read: Float[Array, "time value"], exponents: Float[Array, " time"] | None
    ) -> PyTree:
        return read


class StabilisedForm(AbstractOuterForm):
    """The normaliser of `StabilisedOuter` is one more value, always one; its state has an exponent."""

    monoid: StabilisedOuter

    def writes(self, generators: PyTree) -> Outer:
        keys, values, log_forget, log_input = generators
        return Outer(keys, with_ones(values), None, None, LogGates(log_forget, log_input))

    def memory(self, state: PyTree) -> Memory:
        exponent, matrix, normaliser = state
        return Memory(jnp.concatenate([matrix, normaliser[:, None]], axis=1), exponent)

    def state(self, memory: Memory) -> PyTree:
        return memory.exponent, memory.matrix[:, :-1], memory.matrix[:, -1]

    def rows(self, queries: PyTree) -> Float[Array, "time key"]:
        return queries

    def reads(
        self, read: Float[Array, "time value"], exponents: Float[Array, " time"] | None
    ) -> PyTree:
        # What was read is a memory of one key, asked for that key.
        def one(row: Array, exponent: Any) -> Array:
            state = exponent, row[None, :-1], row[-1:]
            return self.monoid.read(state, jnp.ones_like(row[:1]))

        return jax.vmap(one)(read, exponents)


def with_ones(values: Float[Array, "time value"]) -> Float[Array, "time more"]:
    """One more value, always one: what is stored of it is the sum of the keys.

    Called for a chunk at a time: no such copy of all values is made.
    """
    return jnp.concatenate([values, jnp.ones_like(values[..., :1])], axis=-1)


@outer_form.register
def _(monoid: GatedOuter) -> AbstractOuterForm | None:
    return GatedForm() if jnp.issubdtype(monoid.dtype, jnp.floating) else None


@outer_form.register
def _(monoid: DeltaRule) -> AbstractOuterForm | None:
    return DeltaForm()


@outer_form.register
def _(monoid: StabilisedOuter) -> AbstractOuterForm | None:
    return StabilisedForm(monoid)
