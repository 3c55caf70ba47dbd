"""Memoroids: a monoid between an encoder and a readout."""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, PyTree

from .._tree import tree_where
from ..algebra import AbstractMonoid
from ..algebra._fixed import merge_fixed, over_time, split_fixed
from ..scans import AbstractMethod, Auto, trajectory
from ._check import check_sequence, check_step
from ._layer import AbstractLayer, Carry


class AbstractMemoroid(AbstractLayer):
    r"""A layer that is a monoid with maps into it and out of it.

    $$g_t = \mathrm{encode}(x_t), \quad
      s_t = \mathrm{advance}(s_0 \text{ if start}_t \text{ else } s_{t-1}, g_t), \quad
      y_t = \mathrm{readout}(\mathrm{read}(s_t, \mathrm{query}(x_t)), x_t).$$

    A model writes `monoid`, `encode` and `readout`, and where needed `query` and `initial_state`; its
    learnable arrays are its own fields. Scan, reset and `step` are inherited: no model has its own.

    Source: Definition 4.1 of Recurrent RL with Memoroids (arXiv 2402.09900).
    """

    @property
    @abc.abstractmethod
    def monoid(self) -> AbstractMonoid:
        """The algebra, with no learnable arrays."""

    @abc.abstractmethod
    def encode(self, x: PyTree) -> PyTree:
        """The generator of one step; wrap what does not depend on `x` in `ma.Fixed`."""

    @abc.abstractmethod
    def readout(self, read: PyTree, x: PyTree) -> Any:
        """The output of one step from what was read of the state."""

    def query(self, x: PyTree) -> PyTree | None:
        """What is asked of the state, inside the scan. Default: None, `readout` gets the state."""
        del x
        return None

    def initial_state(self) -> PyTree:
        """The state in which an episode begins. Default: the monoid's; a learned one lives here."""
        return self.monoid.initial_state()

    def init_carry(self) -> Carry:
        return jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), self.initial_state())

    def __call__(
        self,
        carry: Carry,
        xs: PyTree,
        start: Bool[Array, " time"] | None,
        *,
        method: AbstractMethod = Auto(),
    ) -> tuple[Carry, Any]:
        check_sequence(self, xs, start)
        carry, reads = trajectory(
            self.monoid,
            carry,
            over_time(self.encode, xs),
            start,
            initial_state=_given_initial_state(self),
            queries=jax.vmap(self.query)(xs),
            method=method,
        )
        return carry, jax.vmap(self.readout)(reads, xs)

    def step(self, carry: Carry, x: PyTree, start: Bool[Array, ""] | None) -> tuple[Carry, Any]:
        check_step(self, x, start)
        entering = carry if start is None else tree_where(start, self.initial_state(), carry)
        fixed, timed, treedef = split_fixed(self.encode(x))
        state = self.monoid.advance(entering, merge_fixed(treedef, fixed, timed))
        query = self.query(x)
        read = state if query is None else self.monoid.read(state, query)
        return state, self.readout(read, x)


def _given_initial_state(layer: AbstractMemoroid) -> PyTree | None:
    """None where the hook was left alone: methods know the monoid's own state, and save work by it."""
    if type(layer).initial_state is AbstractMemoroid.initial_state:
        return None
    return layer.initial_state()


class Memoroid(AbstractMemoroid):
    """A user's own memory: a monoid, and functions or modules into and out of it.

    Arguments:
        monoid: the algebra.
        encode: `x -> generator` of one step. A module with arrays trains; a plain function must not
            close over arrays.
        readout: `(read, x) -> y`.
        query: `x -> query`, asked of the state by `monoid.read`; None to read the state.
        initial_state: the state in which an episode begins, learned where it holds arrays; None for
            the monoid's.
        in_size: the length of an input vector, to check and compose by; None where unknown.
        out_size: the same of an output vector.

    Raises:
        TypeError: where `monoid` is not a monoid or a function cannot be called.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.Memoroid(ma.Max(3), encode=jnp.abs, readout=lambda largest, x: largest - x)
        >>> carry, ys = layer(layer.init_carry(), jnp.array([[1.0, -2, 0], [0, 0, 0]]), None)
        >>> print(ys)
        [[0. 4. 0.]
         [1. 2. 0.]]
    """

    algebra: AbstractMonoid
    encoder: Callable[[Any], Any]
    reader: Callable[[Any, Any], Any]
    asker: Callable[[Any], Any] | None
    start_state: PyTree | None
    in_size: int | None = eqx.field(static=True)
    out_size: int | None = eqx.field(static=True)

    def __init__(
        self,
        monoid: AbstractMonoid,
        encode: Callable[[Any], Any],
        readout: Callable[[Any, Any], Any],
        *,
        query: Callable[[Any], Any] | None = None,
        initial_state: PyTree | None = None,
        in_size: int | None = None,
        out_size: int | None = None,
    ):
        if not isinstance(monoid, AbstractMonoid):
            raise TypeError(f"Memoroid needs a monoid first, got {type(monoid).__name__}")
        for name, function in (("encode", encode), ("readout", readout), ("query", query)):
            if function is not None and not callable(function):
                raise TypeError(f"Memoroid: {name} must be callable, got {type(function).__name__}")
        self.algebra = monoid
        self.encoder = _as_static(encode)
        self.reader = _as_static(readout)
        self.asker = None if query is None else _as_static(query)
        self.start_state = initial_state
        self.in_size = in_size
        self.out_size = out_size

    @property
    def monoid(self) -> AbstractMonoid:
        return self.algebra

    def encode(self, x: PyTree) -> PyTree:
        return self.encoder(x)

    def readout(self, read: PyTree, x: PyTree) -> Any:
        return self.reader(read, x)

    def query(self, x: PyTree) -> PyTree | None:
        return None if self.asker is None else self.asker(x)

    def initial_state(self) -> PyTree:
        return self.algebra.initial_state() if self.start_state is None else self.start_state


class StaticFunction(eqx.Module):
    """A plain function as part of a model's type, so that the model has no callable leaves."""

    function: Callable = eqx.field(static=True)

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments)


def _as_static(function: Callable) -> Callable:
    """Modules train and stay; plain functions become static, so `jax.jit` takes the model."""
    return function if isinstance(function, eqx.Module) else StaticFunction(function)  # pyright: ignore
