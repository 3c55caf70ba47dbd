"""Which monoids are outer-product memories, and how."""

import abc
import functools

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ..algebra import AbstractMonoid, DeltaRule, GatedOuter
from ._chunk import Outer


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
    def matrix(self, state: PyTree) -> Float[Array, "key value"]:
        """The matrix of a state."""

    @abc.abstractmethod
    def state(self, matrix: Float[Array, "key value"]) -> PyTree:
        """The state of a matrix."""

    @abc.abstractmethod
    def rows(self, queries: PyTree) -> Float[Array, "time key"]:
        """The vectors with which queries, with a time axis, read the matrix."""

    @abc.abstractmethod
    def reads(self, read: Float[Array, "time value"]) -> PyTree:
        """What the monoid's `read` makes of what the rows read."""


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

    def matrix(self, state: PyTree) -> Float[Array, "key value"]:
        return state

    def state(self, matrix: Float[Array, "key value"]) -> PyTree:
        return matrix

    def rows(self, queries: PyTree) -> Float[Array, "time key"]:
        return queries

    def reads(self, read: Float[Array, "time value"]) -> PyTree:
        return read


class DeltaForm(AbstractOuterForm):
    """`DeltaRule` keeps the matrix with values first."""

    def writes(self, generators: PyTree) -> Outer:
        keys, values, strengths, decays = generators
        return Outer(keys, values, decays, strengths)

    def matrix(self, state: PyTree) -> Float[Array, "key value"]:
        return state.T

    def state(self, matrix: Float[Array, "key value"]) -> PyTree:
        return matrix.T

    def rows(self, queries: PyTree) -> Float[Array, "time key"]:
        return queries

    def reads(self, read: Float[Array, "time value"]) -> PyTree:
        return read


@outer_form.register
def _(monoid: GatedOuter) -> AbstractOuterForm | None:
    return GatedForm() if jnp.issubdtype(monoid.dtype, jnp.floating) else None


@outer_form.register
def _(monoid: DeltaRule) -> AbstractOuterForm | None:
    return DeltaForm()
