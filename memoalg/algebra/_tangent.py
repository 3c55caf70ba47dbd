"""The tangent monoid: a memory together with its forward sensitivity."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from .._tree import split_inexact
from ._monoid import AbstractCombinator, AbstractMonoid
from ._traits import has_embedding, is_commutative


class Tangent(AbstractCombinator[tuple[Any, Any], tuple[Any, Any]]):
    r"""Elements with a tangent, combined by the derivative of `combine`: $TM$.

    $$(x, \dot x) \bullet (y, \dot y) = \bigl(x \bullet y,\;
      \partial_1(x \bullet y)\,\dot x + \partial_2(x \bullet y)\,\dot y\bigr).$$

    The tangent functor preserves products, so the tangent of a monoid is a monoid (where `combine` is
    differentiable: not at a tie of a maximum). Its states are pairs $(s, \dot s)$; along a trajectory
    $\dot s_t$ is the derivative of $s_t$ in the direction in which the inputs and the first state
    move. That is the algebra of real-time recurrent learning: sensitivities go forward, nothing is
    stored.

    Tangents exist for floating and complex leaves; elsewhere the tangent tree holds None.

    Arguments:
        monoid: the monoid to differentiate.
        directions: how many tangents are carried side by side, on a leading axis of every tangent
            leaf; None is one, without an axis.

    Raises:
        TypeError: where `monoid` is not a monoid.
        ValueError: where `directions` is not a positive int.

    Source: Zucchet et al., arXiv 2305.15947, Online learning of long-range dependencies;
    Elelimy et al., Real-Time Recurrent Learning using Trace Units (arXiv 2409.01449), for diagonal
    recurrences.

    Example:
        How the state of a running sum depends on a factor of all inputs.

        >>> import jax.numpy as jnp, memoalg as ma
        >>> m = ma.Tangent(ma.Add())
        >>> xs = jnp.array([1.0, 2.0])
        >>> (total, slope), _ = ma.trajectory(m, m.initial_state(), (3 * xs, xs), None)
        >>> print(total, slope)
        9.0 3.0
    """

    monoid: AbstractMonoid
    directions: int | None = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        if not isinstance(self.monoid, AbstractMonoid):
            raise TypeError(f"Tangent takes a monoid, got {type(self.monoid).__name__}")
        given = self.directions
        if given is not None and (
            isinstance(given, bool) or not isinstance(given, int) or given < 1
        ):
            raise ValueError(f"Tangent: directions is a positive int or None, got {given!r}")

    def _at_rest(self, value: Any) -> tuple[Any, Any]:
        """A value that does not move."""
        axes = () if self.directions is None else (self.directions,)
        moving, _ = split_inexact(value)
        return value, jax.tree.map(lambda x: jnp.zeros((*axes, *x.shape), x.dtype), moving)

    def _push(self, function: Callable, *pairs: tuple[Any, Any]) -> tuple[Any, Any]:
        """The function's value and its derivative along the tangents."""
        moving, still = split_inexact(tuple(value for value, _ in pairs))
        tangents = tuple(tangent for _, tangent in pairs)

        def differentiable(moving: Any) -> tuple[Any, Any]:
            return split_inexact(function(*eqx.combine(moving, still)))

        def along(tangents: Any) -> tuple[Any, Any, Any]:
            return jax.jvp(differentiable, (moving,), (tangents,), has_aux=True)

        if self.directions is None:
            value, tangent, rest = along(tangents)
        else:
            value, tangent, rest = jax.vmap(along, out_axes=(None, 0, None))(tangents)
        return eqx.combine(value, rest), tangent

    def identity(self) -> tuple[Any, Any]:
        return self._at_rest(self.monoid.identity())

    def combine(self, left: tuple[Any, Any], right: tuple[Any, Any]) -> tuple[Any, Any]:
        return self._push(self.monoid.combine, left, right)

    def initial_state(self) -> tuple[Any, Any]:
        return self._at_rest(self.monoid.initial_state())

    def act(self, state: tuple[Any, Any], element: tuple[Any, Any]) -> tuple[Any, Any]:
        return self._push(self.monoid.act, state, element)

    def embed(self, state: tuple[Any, Any]) -> tuple[Any, Any]:
        return self._push(self.monoid.embed, state)

    def project(self, element: tuple[Any, Any]) -> tuple[Any, Any]:
        return self._push(self.monoid.project, element)

    def expand(self, generator: tuple[Any, Any]) -> tuple[Any, Any]:
        return self._push(self.monoid.expand, generator)

    def advance(self, state: tuple[Any, Any], generator: tuple[Any, Any]) -> tuple[Any, Any]:
        return self._push(self.monoid.advance, state, generator)

    def read(self, state: tuple[Any, Any], query: PyTree) -> tuple[Any, Any]:
        """The operand's read, and its derivative along the state's tangent; the query is still."""
        return self._push(lambda s: self.monoid.read(s, query), state)


@has_embedding.register
def _(monoid: Tangent) -> bool:
    return has_embedding(monoid.monoid)


@is_commutative.register
def _(monoid: Tangent) -> bool:
    return is_commutative(monoid.monoid)
