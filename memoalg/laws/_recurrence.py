"""Compare a layer with the recurrence it should be: what no law can see."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..nn import AbstractLayer
from ._draw import Source
from ._inputs import draw_inputs, example_input
from ._report import text
from ._widen import widened, widened_values

Step = Callable[[Any, Any], tuple[Any, Any]]


def assert_matches_recurrence(
    layer: AbstractLayer,
    step_function: Step,
    *,
    initial_state: Any,
    in_size: int | None = None,
    input: Any = None,
    length: int = 16,
    seed: int = 0,
    tolerance: float | None = None,
) -> None:
    r"""Assert that a layer computes a published recurrence, over varied inputs and several episodes.

    Laws cannot tell a model from another lawful one, its mirror image say: write the paper's formula
    for one step plainly, in numpy, and compare. The recurrence is run in float64. The layer is run over the
    sequence and step by step, as it is and, where that is possible, converted to float64, in which it must
    agree far more closely.

    Arguments:
        layer: the layer.
        step_function: `(state, x) -> (state, y)` for one step; x is a float64 numpy array, and so should be
            the parameters that it uses: `np.asarray(layer.weight, np.float64)`.
        initial_state: the state in which every episode begins.
        in_size: length of an input vector, where the layer does not say.
        input: one step of input, as for [`memoalg.laws.check_layer`][].
        length: steps of a sequence.
        seed: of the inputs.
        tolerance: allowed difference, relative to the largest output; None for the square root of the
            unit of rounding, and 1e-7 in float64.

    Raises:
        AssertionError: where they differ; the message says at which step first.

    Example:
        A running sum, and its recurrence.

        >>> import memoalg as ma
        >>> layer = ma.nn.Memoroid(ma.Add(2), encode=abs, readout=lambda total, x: total - x, in_size=2)
        >>> def step(total, x):
        ...     total = total + abs(x)
        ...     return total, total - x
        >>> ma.laws.assert_matches_recurrence(layer, step, initial_state=0.0)
    """
    example = example_input(layer, in_size, input)
    rng = np.random.default_rng(seed)
    for mild in (True, False):
        xs = draw_inputs(example, Source(seed, length, mild=mild))
        start = rng.random(length) < 0.25
        wanted = _recurrence(step_function, initial_state, widened_values(xs), start)
        for how, ys in _runs(layer, xs, start):
            _require_close(type(layer).__name__, how, ys, wanted, start, xs, tolerance)
        for how, ys in _runs_in_double(layer, xs, start):
            _require_close(type(layer).__name__, how, ys, wanted, start, xs, tolerance)


def _recurrence(step_function: Step, initial_state: Any, xs: Any, start: np.ndarray) -> list[Any]:
    state, ys = initial_state, []
    for t, begins in enumerate(start):
        x = jax.tree.map(lambda leaf, t=t: leaf[t], xs)
        state, y = step_function(initial_state if begins else state, x)
        ys.append(jax.tree.map(np.asarray, y))
    return ys


def _runs(layer: AbstractLayer, xs: Any, start: np.ndarray) -> list[tuple[str, Any]]:
    def by_step(carry: Any, now: tuple) -> tuple[Any, Any]:
        return layer.step(carry, *now)

    def run(xs: Any, start: Any) -> tuple[Any, Any]:
        whole = layer(layer.init_carry(), xs, start)[1]
        return whole, jax.lax.scan(by_step, layer.init_carry(), (xs, start))[1]

    whole, steps = jax.device_get(jax.jit(run)(jax.tree.map(jnp.asarray, xs), jnp.asarray(start)))
    return [("over the sequence", whole), ("step by step", steps)]


def _runs_in_double(layer: AbstractLayer, xs: Any, start: np.ndarray) -> list[tuple[str, Any]]:
    with jax.enable_x64(True):
        try:
            runs = _runs(widened(layer), widened_values(xs), start)
        except (TypeError, ValueError):  # a layer that hard-codes its dtype somewhere
            return []
    return [(f"{how}, in float64", ys) for how, ys in runs]


def _require_close(
    name: str,
    how: str,
    ys: Any,
    wanted: list[Any],
    start: np.ndarray,
    xs: Any,
    tolerance: float | None,
) -> None:
    expected = jax.tree.map(lambda *leaves: np.stack(leaves), *wanted)
    pairs = list(zip(jax.tree.leaves(ys), jax.tree.leaves(expected), strict=True))
    wrong = np.zeros(len(start), bool)
    for y, want in pairs:
        if y.shape != want.shape:
            raise AssertionError(
                f"{name} gives outputs of shape {y.shape[1:]}, the recurrence {want.shape[1:]}"
            )
        wrong |= _differs(y, want, tolerance)
    if wrong.any():
        t = int(np.argmax(wrong))
        begun = np.flatnonzero(start[: t + 1])
        since = t - (int(begun[-1]) if begun.size else 0)
        raise AssertionError(
            f"{name} differs from the recurrence first at step {t} ({how}; step {since} of its episode)\n"
            f"input      = {text(jax.tree.map(lambda leaf: leaf[t], xs))}\n"
            f"layer      = {text(jax.tree.map(lambda leaf: leaf[t], ys))}\n"
            f"recurrence = {text(wanted[t])}\n" + _hint(since)
        )


def _hint(since: int) -> str:
    if since == 0:
        return (
            "It differs at the first step of an episode already: look at encode, readout and the "
            "initial state."
        )
    return (
        "The first step of the episode agrees: look at the order of the operands (left is earlier) and "
        "at what acts on what."
    )


def _differs(y: np.ndarray, want: np.ndarray, tolerance: float | None) -> np.ndarray:
    """Per step."""
    is_complex = jnp.issubdtype(y.dtype, jnp.complexfloating)
    wide = y.astype(np.complex128 if is_complex else np.float64)
    allowed = tolerance
    if allowed is None:
        eps = float(jnp.finfo(y.dtype).eps) if jnp.issubdtype(y.dtype, jnp.inexact) else 0.0
        allowed = 1e-7 if 0 < eps < 1e-15 else eps**0.5
    scale = max(1e-30, float(np.max(np.abs(want[np.isfinite(want)]), initial=0.0)))
    with np.errstate(invalid="ignore"):
        close = np.abs(wide - want) <= allowed * scale
    same = (wide == want) | (np.isnan(wide) & np.isnan(want))
    return ~(close | same).reshape(len(y), -1).all(axis=1)
