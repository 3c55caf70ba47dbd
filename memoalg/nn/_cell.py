"""Recurrent layers of any step: a user's own cell, or another library's."""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, PyTree

from .._tree import first_difference, shape_of, tree_where
from ..scans import AbstractMethod, Associative, Auto, Newton, Sharded
from ..scans._newton import run_cell
from ._check import check_sequence, check_step
from ._layer import AbstractLayer, Carry


def newton_of(layer: AbstractLayer, method: AbstractMethod) -> Newton | None:
    """How a layer without a monoid is run: by Newton's method, or (None) by its loop."""
    if isinstance(method, Associative):
        raise TypeError(
            f"{type(layer).__name__} is no monoid, so it has no parallel tree: use ma.Sequential(), "
            "ma.Newton() or ma.Auto()"
        )
    if isinstance(method, Sharded):
        raise TypeError(
            f"{type(layer).__name__} is no monoid: its steps have no product, so its time axis cannot be "
            "sharded. Shard the batch instead, or use a layer that is a memoroid, such as ma.nn.LRU"
        )
    return method if isinstance(method, Newton) else None


def check_carry(layer: AbstractLayer, initial_state: PyTree, carry: PyTree) -> None:
    """A carry has the type of the state in which an episode begins."""
    difference = first_difference(shape_of(initial_state), shape_of(carry))
    if difference is not None:
        raise ValueError(f"{type(layer).__name__}: the carry differs in {difference}")


class AbstractCell(AbstractLayer):
    r"""A layer of any recurrence, $s_t = \mathrm{advance}(s_{t-1}, \mathrm{project}(x_t))$.

    The carry is the state. Loop, reset and `step` are inherited, and so is [`memoalg.Newton`][] where
    the state is of real floats. [`memoalg.nn.AbstractRecurrent`][] is faster where it applies.
    """

    @abc.abstractmethod
    def project(self, x: PyTree) -> PyTree:
        """What depends on the input alone: computed for all steps at once, before any loop."""

    @abc.abstractmethod
    def advance(self, state: PyTree, projected: PyTree) -> PyTree:
        """The next state."""

    @abc.abstractmethod
    def output(self, state: PyTree) -> Any:
        """What the layer returns of the state after a step."""

    @abc.abstractmethod
    def initial_state(self) -> PyTree:
        """The state in which an episode begins; a learned one lives here."""

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
        initial = self.initial_state()
        check_carry(self, initial, carry)
        newton, advance = newton_of(self, method), _Advance(self)
        projected = jax.vmap(self.project)(xs)
        if newton is None:
            carry, states = _loop(advance, carry, projected, start, initial)
        else:
            name = type(self).__name__
            carry, states, _ = run_cell(newton, name, advance, carry, projected, start, initial)
        return carry, jax.vmap(self.output)(states)

    def step(self, carry: Carry, x: PyTree, start: Bool[Array, ""] | None) -> tuple[Carry, Any]:
        check_step(self, x, start)
        entering = carry if start is None else tree_where(start, self.initial_state(), carry)
        state = self.advance(entering, self.project(x))
        return state, self.output(state)


class _Advance(eqx.Module):
    cell: AbstractCell

    def __call__(self, state: PyTree, projected: PyTree) -> PyTree:
        return self.cell.advance(state, projected)


def _loop(
    advance: Callable[[PyTree, PyTree], PyTree],
    state: PyTree,
    xs: PyTree,
    resets: Array | None,
    initial: PyTree,
) -> tuple[PyTree, PyTree]:
    """Left to automatic differentiation, which for a step of unknown kind is as quick as any rule."""

    def body(before: PyTree, now: tuple) -> tuple[PyTree, PyTree]:
        x, reset = now
        after = advance(before if reset is None else tree_where(reset, initial, before), x)
        return after, after

    return jax.lax.scan(body, state, (xs, resets))


class Recurrent(AbstractCell):
    r"""Any recurrent cell as a layer: $s_t = \mathrm{cell}(s_{t-1}, x_t)$, the output read off $s_t$.

    With [`memoalg.Newton`][] as method it runs in parallel over time, whatever the cell is.

    Arguments:
        cell: `(state, x) -> state`: a module, whose arrays train, or a function, which must not close
            over arrays. An `eqx.nn.GRUCell` or `eqx.nn.LSTMCell` is taken as it is.
        initial_state: the state in which an episode begins, a pytree of real floats, learned; None
            (for the cells of Equinox only) is zeros.
        output: `state -> y`; None is the first array of the state.
        in_size: the length of an input vector, to check and compose by; None where unknown.
        out_size: the same of an output vector.

    Raises:
        TypeError: where the cell cannot be called, or has no initial state.

    Example:
        >>> import equinox as eqx, jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.Recurrent(eqx.nn.LSTMCell(3, 4, key=jax.random.key(0)))
        >>> carry, ys = layer(layer.init_carry(), jnp.ones((5, 3)), None, method=ma.Newton())
        >>> ys.shape
        (5, 4)
        >>> decay = ma.nn.Recurrent(lambda state, x: jnp.tanh(state / 2 + x), jnp.zeros(2))
        >>> print(decay(decay.init_carry(), jnp.ones((1, 2)), None)[0])
        [0.7615942 0.7615942]
    """

    cell: Callable[..., Any]
    start_state: PyTree
    reader: Callable[[Any], Any] | None
    in_size: int | None = eqx.field(static=True)
    out_size: int | None = eqx.field(static=True)

    def __init__(
        self,
        cell: Callable[..., Any],
        initial_state: PyTree | None = None,
        *,
        output: Callable[[Any], Any] | None = None,
        in_size: int | None = None,
        out_size: int | None = None,
    ):
        if not callable(cell):
            raise TypeError(
                f"Recurrent takes a cell `(state, x) -> state`, got {type(cell).__name__}"
            )
        if isinstance(cell, eqx.nn.GRUCell | eqx.nn.LSTMCell):
            in_size, sizes = cell.input_size, cell.hidden_size
            out_size = sizes if output is None else out_size
            if initial_state is None:
                zeros = jnp.zeros(sizes, cell.weight_hh.dtype)
                initial_state = zeros if isinstance(cell, eqx.nn.GRUCell) else (zeros, zeros)
        if initial_state is None:
            raise TypeError(
                "Recurrent: give the state in which an episode begins, `Recurrent(cell, jnp.zeros(n))`"
            )
        self.cell, self.reader = cell, output
        self.start_state = jax.tree.map(jnp.asarray, initial_state)
        self.in_size, self.out_size = in_size, out_size

    def project(self, x: PyTree) -> PyTree:
        return x

    def advance(self, state: PyTree, projected: PyTree) -> PyTree:
        # Equinox's cells take the input first.
        if isinstance(self.cell, eqx.nn.GRUCell | eqx.nn.LSTMCell):
            return self.cell(projected, state)
        return self.cell(state, projected)

    def output(self, state: PyTree) -> Any:
        return jax.tree.leaves(state)[0] if self.reader is None else self.reader(state)

    def initial_state(self) -> PyTree:
        return self.start_state
