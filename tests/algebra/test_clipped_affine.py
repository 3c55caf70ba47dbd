"""Clipped affine maps: products equal composition, and a relu recurrence is a scan."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg as ma
from memoalg.algebra._clipped_affine import ClippedAffine

ENDS = (-np.inf, -2.0, 0.0, 3.0, np.inf)
STATES = jnp.array([-9.0, -1.0, 0.0, 0.5, 7.0])


def maps():
    """Every kind: rising, falling, constant by slope, constant by bounds, open on a side."""
    bounds = [(low, high) for low in ENDS for high in ENDS if low <= high and abs(low + high) < 99]
    bounds += [(-np.inf, np.inf), (-np.inf, 1.0), (1.0, np.inf)]
    rows = [(a, b, *ends) for a in (-2.0, 0.0, 0.5) for b in (-1.0, 2.0) for ends in bounds]
    return tuple(jnp.asarray(column, jnp.float32) for column in zip(*rows, strict=True))


def test_a_product_is_the_composition():
    m, elements = ClippedAffine(), maps()

    def apply(element, state):
        a, b, low, high = element
        return jnp.minimum(jnp.maximum(a * state + b, low), high)

    def both(left, right, state):
        return apply(m.combine(left, right), state), apply(right, apply(left, state))

    over = jax.vmap(jax.vmap(jax.vmap(both, (None, None, 0)), (None, 0, None)), (0, None, None))
    one, two = jax.jit(over)(elements, elements, STATES)
    assert one.size > 10_000
    np.testing.assert_array_equal(one, two)


def test_constant_maps_have_one_representative():
    m = ClippedAffine()
    by_slope = (0.0, 5.0, -1.0, 2.0)
    by_bounds = (-0.5, 1.0, 2.0, 2.0)
    for element in (by_slope, by_bounds):
        found = m.canon(tuple(jnp.float32(part) for part in element))
        np.testing.assert_array_equal(jnp.stack(found), [0, 2, 2, 2])
    ramp = tuple(jnp.float32(part) for part in (-0.5, 1.0, -1.0, 2.0))
    np.testing.assert_array_equal(jnp.stack(m.canon(ramp)), jnp.stack(ramp))


def test_a_relu_recurrence_is_the_same_by_the_loop_and_by_the_tree():
    """Values, and the gradients of slope, inputs and state: closed bounds and open ones."""
    slope = jnp.array([-1.0, -0.4, 0.0, 0.7, 1.0])
    inputs = jax.random.normal(jax.random.key(0), (257, 5))
    start = jnp.zeros(257, bool).at[100].set(True)
    carry = jnp.full(5, 0.3)

    def run(slope, inputs, carry, method):
        ends = ma.Fixed(jnp.zeros(5)), ma.Fixed(jnp.full(5, jnp.inf))
        steps = ma.Fixed(slope), inputs, *ends
        return ma.trajectory(ClippedAffine(5), carry, steps, start, method=method)[1]

    def plain(slope, inputs, carry):
        def step(h, now):
            x, begins = now
            h = jax.nn.relu(slope * jnp.where(begins, 0.0, h) + x)
            return h, h

        return jax.lax.scan(step, carry, (inputs, start))[1]

    def with_gradient(run):
        def loss(*operands):
            states = run(*operands)
            return jnp.sum(jnp.sin(states)), states

        return jax.jit(jax.grad(loss, (0, 1, 2), has_aux=True))(slope, inputs, carry)

    wanted, wanted_states = with_gradient(plain)
    for method in (ma.Sequential(), ma.Associative()):
        found, states = with_gradient(functools.partial(run, method=method))
        np.testing.assert_allclose(states, wanted_states, rtol=0, atol=1e-5)
        for one, two in zip(found, wanted, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-4)


def test_open_ends_give_finite_gradients_at_slope_zero():
    m = ClippedAffine()

    def loss(left, right):
        return jnp.sum(jnp.stack(m.combine(left, right)[:2])) + m.act(
            jnp.float32(2), m.combine(left, right)
        )

    zero = (jnp.float32(0), jnp.float32(1), jnp.float32(-jnp.inf), jnp.float32(jnp.inf))
    for left in (m.identity(), zero):
        for part in jax.tree.leaves(jax.grad(loss, (0, 1))(left, zero)):
            assert np.isfinite(part)


def test_it_contains_the_reflection_and_entries_do_not_meet():
    assert ma.tracks(ClippedAffine(2)) == ma.Tracks.ABELIAN
    assert ma.is_elementwise(ClippedAffine(2))
    assert not ma.is_commutative(ClippedAffine(2))
    with pytest.raises(ValueError, match="ClippedAffine needs a real floating dtype, got int32"):
        ClippedAffine(2, jnp.int32)
