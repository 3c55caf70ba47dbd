"""Newton's method over time computes what the loop computes, or runs it."""

# Wrong calls are the point of some tests here.
# pyright: reportArgumentType=false

import functools
from typing import Any

import equinox as eqx
import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg as ma
from memoalg.scans import _newton_linear, _newton_rule
from memoalg.scans._newton_search import largest
from tests.registry import MONOIDS, generators, reachable_state

T, SIZE, IN = 33, 8, 3
STARTS = {
    "some": np.isin(np.arange(T), [3, 4, 11, 20]),
    "first and last": np.isin(np.arange(T), [0, T - 1]),
    "all": np.ones(T, bool),
    "none": np.zeros(T, bool),
}
METHODS = {"full": ma.Newton(), "diagonal": ma.Newton(jacobian="diagonal")}


class Gated(eqx.Module):
    """A GRU of which only `(state, x) -> state` is known."""

    recurrent: jax.Array
    inputs: jax.Array

    def __call__(self, state, x):
        gate, update, new = jnp.split(self.inputs @ x, 3)
        of_gate, of_update, of_new = jnp.split(self.recurrent @ state, 3)
        gate, update = jax.nn.sigmoid(gate + of_gate), jax.nn.sigmoid(update + of_update)
        return (1 - update) * jnp.tanh(new + gate * of_new) + update * state


GAIN = 14.0
"""At which the rounds do not suffice, and rounding does not grow yet."""


def gated(gain, dtype="float32", size=SIZE):
    rng = np.random.default_rng(0)
    bound = gain / np.sqrt(size)
    drawn = (rng.uniform(-bound, bound, (3 * size, n)).astype(np.float32) for n in (size, IN))
    return Gated(*(jnp.asarray(array, dtype) for array in drawn))


def arguments(gain, dtype="float32") -> Any:
    """(cell, inputs, state, initial state)."""
    rng = np.random.default_rng(1)
    drawn = (rng.normal(size=shape).astype(np.float32) for shape in ((T, IN), (SIZE,), (SIZE,)))
    return gated(gain, dtype), *(jnp.asarray(array, dtype) for array in drawn)


def looped(cell, state, xs, start, initial):
    """As one writes it by hand."""

    def body(before, now):
        x, reset = now
        after = cell(jnp.where(reset, initial, before), x)
        return after, after

    last, states = jax.lax.scan(body, state, (xs, start))
    return last, states, None


def solved(method, cell, state, xs, start, initial):
    return method.solve(cell, state, xs, start, initial_state=initial)


def loss(run, moving, start):
    cell, xs, state, initial = moving
    last, states, info = run(cell, state, xs, start, initial)
    return jnp.sum(jnp.sin(3 * states)) + jnp.sum(jnp.cos(last)), (states, info)


@functools.cache
def compiled(name, dtype="float32"):
    run = looped if name == "loop" else functools.partial(solved, METHODS[name])
    return jax.jit(jax.value_and_grad(functools.partial(loss, run), has_aux=True))


@functools.cache
def oracle(gain, which):
    with jax.enable_x64(True):
        found = compiled("loop", "float64")(arguments(gain, "float64"), jnp.asarray(STARTS[which]))
        return jax.tree.map(np.asarray, found)


def assert_near(got, want, tolerance):
    for one, two in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        scale = max(1.0, float(np.max(np.abs(two), initial=0)))
        np.testing.assert_allclose(one, two, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("gain", [1.0, 3.0])
@pytest.mark.parametrize("name", METHODS)
def test_states_and_gradients_equal_the_float64_loop(name, gain):
    """Gradients of weights, inputs, entering state and initial state; no fallback."""
    for which, start in STARTS.items():
        (_, (states, info)), bars = compiled(name)(arguments(gain), jnp.asarray(start))
        (_, (want, _)), want_bars = oracle(gain, which)
        assert not info.fell_back, which
        assert_near(states, want, 1e-5)
        assert_near(bars, want_bars, 1e-5)


def test_without_starts_no_flag_is_needed():
    cell, xs, state, _ = arguments(1.0)
    last, states, _ = jax.jit(lambda xs: ma.Newton().solve(cell, state, xs, None))(xs)
    assert_near((last, states), looped(cell, state, xs, STARTS["none"], state)[:2], 1e-6)


def test_where_rounds_do_not_suffice_it_is_the_loop_in_gradients_too():
    moving, start = arguments(GAIN), jnp.asarray(STARTS["some"])
    (_, (states, info)), bars = compiled("full")(moving, start)
    (_, (want, _)), want_bars = compiled("loop")(moving, start)
    assert info.fell_back
    assert info.iterations == 8
    assert_near((states, bars), (want, want_bars), 1e-5)


def test_after_a_fallback_no_parallel_scan_is_trusted_in_the_gradient(monkeypatch):
    """Its products of Jacobians need not be accurate where the rounds did not suffice."""
    moving, start = arguments(GAIN), jnp.asarray(STARTS["some"])
    monkeypatch.setattr(_newton_linear, "affine_scan", lambda jacobians, inputs, reverse: inputs)
    run = functools.partial(loss, functools.partial(solved, ma.Newton()))
    bars, (_, info) = jax.jit(jax.grad(run, has_aux=True))(moving, start)
    assert info.fell_back
    assert_near(bars, compiled("loop")(moving, start)[1], 1e-5)


@pytest.mark.parametrize(("jacobian", "reverse"), [("full", True), ("diagonal", False)])
def test_the_loop_is_not_run_where_rounds_suffice(monkeypatch, jacobian, reverse):
    """Neither for the states nor for the gradient: its answer is poisoned here."""
    rng = np.random.default_rng(0)
    # Of a long memory, so that rounds alone do not carry it over all steps.
    decays = 0.9 * np.eye(2) + 0.02 * rng.normal(size=(T, 2, 2))
    steps = (jnp.asarray(decays, jnp.float32), jnp.asarray(rng.normal(size=(T, 2)), jnp.float32))
    monoid, state, start = ma.MatrixAffine(2), jnp.ones(2), jnp.asarray(STARTS["first and last"])

    def total(method, steps):
        last, states = ma.trajectory(monoid, state, steps, start, reverse=reverse, method=method)
        return jnp.sum(jnp.sin(states)) + jnp.sum(last)

    want = jax.value_and_grad(functools.partial(total, ma.Sequential()))(steps)
    for module in (_newton_linear, _newton_rule):
        honest = module._loop

        def poisoned(*given, honest=honest):
            return jnp.full_like(honest(*given), jnp.nan)

        monkeypatch.setattr(module, "_loop", poisoned)
    method = ma.Newton(jacobian=jacobian)
    got = jax.jit(jax.value_and_grad(functools.partial(total, method)))(steps)
    assert_near(got, want, 1e-5)


@functools.cache
def long_run(name):
    layer = ma.nn.GRU(8, 32, key=jax.random.key(0))
    method = ma.Newton(jacobian=name, tolerance=1e-5)

    @eqx.filter_jit
    def run(layer, xs):
        projected = jax.vmap(layer.project)(xs)
        _, states, info = layer._parallel(method, layer.init_carry(), projected, None)
        return states, layer(layer.init_carry(), xs, None, method=ma.Sequential())[1], info

    return layer, run


def with_gain(layer, gain) -> Any:
    arrays, static = eqx.partition(layer, eqx.is_array)
    leaves, treedef = jax.tree.flatten(arrays)
    keys = jax.random.split(jax.random.key(2), len(leaves))
    bound = gain / layer.out_size**0.5
    pairs = zip(keys, leaves, strict=True)
    drawn = [jax.random.uniform(key, x.shape, x.dtype, -bound, bound) for key, x in pairs]
    return eqx.combine(jax.tree.unflatten(treedef, drawn), static)


@pytest.mark.parametrize(
    ("name", "gain", "rounds"),
    [("full", 1.0, 3), ("full", 3.0, 5), ("diagonal", 1.0, 10), ("diagonal", 3.0, 26)],
)
def test_rounds_are_few(name, gain, rounds):
    layer, run = long_run(name)
    xs = jax.random.normal(jax.random.key(1), (128, 8))
    states, want, info = run(with_gain(layer, gain), xs)
    assert not info.fell_back
    assert info.iterations <= rounds
    np.testing.assert_allclose(states, want, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "length", "rounds"), [("full", 128, 8), ("diagonal", 128, 40), ("full", 1024, 8)]
)
def test_at_gain_8_it_falls_back_and_is_bitwise_the_loop(name, length, rounds):
    """Products of a thousand Jacobians are infinite: that must be seen, not lost in a maximum."""
    layer, run = long_run(name)
    xs = jax.random.normal(jax.random.key(1), (length, 8))
    states, want, info = run(with_gain(layer, 8.0), xs)
    assert info.fell_back
    assert info.iterations <= rounds
    np.testing.assert_array_equal(states, want)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_never_the_largest(wrong):
    sizes = jnp.ones((64, 32)).at[7, 3].set(wrong)
    assert jnp.isnan(jax.jit(lambda x: largest(jnp.abs(x) / jnp.maximum(jnp.abs(x), 1)))(sizes))


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nothing_before_a_start_reaches_what_follows(name, value):
    cell, xs, state, initial = arguments(1.0)
    start = jnp.asarray(STARTS["some"])
    moving = cell, xs.at[7:11].set(value), state, initial
    (_, (states, info)), (_, xs_bar, state_bar, _) = compiled(name)(moving, start)
    (_, (want, _)), (_, want_bar, want_state_bar, _) = compiled("loop")(
        (cell, xs, state, initial), start
    )
    assert info.fell_back
    clean = np.isin(np.arange(T), np.arange(4, 11), invert=True)
    assert_near(states[clean], want[clean], 1e-6)
    assert_near(xs_bar[clean], want_bar[clean], 1e-5)
    assert_near(state_bar, want_state_bar, 1e-5)
    assert not jnp.all(jnp.isfinite(states[7:11]))


def test_a_jacobian_plays_no_part_at_a_start():
    """The root's slope is infinite at 0, where every episode begins."""

    def step(state, x):
        return jnp.sqrt(state) / 2 + x

    def total(method, xs):
        zeros = jnp.zeros(2)
        if method is None:
            return jnp.sum(looped(step, zeros, xs, start, zeros)[1]), False
        _, states, info = method.solve(step, zeros, xs, start)
        return jnp.sum(states), info.fell_back

    start = jnp.asarray(STARTS["some"])
    xs = jnp.abs(arguments(1.0)[1][:, :2]) + 0.1
    (value, fell_back), bars = (
        jax.jit(jax.value_and_grad(functools.partial(total, ma.Newton()), has_aux=True))
    )(xs)
    (want, _), want_bars = jax.value_and_grad(functools.partial(total, None), has_aux=True)(xs)
    assert not fell_back
    assert_near((value, bars), (want, want_bars), 1e-6)


def test_the_residual_is_what_is_left_of_the_equation():
    cell, xs, state, initial = arguments(3.0)
    start = jnp.asarray(STARTS["some"])
    rough = ma.Newton(tolerance=1e-2, jacobian="diagonal")
    run = jax.jit(functools.partial(solved, rough))
    _, states, info = run(cell, state, xs, start, initial)
    before = jnp.concatenate([state[None], states[:-1]])
    after = jax.vmap(cell)(jnp.where(start[:, None], initial, before), xs)
    assert 1e-6 < info.residual <= 1e-2
    np.testing.assert_allclose(info.residual, jnp.max(jnp.abs(after - states)), rtol=1e-2)


# ---- transformations -------------------------------------------------------------------------


def equations(program, inside=()):
    """Every equation with the primitives around it."""
    for equation in getattr(program, "jaxpr", program).eqns:
        yield equation, inside
        for inner in programs(tuple(equation.params.values())):
            yield from equations(inner, (*inside, equation.primitive.name))


def programs(value):
    if isinstance(value, tuple | list):
        for part in value:
            yield from programs(part)
    elif isinstance(value, jax.extend.core.Jaxpr | jax.extend.core.ClosedJaxpr):
        yield value


def batched(method, xs, start):
    cell, _, state, initial = arguments(1.0)

    def one(xs):
        return method.solve(cell, state, xs, start, initial_state=initial)

    return jax.vmap(one)(xs)


@pytest.mark.parametrize("differentiated", [False, True])
def test_under_vmap_the_loop_is_run_only_where_it_is_needed(differentiated):
    """Otherwise a batched choice would run it always, and select."""
    xs = jnp.stack([arguments(1.0)[1]] * 2)
    start = jnp.asarray(STARTS["some"])
    program = lambda xs: jnp.sum(batched(ma.Newton(), xs, start)[1])
    traced = jax.make_jaxpr(jax.grad(program) if differentiated else program)(xs)
    found = list(equations(traced))
    loops = [inside for equation, inside in found if equation.primitive.name == "scan"]
    choices = [e for e, _ in found if e.primitive.name == "cond" and "scan" in str(e.params)]
    assert loops
    assert all("cond" in inside for inside in loops)
    assert len(choices) >= 2
    assert all(choice.invars[0].aval.shape == () for choice in choices)


def test_the_worst_sequence_decides_for_the_batch():
    xs = jnp.stack([arguments(1.0)[1]] * 3)
    start = jnp.asarray(STARTS["some"])
    run = jax.jit(functools.partial(batched, ma.Newton()))
    cell, _, state, initial = arguments(1.0)
    want = looped(cell, state, xs[0], start, initial)[1]
    _, states, info = run(xs, start)
    assert not info.fell_back.any()
    assert_near(states[2], want, 1e-5)
    _, states, info = run(xs.at[1, 7].set(jnp.nan), start)
    assert info.fell_back.all()
    np.testing.assert_allclose(states[2], want, rtol=0, atol=2e-7)
    assert not jnp.isfinite(states[1, 7]).any()


@pytest.mark.slow
def test_vmap_of_everything_and_on_any_axis():
    """Weights, states, starts batched, nested; the batch axis of the inputs in the middle."""
    gains, starts = jnp.array([1.0, 2.0]), jnp.asarray(np.stack([STARTS["some"], STARTS["none"]]))
    cell, xs, state, initial = arguments(1.0)
    inputs = jnp.stack([xs, -xs, 2 * xs], axis=1)

    def one(gain, start, xs):
        scaled = jax.tree.map(lambda leaf: leaf * gain, cell)
        return jnp.sum(ma.Newton().solve(scaled, state, xs, start, initial_state=initial)[1])

    def plain(gain, start, xs):
        scaled = jax.tree.map(lambda leaf: leaf * gain, cell)
        return jnp.sum(looped(scaled, state, xs, start, initial)[1])

    both: Any = [
        jax.jit(jax.vmap(jax.vmap(jax.grad(f), (None, None, 1)), (0, 0, None)))(
            gains, starts, inputs
        )
        for f in (one, plain)
    ]
    assert_near(both[0], both[1], 1e-5)


def directional(run):
    """(value, derivative in a direction) as a function of the entering and the initial state."""
    cell, xs, state, initial = arguments(1.0)
    start = jnp.asarray(STARTS["some"])

    def value(state, initial):
        return jnp.sum(jnp.sin(3 * run(cell, state, xs, start, initial)[1])[:6])

    def slope(state, initial):
        return jax.jvp(value, (state, initial), (initial, state))

    return slope, state, initial


def test_forward_mode():
    got, want = (
        jax.jit(slope)(*at)
        for slope, *at in map(directional, (functools.partial(solved, ma.Newton()), looped))
    )
    assert_near(got, want, 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_second_derivatives(name):
    got, want = (
        jax.jit(jax.jacrev(slope, argnums=(0, 1)))(*at)
        for slope, *at in map(directional, (functools.partial(solved, METHODS[name]), looped))
    )
    assert_near(got, want, 2e-5)


def test_in_float64_to_its_own_tolerance():
    with jax.enable_x64(True):
        cell, xs, state, initial = arguments(2.0, "float64")
        start = jnp.asarray(STARTS["some"])
        run = jax.jit(functools.partial(solved, ma.Newton()))
        _, states, info = run(cell, state, xs, start, initial)
        assert states.dtype == jnp.float64
        assert not info.fell_back
        want = looped(cell, state, xs, start, initial)[1]
        np.testing.assert_allclose(states, want, rtol=0, atol=1e-12)


@pytest.mark.parametrize("length", [0, 1])
def test_short_sequences(length):
    cell, xs, state, initial = arguments(1.0)
    start = jnp.ones(length, bool)
    last, states, info = ma.Newton().solve(cell, state, xs[:length], start, initial_state=initial)
    assert states.shape == (length, SIZE)
    assert not info.fell_back
    np.testing.assert_allclose(last, cell(initial, xs[0]) if length else state, atol=1e-6)


def test_a_function_may_close_over_arrays():
    """They get their gradient; and a state may be a tree."""
    _, xs, _, _ = arguments(1.0)

    state = jnp.zeros(2), jnp.ones((1, 2))

    def step(weight, state, x):
        one, two = state
        return jnp.tanh(weight * two[0] + x[0]), 0.5 * two + one[None]

    def total(weight):
        _, (ones, _), info = ma.Newton().solve(functools.partial(step, weight), state, xs, None)
        return jnp.sum(ones), info

    def looped_total(weight):
        def body(before, x):
            after = step(weight, before, x)
            return after, after[0]

        return jnp.sum(jax.lax.scan(body, state, xs)[1])

    got, info = jax.jit(jax.grad(total, has_aux=True))(jnp.float32(0.4))
    assert not info.fell_back
    np.testing.assert_allclose(got, jax.grad(looped_total)(jnp.float32(0.4)), rtol=1e-5)


# ---- monoids ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "reverse"),
    [
        *(("affine", True), ("max-plus", True), ("power", True)),
        pytest.param("log-sum-exp", False, marks=pytest.mark.slow),
        pytest.param("matrix-affine", True, marks=pytest.mark.slow),
    ],
)
def test_monoids_of_float_states(name, reverse):
    """Of a maximum, whose states begin at minus infinity, the loop is run."""
    monoid = MONOIDS[name](jnp.float32)
    steps = generators(monoid, jax.random.key(3), 9)
    state = reachable_state(monoid, jax.random.key(4))
    start = jnp.asarray(STARTS["some"][:9])
    got, want = (
        ma.trajectory(monoid, state, steps, start, reverse=reverse, method=method)
        for method in (ma.Newton(), ma.Sequential())
    )
    assert_near(got, want, 1e-5)


def test_queries_are_read_off_the_states():
    monoid = ma.DeltaRule(3, 2)
    steps = generators(monoid, jax.random.key(3), 9)
    queries = jax.random.normal(jax.random.key(5), (9, 3))
    state = monoid.initial_state()
    got, want = (
        ma.trajectory(monoid, state, steps, None, queries=queries, method=method)
        for method in (ma.Newton(), ma.Sequential())
    )
    assert_near(got, want, 1e-5)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ma.Newton(jacobian="half"), ValueError, '"auto", "full" or "diagonal", got .half'),
        (lambda: ma.Newton(max_iterations=0), ValueError, "max_iterations is a positive int"),
        (lambda: ma.Newton(tolerance=2.0), ValueError, "tolerance is between 0 and 1"),
        (
            lambda: ma.trajectory(
                ma.Count(), jnp.int32(0), jnp.ones(3, jnp.int32), None, method=ma.Newton()
            ),
            TypeError,
            r"state of real floats, but that of Count has int32.*ma\.Sequential",
        ),
        (
            lambda: ma.Newton().solve(jnp.add, jnp.zeros(2), jnp.ones((3, 2)), jnp.ones(3)),
            TypeError,
            "start must be bool",
        ),
    ],
)
def test_bad_input_says_what_to_write(call, error, message, without_hook):
    with pytest.raises(error, match=message):
        call()
