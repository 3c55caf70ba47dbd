"""The generalised delta rule: its plain recurrence, its factored step, what it contains, bad input."""

# Wrong calls are the point of some tests here.
# pyright: reportArgumentType=false, reportCallIssue=false

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg as ma

T, SIZE, VALUE = 9, 5, 3
START = np.array([False, False, False, True, False, False, False, True, False])


def drawn(dtype):
    rng = np.random.default_rng(0)
    sizes = (SIZE, VALUE, SIZE, SIZE, SIZE)
    return tuple(jnp.asarray(0.6 * rng.normal(size=(T, size)), dtype) for size in sizes)


@pytest.mark.parametrize("method", [ma.Sequential(), ma.Associative()], ids=lambda m: repr(m))
def test_reads_follow_the_plain_recurrence(method):
    """RWKV-7, section 4.1: S (diag(w) + a bᵀ) + v kᵀ, read as S q."""
    with jax.enable_x64(True):
        monoid, generators = ma.GeneralisedDelta(SIZE, VALUE, "float64"), drawn("float64")
        queries = jnp.cos(jnp.arange(T * SIZE, dtype="float64")).reshape(T, SIZE)
        last, reads = ma.trajectory(
            monoid,
            jnp.ones((VALUE, SIZE)),
            generators,
            jnp.asarray(START),
            queries=queries,
            method=method,
        )
    state = np.ones((VALUE, SIZE))
    for t, start in enumerate(START):
        k, v, w, a, b = (np.asarray(part[t]) for part in generators)
        state = np.zeros((VALUE, SIZE)) if start else state
        state = state @ (np.diag(w) + np.outer(a, b)) + np.outer(v, k)
        np.testing.assert_allclose(reads[t], state @ np.asarray(queries[t]), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(last, state, rtol=1e-9, atol=1e-12)


def test_it_contains_the_gated_delta_rule():
    """w = alpha, a = -alpha beta k, b = k, and beta v for v."""
    rng = np.random.default_rng(1)
    k, v, state = (jnp.asarray(rng.normal(size=s), "float32") for s in (SIZE, VALUE, (VALUE, SIZE)))
    beta, alpha = jnp.float32(1.3), jnp.float32(0.8)
    plain, general = ma.DeltaRule(SIZE, VALUE), ma.GeneralisedDelta(SIZE, VALUE)
    one = (k, v, beta, alpha)
    same = (k, beta * v, jnp.full(SIZE, alpha), -alpha * beta * k, k)
    for left, right in zip(plain.expand(one), general.expand(same), strict=True):
        np.testing.assert_allclose(left, right, atol=1e-5)
    np.testing.assert_allclose(plain.advance(state, one), general.advance(state, same), atol=1e-5)


def shapes_in(function, *operands):
    equations = jax.make_jaxpr(function)(*operands).jaxpr.eqns
    return {variable.aval.shape for equation in equations for variable in equation.outvars}


def test_a_step_makes_no_matrix_of_keys_and_keys():
    monoid = ma.GeneralisedDelta(SIZE, VALUE)
    state, generator = monoid.initial_state(), tuple(part[0] for part in drawn("float32"))
    assert (SIZE, SIZE) not in shapes_in(monoid.advance, state, generator)
    assert (SIZE, SIZE) in shapes_in(monoid.expand, generator)
    np.testing.assert_allclose(
        monoid.advance(jnp.ones((VALUE, SIZE)), generator),
        monoid.act(jnp.ones((VALUE, SIZE)), monoid.expand(generator)),
        atol=1e-5,
    )


def test_what_is_erased_under_one_direction_is_written_under_another():
    monoid, keys = ma.GeneralisedDelta(3, 1), jnp.eye(3)
    state = jnp.array([[5.0, 7.0, 0.0]])
    nothing, all_kept = jnp.zeros(1), jnp.ones(3)
    moved = monoid.advance(state, (keys[0], nothing, all_kept, keys[0], keys[2] - keys[0]))
    np.testing.assert_array_equal(moved, [[0.0, 7.0, 5.0]])


@pytest.mark.parametrize("sizes", [(0, 2), (2, 0), (True, 2)])
def test_bad_sizes_are_named(sizes):
    with pytest.raises(ValueError, match=r"GeneralisedDelta needs (key|value)_size"):
        ma.GeneralisedDelta(*sizes)


def test_whole_numbers_are_refused():
    with pytest.raises(ValueError, match="real floating"):
        ma.GeneralisedDelta(2, 2, "int32")
