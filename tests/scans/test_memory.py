"""How much is stored: recomputation, reads of every k-th step, the last state alone, long sequences."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg as ma

T = 11
START = np.zeros(T, bool)
START[[3, 8]] = True
GATED = ma.GatedOuter(3, 2)


@functools.cache
def gated():
    """(generators, state, initial state, queries) of an outer-product memory."""
    keys = jax.random.split(jax.random.key(0), 6)
    shapes = ((T, 3), (T, 2))
    written = tuple(jax.random.normal(k, s) for k, s in zip(keys, shapes, strict=False))
    generators = (*written, jax.random.uniform(keys[2], (T, 3)))
    state, initial = (jax.random.normal(k, (3, 2)) for k in keys[3:5])
    return generators, state, initial, jax.random.normal(keys[5], (T, 3))


@functools.partial(jax.jit, static_argnums=(0, 1))
def outputs_and_gradient(reverse, method, generators, state, initial, queries):
    def run(generators, state, initial, queries):
        last, reads = ma.trajectory(
            GATED,
            state,
            generators,
            jnp.asarray(START),
            initial_state=initial,
            queries=queries,
            reverse=reverse,
            method=method,
        )
        return jnp.sum(jnp.sin(last)) + jnp.sum(reads * jnp.cos(jnp.arange(T))[:, None]), reads

    grad = jax.value_and_grad(run, argnums=(0, 1, 2, 3), has_aux=True)
    return grad(generators, state, initial, queries)


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("remat", [1, 4, T, T + 1])
def test_recomputed_states_are_the_states(remat, reverse):
    found = outputs_and_gradient(reverse, ma.Sequential(remat=remat), *gated())
    expected = outputs_and_gradient(reverse, ma.Sequential(), *gated())
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5, rtol=1e-5)


def temporary_bytes(function, *shapes):
    compiled = jax.jit(function).lower(*shapes).compile()
    memory = compiled.memory_analysis()
    assert memory is not None
    return memory.temp_size_in_bytes, memory.output_size_in_bytes


def shape(*sizes, dtype=jnp.float32):
    return jax.ShapeDtypeStruct(sizes, dtype)


def test_recomputation_stores_one_state_for_each_block():
    length, width = 1024, 32
    monoid = ma.GatedOuter(width, width, per_key=False)

    def gradient(method, keys, values, decays, queries):
        def loss(generators):
            state = monoid.initial_state()
            _, reads = ma.trajectory(
                monoid, state, generators, None, queries=queries, method=method
            )
            return jnp.sum(jnp.sin(reads))

        return jax.grad(loss)((keys, values, decays))

    vectors = shape(length, width)
    states = 4 * length * width**2
    shapes = vectors, vectors, shape(length), vectors
    plain, _ = temporary_bytes(functools.partial(gradient, ma.Sequential()), *shapes)
    few, _ = temporary_bytes(functools.partial(gradient, ma.Sequential(remat=32)), *shapes)
    assert plain > states
    assert few < 0.25 * states


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("every", [1, 2, 4, 11, 12])
@pytest.mark.parametrize("asks", [False, True], ids=["states", "reads"])
def test_every_kth_read_is_one_of_all_reads(asks, every, reverse):
    generators, state, initial, queries = gated()
    run = functools.partial(
        ma.trajectory,
        GATED,
        state,
        generators,
        jnp.asarray(START),
        initial_state=initial,
        queries=queries if asks else None,
        reverse=reverse,
    )
    last, reads = jax.jit(run)()
    kept_last, kept = jax.jit(functools.partial(run, every=every))()
    # In the order of execution steps k-1, 2k-1, ...; in the order of time they come.
    executed = np.asarray(reads)[::-1] if reverse else np.asarray(reads)
    wanted = executed[every - 1 :: every]
    np.testing.assert_allclose(kept, wanted[::-1] if reverse else wanted, atol=1e-5, rtol=1e-5)
    np.testing.assert_allclose(kept_last, last, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("method", [ma.Sequential(), ma.Associative()], ids=["loop", "tree"])
def test_the_last_state_alone_and_its_gradient(method):
    decays, inputs = jax.random.uniform(jax.random.key(0), (2, T, 3))

    def loss(run, decays, inputs):
        return jnp.sum(
            jnp.sin(run(ma.Affine(3), jnp.ones(3), (decays, inputs), jnp.asarray(START)))
        )

    alone = functools.partial(ma.last_state, method=method)

    def of_all(*arguments):
        return ma.trajectory(*arguments)[0]

    found, expected = jax.jit(
        lambda: [
            jax.value_and_grad(functools.partial(loss, run), argnums=(0, 1))(decays, inputs)
            for run in (alone, of_all)
        ]
    )()
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_the_last_state_of_nothing_is_the_state():
    np.testing.assert_array_equal(
        ma.last_state(ma.Add(2), jnp.ones(2), jnp.zeros((0, 2)), None), [1, 1]
    )


def test_the_last_state_needs_memory_of_the_root_of_the_length():
    length = 10_000

    def gradient(inputs, decays):
        def loss(inputs):
            state = jnp.zeros(4)
            return jnp.sum(ma.last_state(ma.Affine(4), state, (decays, inputs), None) ** 2)

        return jax.grad(loss)(inputs)

    temp, _ = temporary_bytes(gradient, shape(length, 4), shape(length, 4))
    assert temp < 0.1 * 4 * 4 * length


def test_a_million_steps_within_three_times_the_bytes_of_the_input():
    """Forward and backward of an LRU's trajectory: states, gradients and everything between."""
    length, width = 1_000_000, 16
    monoid = ma.Affine(width, jnp.complex64)

    def forward_and_backward(decay, inputs, start, bars):
        def run(decay, inputs):
            state = monoid.initial_state()
            return ma.trajectory(monoid, state, (ma.Fixed(decay), inputs), start)[1]

        states, pull = jax.vjp(run, decay, inputs)
        return states, pull(bars)

    inputs = shape(length, width, dtype=jnp.complex64)
    flags = shape(length, dtype=jnp.bool_)
    decay = shape(width, dtype=jnp.complex64)
    temp, results = temporary_bytes(forward_and_backward, decay, inputs, flags, inputs)
    assert temp + results < 3 * 8 * length * width


@pytest.mark.parametrize("every", [0, -1])
def test_every_is_a_positive_int(every):
    with pytest.raises(ValueError, match="every"):
        ma.trajectory(ma.Add(), jnp.zeros(()), jnp.ones(3), None, every=every)


@pytest.mark.parametrize("remat", [0, -3])
def test_remat_is_a_positive_int_or_none(remat):
    with pytest.raises(ValueError, match="remat"):
        ma.Sequential(remat=remat)
