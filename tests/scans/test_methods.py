"""Every method computes, for every monoid, what a float64 loop computes; and starts isolate."""

# Wrong calls are the point of some tests here.
# pyright: reportArgumentType=false, reportCallIssue=false, reportOperatorIssue=false

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg as ma
from memoalg._tree import split_inexact
from tests.registry import METHODS, MONOIDS, generators, reachable_state

T = 9
START = np.zeros(T, bool)
START[[2, 5, 6]] = True


def inputs(name, dtype):
    """(generators, state, initial state) of a monoid, the same numbers in every dtype."""
    monoid = MONOIDS[name](dtype)
    one, two, three = jax.random.split(jax.random.key(7), 3)
    state, initial = reachable_state(monoid, two), reachable_state(monoid, three)
    return monoid, (generators(monoid, one, T), state, initial)


def loss_of(last, reads):
    """A number that depends on every inexact output, with a different weight for each step."""

    def weigh(leaf):
        weights = jnp.cos(jnp.arange(leaf.size, dtype=jnp.float32)).reshape(leaf.shape)
        real = leaf.real if jnp.issubdtype(leaf.dtype, jnp.complexfloating) else leaf
        finite = jnp.where(jnp.isfinite(real), real, 0)
        return jnp.sum(jnp.sin(finite) * weights.astype(real.dtype))

    leaves = jax.tree.leaves(split_inexact((last, reads))[0])
    return sum((weigh(leaf) for leaf in leaves), jnp.zeros((), leaves[0].real.dtype))


def loop(monoid, state, generators, start, initial_state, reverse):
    """The definition, one step after the other, differentiated by JAX."""
    # Backwards, the state that enters a step comes from the next one: dropped where that is a start.
    resets = jnp.asarray(np.append(start[1:], False) if reverse else start)

    def step(state, now):
        generator, reset = now
        entering = jax.tree.map(lambda a, b: jnp.where(reset, a, b), initial_state, state)
        after = monoid.advance(entering, generator)
        return after, after

    return jax.lax.scan(step, state, (generators, resets), reverse=reverse)


def outputs_and_gradient(run, arguments):
    """What `run(generators, state, initial)` returns, and the gradient of a loss of it."""
    moving, still = split_inexact(arguments)
    if not jax.tree.leaves(moving):
        return run(*arguments), ()

    def loss(moving):
        outputs = run(*eqx.combine(moving, still))
        return loss_of(*outputs), outputs

    (_, outputs), gradient = jax.value_and_grad(loss, has_aux=True)(moving)
    return outputs, gradient


def both_directions(monoid, arguments, start, method):
    """Forward and reverse in one compiled program."""

    def run(reverse, generators, state, initial):
        if method is None:
            return loop(monoid, state, generators, START, initial, reverse)
        return ma.trajectory(
            monoid, state, generators, start, initial_state=initial, reverse=reverse, method=method
        )

    return [
        outputs_and_gradient(functools.partial(run, reverse), arguments)
        for reverse in (False, True)
    ]


@functools.cache
def oracle(name):
    with jax.enable_x64(True):
        monoid, arguments = inputs(name, jnp.dtype("float64"))
        result = jax.jit(lambda a: both_directions(monoid, a, START, None))(arguments)
        return jax.tree.map(np.asarray, result)


@functools.cache
def compiled(name, method):
    monoid, arguments = inputs(name, jnp.dtype("float32"))
    run = jax.jit(lambda a, start: both_directions(monoid, a, start, METHODS[method]))
    return run, arguments


def assert_close(actual, expected, tolerance):
    actual, expected = jax.tree.leaves(actual), jax.tree.leaves(expected)
    assert len(actual) == len(expected)
    for one, two in zip(actual, expected, strict=True):
        scale = max(1.0, np.max(np.abs(np.where(np.isfinite(two), two, 0)), initial=0))
        np.testing.assert_allclose(one, two, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", MONOIDS)
def test_a_trajectory_equals_the_float64_loop(name, method):
    """States, last state and gradients of generators, state and learned initial state."""
    run, arguments = compiled(name, method)
    assert_close(run(arguments, jnp.asarray(START)), oracle(name), 3e-6)


def poisoned(generators, value):
    """Everything before the second start replaced, where it can hold the value."""

    def poison(leaf):
        if not jnp.issubdtype(leaf.dtype, jnp.inexact):
            return leaf.at[:5].set(jnp.ones_like(leaf[:5]))
        return leaf.at[:5].set(jnp.asarray(value, leaf.dtype))

    return jax.tree.map(poison, generators)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", MONOIDS)
def test_nothing_before_a_start_reaches_what_follows(name, method):
    """Bitwise: values and gradients of steps 5 to 8 whatever steps 0 to 4 hold, NaN and inf too."""
    run, (clean, state, initial) = compiled(name, method)

    def after(generators, state):
        (last, states), gradient = run((generators, state, initial), jnp.asarray(START))[0]
        by_step = gradient[0] if gradient else ()
        kept = (last, jax.tree.map(lambda leaf: leaf[5:], (states, by_step)))
        return [np.asarray(leaf) for leaf in jax.tree.leaves(kept)]

    expected = after(clean, state)
    for value in (np.nan, np.inf, -np.inf, 0.0, 1e30):
        for got, want in zip(after(poisoned(clean, value), state), expected, strict=True):
            np.testing.assert_array_equal(got, want, strict=True)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["affine", "max-plus", "normalised-outer", "resettable"])
def test_no_gradient_crosses_a_start(name, method):
    monoid, (generators, state, initial) = inputs(name, jnp.dtype("float32"))

    def later(arguments):
        moving, still = split_inexact(arguments)

        def loss(moving):
            steps, state = eqx.combine(moving, still)
            _, states = ma.trajectory(
                monoid,
                state,
                steps,
                jnp.asarray(START),
                initial_state=initial,
                method=METHODS[method],
            )
            return loss_of((), jax.tree.map(lambda leaf: leaf[5:], states))

        return jax.grad(loss)(moving)

    steps_bar, state_bar = jax.jit(later)((generators, state))
    for leaf in jax.tree.leaves((jax.tree.map(lambda leaf: leaf[:5], steps_bar), state_bar)):
        np.testing.assert_array_equal(leaf, np.zeros_like(leaf))
    assert any(np.any(leaf[5:]) for leaf in jax.tree.leaves(steps_bar))


@pytest.mark.parametrize("length", [0, 1, 2, 7, 8])
@pytest.mark.parametrize("name", ["affine", "product", "normalised-outer"])
def test_methods_agree_on_every_length(name, length):
    """T in {0, 1, 2, 2**k - 1, 2**k}, `Fixed` parts included, with queries where there are any."""
    monoid = MONOIDS[name](jnp.dtype("float32"))
    steps = jax.tree.map(lambda leaf: leaf[:length], generators(monoid, jax.random.key(1), 8))
    queries = jnp.ones((length, 2)) if name == "normalised-outer" else None
    if name == "affine":
        steps = (ma.Fixed(jnp.array([0.5, -0.9, 1.0])), steps[1])
    results = [
        ma.trajectory(monoid, monoid.initial_state(), steps, None, queries=queries, method=method)
        for method in METHODS.values()
    ]
    for last, reads in results:
        assert jax.tree.leaves(reads)[0].shape[0] == length
        assert jax.tree.structure(last) == jax.tree.structure(monoid.initial_state())
    assert jax.eval_shape(lambda: results[0]) == jax.eval_shape(lambda: results[1])
    assert_close(*results, 1e-6)


def test_fixed_parts_are_never_broadcast_and_have_the_right_gradient():
    """A decay as Fixed gives the states and the gradient that a repeated one gives, by both methods."""
    decay, inputs = jnp.array([0.5, -0.9, 1.1]), jax.random.normal(jax.random.key(0), (T, 3))

    def loss(decay, method, repeat):
        part = jnp.broadcast_to(decay, (T, 3)) if repeat else ma.Fixed(decay)
        monoid = ma.Affine(3) * ma.Add(3)
        states = ma.trajectory(
            monoid,
            monoid.initial_state(),
            ((part, inputs), inputs),
            jnp.asarray(START),
            method=method,
        )[1]
        return loss_of((), states)

    for method in METHODS.values():
        fixed = jax.value_and_grad(loss)(decay, method, False)
        assert_close(fixed, jax.value_and_grad(loss)(decay, method, True), 1e-6)
    text = str(jax.make_jaxpr(lambda d: loss(d, METHODS["associative"], False))(decay))
    assert "pow" not in text
    # The tree multiplies the decay once per level, by itself, without a time axis.
    assert text.count("f32[3] = mul") >= 3
