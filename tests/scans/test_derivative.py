"""Derivatives by hand: both modes, every order, any nesting of transformations."""

# Arguments are of several shapes of pytree.
# pyright: reportArgumentType=false, reportOperatorIssue=false

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg as ma
from memoalg.scans._derivative import _linear_p

T = 7
START = jnp.array([False, False, True, False, True, False, False])
METHODS = {
    "sequential": ma.Sequential(),
    "unrolled": ma.Sequential(unroll=3),
    "associative": ma.Associative(),
}
MONOIDS = {
    "affine": ma.Affine(3),
    "max-plus": ma.SemidirectProduct(ma.Add(3), ma.Max(3), ma.shift),
    "joined": ma.Affine(3) * ma.Add(3),
}


def arguments(name):
    """(generators, state, initial state), all moving."""
    one, two, three, four = jax.random.split(jax.random.key(0), 4)
    pair = jax.random.normal(one, (T, 3)), jax.random.normal(two, (T, 3))
    state, initial = jax.random.normal(three, (3,)), jax.random.normal(four, (3,))
    if name == "joined":
        return (pair, pair[0]), (state, initial), (initial, state)
    return pair, state, initial


def value(name, method, generators, state, initial):
    """A number, by the library or (method None) by a loop that JAX differentiates."""
    monoid = MONOIDS[name]
    if method is not None:
        last, states = ma.trajectory(
            monoid, state, generators, START, initial_state=initial, method=METHODS[method]
        )
    else:

        def step(before, now):
            generator, fresh = now
            entering = jax.tree.map(lambda a, b: jnp.where(fresh, a, b), initial, before)
            after = monoid.advance(entering, generator)
            return after, after

        last, states = jax.lax.scan(step, state, (generators, START))
    leaves = jax.tree.leaves((last, states))
    return sum((jnp.sum(jnp.sin(leaf)) for leaf in leaves), jnp.float32(0))


def assert_trees_close(actual, expected, tolerance=2e-4):
    for one, other in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", MONOIDS)
def test_forward_mode_equals_that_of_the_loop(name, method):
    given = arguments(name)
    directions = jax.tree.map(jnp.cos, given)

    @jax.jit
    def both(given, directions):
        return [
            jax.jvp(functools.partial(value, name, m), given, directions) for m in (method, None)
        ]

    assert_trees_close(*both(given, directions))


@pytest.mark.parametrize("method", ["sequential", "associative"])
@pytest.mark.parametrize("outer", [jax.jacfwd, jax.jacrev], ids=["forward", "reverse"])
def test_second_derivatives_equal_those_of_the_loop(outer, method):
    """Forward over reverse, reverse over reverse."""
    given = arguments("affine")

    @jax.jit
    def both(decay):
        def of_decay(m, decay):
            return value("affine", m, (decay, given[0][1]), *given[1:])

        return [outer(jax.grad(functools.partial(of_decay, m)))(decay) for m in (method, None)]

    assert_trees_close(*both(given[0][0]))


@pytest.mark.parametrize("method", ["sequential", "associative"])
@pytest.mark.parametrize("axis", [0, 1])
def test_every_nesting_of_gradient_and_batch(axis, method):
    """Shared operands get the sum over a batch that is inside the gradient, and no sum outside."""
    (decays, inputs), state, initial = arguments("affine")
    many = jnp.stack([decays, 0.5 * decays], axis)

    def gradient(run):
        return jax.grad(run, argnums=(0, 1, 2, 3))

    def both(m):
        def one(decays, inputs, state, initial):
            return value("affine", m, (decays, inputs), state, initial)

        def batch(many, *shared):
            return jnp.sum(jax.vmap(one, in_axes=(axis, None, None, None))(many, *shared))

        inside = gradient(jax.checkpoint(batch))(many, inputs, state, initial)
        outside = jax.vmap(gradient(one), in_axes=(axis, None, None, None))
        return inside, outside(many, inputs, state, initial)

    found, expected = jax.jit(lambda: (both(method), both(None)))()
    assert_trees_close(found, expected)
    # A fault that the two above would share: what is outside adds up to what is inside.
    for inside, outside in zip(found[0][1:], found[1][1:], strict=True):
        np.testing.assert_allclose(inside, jnp.sum(outside, 0), atol=1e-4)


def test_two_batch_axes():
    (decays, inputs), state, initial = arguments("affine")
    many = jnp.stack([jnp.stack([decays, inputs], 1), jnp.stack([inputs, decays], 1)], 0)

    def run(m, inputs, many):
        def one(decays):
            return value("affine", m, (decays, inputs), state, initial)

        return jnp.sum(jax.vmap(jax.vmap(one, in_axes=1))(many))

    found, expected = jax.jit(
        lambda: [
            jax.grad(functools.partial(run, m), argnums=(0, 1))(inputs, many)
            for m in ("sequential", None)
        ]
    )()
    assert_trees_close(found, expected)


def test_a_decay_that_is_zero_without_a_start_has_its_gradient():
    """A tree that folds resets into zeros may not take a zero of the user's for one."""
    decay = jnp.array([0.5, 0.0, 0.5])

    def last(method, decay):
        states = ma.trajectory(
            ma.Affine(), jnp.float32(2), (decay, jnp.ones(3)), START[:3], method=method
        )[1]
        return states[1]

    found = [jax.grad(functools.partial(last, m))(decay) for m in METHODS.values()]
    np.testing.assert_allclose(found, [[0.0, 2.0, 0.0]] * len(found))


def test_the_gradient_stores_nothing_but_the_states():
    """No more than states and cotangents: a shifted copy of the states would be a third pass."""
    batch, width, length = 4, 8, 512

    def loss(generators, start):
        def one(generators, start):
            state = jnp.zeros(width)
            return ma.trajectory(
                ma.Affine(width), state, generators, start, method=ma.Sequential()
            )[1]

        states = jax.vmap(one, in_axes=1, out_axes=1)(generators, start)
        return jnp.sum(states * jnp.cos(jnp.arange(length))[:, None, None])

    array = jax.ShapeDtypeStruct((length, batch, width), jnp.float32)
    flags = jax.ShapeDtypeStruct((length, batch), jnp.bool_)
    compiled = jax.jit(jax.grad(loss)).lower((array, array), flags).compile()
    memory = compiled.memory_analysis()
    assert memory is not None
    assert memory.temp_size_in_bytes < 2.1 * 4 * length * batch * width


def test_the_linear_program_is_one_equation_of_the_gradient():
    """What makes the reverse mode the adjoint written by hand, and not a transposed loop."""
    given = arguments("affine")
    jaxpr = jax.make_jaxpr(jax.grad(functools.partial(value, "affine", "sequential")))(*given)
    equations = [equation for equation in jaxpr.eqns if equation.primitive is _linear_p]
    assert [equation.params["linear"].forwards for equation in equations] == [False]


CHUNKED = {
    "one-decay": (ma.GatedOuter(4, 4, per_key=False), ("keys", "values", "gate")),
    "decay-per-key": (ma.GatedOuter(4, 4), ("keys", "values", "gates")),
    "delta": (ma.DeltaRule(4, 4), ("keys", "values", "gate", "gate")),
}


@pytest.mark.parametrize("name", CHUNKED)
def test_chunks_have_the_forward_mode_of_the_loop(name):
    monoid, parts = CHUNKED[name]
    keys = jax.random.split(jax.random.key(1), 5)
    drawn = {
        "keys": 0.5 * jax.random.normal(keys[0], (20, 4)),
        "values": jax.random.normal(keys[1], (20, 4)),
        "gate": jax.random.uniform(keys[2], (20,)),
        "gates": jax.random.uniform(keys[3], (20, 4)),
    }
    generators, queries = tuple(drawn[part] for part in parts), jax.random.normal(keys[4], (20, 4))

    def tangents(method):
        def reads(generators):
            start, state = jnp.arange(20) % 7 == 3, monoid.initial_state()
            return ma.trajectory(monoid, state, generators, start, queries=queries, method=method)[
                1
            ]

        return jax.jvp(reads, (generators,), (jax.tree.map(jnp.cos, generators),))[1]

    found, expected = jax.jit(lambda: [tangents(m) for m in (ma.Chunked(16), ma.Sequential())])()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_donated_carry_is_used_up():
    """Donation reaches through a rule: the state's memory is the last state's."""
    state, inputs = jnp.ones(64), jnp.ones((T, 64))

    def run(state, inputs):
        return ma.trajectory(ma.Add(64), state, inputs, None, method=ma.Sequential())[0]

    np.testing.assert_array_equal(jax.jit(run, donate_argnums=0)(state, inputs), np.full(64, T + 1))
    assert state.is_deleted()
