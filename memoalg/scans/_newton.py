"""Newton's method over time: recurrences that are no monoid's, for all steps at once."""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PyTree

from .._typing import DTypeLike
from ..algebra import AbstractMonoid
from ..algebra._fixed import merge_fixed, split_fixed
from ._associative import _length
from ._check import check_start, sequence_length
from ._factors import run_of
from ._method import AbstractMethod, initial_state_of
from ._newton_rule import Operands, run
from ._newton_vector import Linearise, Scheme, Step, Vectors, linearised

FULL_STATE = 64
"""The largest state whose Jacobian is formed: T n² numbers, n³ for each product of two."""

ROUNDS = {True: 8, False: 40}
"""Rounds at most with the full Jacobian, and with its diagonal: more, and the loop is cheaper."""


class NewtonInfo(NamedTuple):
    """How [`memoalg.Newton`][] found the states; under `jax.vmap` the same for the whole batch.

    Attributes:
        iterations: rounds of linearising and scanning, int32 ().
        residual: the largest |f(s[t-1], x[t]) - s[t]| over max(1, |s[t]|) of what the last round left,
            before any fallback; NaN where that is not finite.
        fell_back: bool (): the loop was run instead.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> step = lambda state, x: jnp.tanh(state + x)
        >>> _, _, info = ma.Newton().solve(step, jnp.zeros(2), jnp.ones((9, 2)), None)
        >>> print(info.fell_back)
        False
    """

    iterations: Int[Array, ""]
    residual: Float[Array, ""]
    fell_back: Bool[Array, ""]


class Newton(AbstractMethod):
    r"""All steps of a nonlinear recurrence at once, by scans of its linearisation.

    From a guess of all states, $s_t = f(s_{t-1}, x_t)$ is linearised at every step in parallel and the
    affine recurrence of the corrections is a parallel scan; repeat until the largest correction,
    relative to max(1, |s|), is at most `tolerance`. A step is `monoid.advance` (of any monoid whose
    state is of real floats) or that of a recurrent layer, a user's own included
    ([`memoalg.nn.Recurrent`][]). It pays on accelerators and long sequences: on a CPU the loop is faster.

    Where the rounds do not suffice, or anything is not finite, the loop is run instead: exactly what
    `Sequential()` computes. Under `jax.vmap` that is decided once for the batch, so that nothing is
    computed in vain; one bad sequence sends the whole batch to the loop. A chaotic network (gain far
    above 1) may have several solutions within rounding: the one found solves the recurrence within
    `tolerance` but need not be near the loop's.

    Derivatives are those of the solution (implicit function theorem), in both modes and to any order:
    a reversed (forward) linear scan, then one product over all steps. Nothing is differentiated
    through the rounds, and memory does not grow with their number.

    Arguments:
        max_iterations: rounds before the loop is run; None is 8 with the full Jacobian, 40 with its
            diagonal.
        jacobian: `"full"` converges quadratically but needs T n² memory and n³ work per product for a
            state of n numbers; `"diagonal"` converges linearly in O(T n); `"auto"` is full up to 64
            numbers.
        tolerance: see above; None is eps**0.8 of the state's dtype, 3e-6 in float32.

    Raises:
        ValueError: where an argument is not one of these.
        TypeError: in a run, where the state is not of real floats.

    Source: Lim et al., arXiv 2309.12252 (parallel Newton); Gonzalez et al., arXiv 2407.19115
    (diagonal).

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.GRU(3, 4, key=jax.random.key(0))
        >>> xs = jnp.ones((5, 3))
        >>> _, ys = layer(layer.init_carry(), xs, None, method=ma.Newton())
        >>> bool(jnp.allclose(ys, layer(layer.init_carry(), xs, None)[1], atol=1e-5))
        True
    """

    max_iterations: int | None = eqx.field(static=True, default=None)
    jacobian: str = eqx.field(static=True, default="auto")
    tolerance: float | None = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        if self.jacobian not in ("auto", "full", "diagonal"):
            raise ValueError(
                f'Newton: jacobian is "auto", "full" or "diagonal", got {self.jacobian!r}'
            )
        if self.max_iterations is not None and (
            not isinstance(self.max_iterations, int) or self.max_iterations < 1
        ):
            raise ValueError(
                f"Newton: max_iterations is a positive int or None, got {self.max_iterations!r}"
            )
        if self.tolerance is not None and not 0 < self.tolerance < 1:
            raise ValueError(f"Newton: tolerance is between 0 and 1, got {self.tolerance!r}")

    def takes_full(self, size: int) -> bool:
        """Whether the Jacobian of a state of so many numbers is formed."""
        return size <= FULL_STATE if self.jacobian == "auto" else self.jacobian == "full"

    def tolerance_of(self, dtype: DTypeLike) -> float:
        """What a run in this dtype settles at."""
        # Above what rounding leaves, below what anybody sees.
        eps = float(jnp.finfo(np.dtype(dtype)).eps)
        return eps**0.8 if self.tolerance is None else self.tolerance

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
        by_factor = run_of(monoid)
        if by_factor is not None:
            return by_factor(
                self.run, monoid, state, generators, resets, initial_state, queries, reverse
            )
        if resets is None:
            resets = jnp.zeros(_length(generators, None), jnp.bool_)
        arrays, static = eqx.partition(monoid, eqx.is_array)
        fixed, timed, treedef = split_fixed(generators)
        vectors = Vectors(type(monoid).__name__, state)

        def step(constants: PyTree, before: Array, now: PyTree) -> Array:
            arrays, fixed = constants
            generator = merge_fixed(treedef, fixed, now)
            return vectors.flat(
                eqx.combine(arrays, static).advance(vectors.tree(before), generator)
            )

        initial = initial_state_of(monoid, initial_state)
        if initial_state is None:
            initial = jax.lax.stop_gradient(initial)
        last, states, _ = recurrence(
            *(self, vectors, step, None, (arrays, fixed), state, initial, timed, resets, reverse)
        )
        return last, states if queries is None else jax.vmap(monoid.read)(states, queries)

    def solve(
        self,
        step: Callable[[PyTree, PyTree], PyTree],
        state: PyTree,
        xs: PyTree,
        start: Bool[Array, " time"] | None,
        *,
        initial_state: PyTree | None = None,
    ) -> tuple[PyTree, PyTree, NewtonInfo]:
        """Run a step of one's own, and say how it went.

        To see how a layer fares: `solve(lambda s, x: layer.step(s, x, None)[0], layer.init_carry(), …)`.

        Arguments:
            step: `(state, x) -> state`; a module, or a function, which may close over arrays.
            state: a pytree of real floats, entering the first step.
            xs: a pytree with a leading time axis.
            start: bool (time,), true on the first step of each episode, or None.
            initial_state: the state in which an episode begins; None for zeros.

        Returns:
            `(last_state, states, info)`, states with a leading time axis; see
            [`memoalg.NewtonInfo`][].

        Raises:
            TypeError: where a part of the state is not of real floats, or `start` is not bool.
            ValueError: where lengths do not fit.

        Example:
            >>> import jax.numpy as jnp, memoalg as ma
            >>> step = lambda state, x: jnp.tanh(state + x)
            >>> last, states, info = ma.Newton().solve(step, jnp.zeros(2), jnp.ones((9, 2)), None)
            >>> bool(info.residual < 1e-5)
            True
        """
        length = sequence_length("xs", xs)
        resets = check_start(start, length)
        state, xs = jax.tree.map(jnp.asarray, (state, xs))
        if not isinstance(step, eqx.Module):
            # Arrays that a function closes over become arguments, which have derivatives.
            one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), xs)
            module = eqx.filter_closure_convert(step, state, one)
        else:
            module = step
        if initial_state is None:
            initial_state = jax.tree.map(jnp.zeros_like, state)
        return run_cell(self, "step", cast(Any, module), state, xs, resets, initial_state)


def run_cell(
    method: Newton,
    name: str,
    step: Callable[[PyTree, PyTree], PyTree],
    state: PyTree,
    xs: PyTree,
    resets: Bool[Array, " time"] | None,
    initial_state: PyTree,
) -> tuple[PyTree, PyTree, NewtonInfo]:
    """Any module `(state, x) -> state` along a sequence."""
    vectors = Vectors(name, state)
    arrays, static = eqx.partition(step, eqx.is_array)

    def advance(arrays: PyTree, before: Array, now: PyTree) -> Array:
        return vectors.flat(eqx.combine(arrays, static)(vectors.tree(before), now))

    return recurrence(
        method, vectors, advance, None, arrays, state, initial_state, xs, resets, False
    )


def recurrence(
    method: Newton,
    vectors: Vectors,
    step: Step,
    linearise: Callable[[bool], Linearise] | None,
    constants: PyTree,
    state: PyTree,
    initial: PyTree,
    steps: PyTree,
    resets: Bool[Array, " time"] | None,
    reverse: bool,
) -> tuple[PyTree, PyTree, NewtonInfo]:
    """(last state, states, info) of a step on vectors; `linearise` of `full` where it is cheap."""
    length = jax.tree.leaves((steps, resets))[0].shape[0]
    if length == 0:
        states = jax.tree.map(lambda leaf: jnp.zeros((0, *leaf.shape), leaf.dtype), state)
        zero = jnp.zeros((), vectors.dtype)
        return state, states, NewtonInfo(jnp.int32(0), zero, jnp.bool_(False))
    full = method.takes_full(vectors.size)
    scheme = Scheme(
        step=step,
        linearise=linearised(step, full) if linearise is None else linearise(full),
        full=full,
        limit=method.max_iterations or ROUNDS[full],
        tolerance=method.tolerance_of(vectors.dtype),
        reverse=reverse,
    )
    operands = Operands(constants, vectors.flat(state), vectors.flat(initial), steps, resets)
    found = run(scheme, operands)
    states = jax.vmap(vectors.tree)(found.states)
    last = jax.tree.map(lambda leaf: leaf[0 if reverse else -1], states)
    return last, states, NewtonInfo(found.rounds, found.residual, found.fell_back)
