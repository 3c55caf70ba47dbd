"""Chunks compute what the loop computes, in values and gradients; and what breaks stays in its episode."""

# Wrong calls are the point of some tests here.
# pyright: reportArgumentType=false

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg as ma

T, SIZE = 75, 32
KEY, VALUE = 5, 3

# name -> the memory in a dtype
MEMORIES = {
    "sum": lambda dtype: ma.nn.NormalisedOuterSum(KEY, VALUE, dtype),
    "one-decay": lambda dtype: ma.GatedOuter(KEY, VALUE, dtype, per_key=False),
    "decay-per-key": lambda dtype: ma.GatedOuter(KEY, VALUE, dtype),
    "delta": lambda dtype: ma.DeltaRule(KEY, VALUE, dtype),
    "heads": lambda dtype: ma.Power(ma.DeltaRule(KEY, VALUE, dtype), 2),
    "beside": lambda dtype: ma.DirectProduct(
        ma.GatedOuter(KEY, VALUE, dtype), ma.Add(2, dtype), ma.DeltaRule(KEY, VALUE, dtype)
    ),
}
STARTS = {
    "some": np.isin(np.arange(T), [3, 31, 32, 40, 63, 64]),
    "first and last": np.isin(np.arange(T), [0, T - 1]),
    "none": np.zeros(T, bool),
}


def drawn(name, dtype, length=T):
    """(monoid, generators, queries, two states), the same numbers in every dtype."""
    monoid = MEMORIES[name](jnp.dtype(dtype))
    rng = np.random.default_rng(0)
    rounded = functools.partial(jax.tree.map, lambda x: _cast(x, dtype))
    generators = rounded(
        ma.laws.draw(MEMORIES[name](np.float32), ma.laws.Source(0, length, mild=True))
    )
    heads = (2,) if name == "heads" else ()
    queries = rng.normal(size=(length, *heads, KEY)).astype(np.float32)
    if name == "sum":
        queries = np.abs(queries) + 0.1
    if name == "beside":
        queries = (queries, None, queries)

    def state():
        # A state that was reached: its normaliser fits its sum.
        steps = rounded(ma.laws.draw(MEMORIES[name](np.float32), ma.laws.Source(1, 3, mild=True)))
        reached = monoid.initial_state()
        for t in range(3):
            reached = monoid.advance(reached, jax.tree.map(lambda x, t=t: x[t], steps))
        return reached

    first = state()
    return monoid, generators, rounded(queries), first, jax.tree.map(lambda x: x * 2, first)


def _cast(x, dtype):
    x = np.asarray(x)
    return jnp.asarray(x, dtype) if np.issubdtype(x.dtype, np.floating) else jnp.asarray(x)


def run(monoid, method, start, reverse, learned, generators, queries, state, initial):
    last, reads = ma.trajectory(
        monoid,
        state,
        generators,
        start,
        initial_state=initial if learned else None,
        queries=queries,
        reverse=reverse,
        method=method,
    )
    total = sum(jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves((last, reads)))
    return total, (last, reads)


@functools.cache
def compiled(name, method, reverse, learned, dtype="float32"):
    monoid = MEMORIES[name](jnp.dtype(dtype))

    def call(arguments, start):
        return run(monoid, method, start, reverse, learned, *arguments)

    return jax.jit(jax.value_and_grad(call, has_aux=True))


@functools.cache
def oracle(name, which, reverse, learned):
    with jax.enable_x64(True):
        _, *arguments = drawn(name, "float64")
        function = compiled(name, ma.Sequential(), reverse, learned, "float64")
        return jax.tree.map(np.asarray, function(tuple(arguments), jnp.asarray(STARTS[which])))


@pytest.mark.parametrize(("reverse", "learned"), [(False, True), (True, False)])
@pytest.mark.parametrize("name", MEMORIES)
def test_chunks_equal_the_float64_loop(name, reverse, learned):
    """Reads, last state and the gradients of generators, queries, state and initial state."""
    _, *arguments = drawn(name, "float32")
    function = compiled(name, ma.Chunked(SIZE), reverse, learned)
    for which, start in STARTS.items():
        # Without the loss itself, in which the rounding of all reads adds up.
        (_, *got) = jax.tree.leaves(function(tuple(arguments), jnp.asarray(start)))
        (_, *want) = jax.tree.leaves(oracle(name, which, reverse, learned))
        for one, two in zip(got, want, strict=True):
            scale = max(1.0, float(np.max(np.abs(two), initial=0)))
            np.testing.assert_allclose(one, two, rtol=0, atol=2e-5 * scale, err_msg=which)


@pytest.mark.parametrize("length", [0, 1, SIZE - 1, SIZE, SIZE + 1])
@pytest.mark.parametrize("name", ["decay-per-key", "delta"])
def test_every_length(name, length):
    monoid, generators, queries, state, _ = drawn(name, "float32")
    generators, queries = jax.tree.map(lambda x: x[:length], (generators, queries))
    results = [
        ma.trajectory(monoid, state, generators, None, queries=queries, method=method)
        for method in (ma.Sequential(), ma.Chunked(SIZE))
    ]
    for one, two in zip(*map(jax.tree.leaves, results), strict=True):
        assert one.shape == two.shape
        np.testing.assert_allclose(one, two, atol=1e-5)


@pytest.mark.parametrize("junk", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["sum", "one-decay", "decay-per-key", "delta"])
def test_what_breaks_stays_in_its_episode(name, junk):
    """Steps 40 to 62 are an episode that begins and ends in the middle of a chunk."""
    _, *arguments = drawn(name, "float32")
    function, start = compiled(name, ma.Chunked(SIZE), False, True), jnp.asarray(STARTS["some"])
    broken = jax.tree.map(lambda x: x.at[45].set(junk), arguments[0])
    (_, (last, reads)), clean = function(tuple(arguments), start)
    (_, (last_broken, reads_broken)), dirty = function((broken, *arguments[1:]), start)
    outside = np.r_[0:45, 63:T]
    np.testing.assert_array_equal(reads_broken[outside], reads[outside])
    assert not np.any(np.isfinite(reads_broken[45:63]))
    jax.tree.map(np.testing.assert_array_equal, last_broken, last)
    later = np.r_[0:40, 63:T]
    for one, two in zip(jax.tree.leaves(clean[0]), jax.tree.leaves(dirty[0]), strict=True):
        np.testing.assert_array_equal(two[later], one[later])


def test_a_broken_state_breaks_the_first_episode_only():
    _, generators, queries, state, initial = drawn("delta", "float32")
    function, start = compiled("delta", ma.Chunked(SIZE), False, True), jnp.asarray(STARTS["some"])
    _, (_, reads) = function((generators, queries, state, initial), start)[0]
    _, (last, broken) = function((generators, queries, state * jnp.nan, initial), start)[0]
    assert not np.any(np.isfinite(broken[:3]))
    np.testing.assert_array_equal(broken[3:], reads[3:])
    assert np.all(np.isfinite(last))


def test_decays_of_zero_and_of_any_sign_are_exact():
    """Products, not differences of logarithms."""
    monoid, (keys, values, _), queries, state, _ = drawn("one-decay", "float32")
    decays = jnp.asarray(np.tile([0.9, -1.0, 0.0, 1e-30, 1.5], 15), jnp.float32)
    results = [
        ma.trajectory(monoid, state, (keys, values, decays), None, queries=queries, method=method)[
            1
        ]
        for method in (ma.Sequential(), ma.Chunked(SIZE))
    ]
    np.testing.assert_allclose(*results, atol=1e-5)


def test_a_fixed_decay_is_taken():
    monoid, (keys, values, _), queries, state, _ = drawn("one-decay", "float32")
    generators = keys, values, ma.Fixed(jnp.float32(0.5))
    results = [
        ma.trajectory(monoid, state, generators, None, queries=queries, method=method)[1]
        for method in (ma.Sequential(), ma.Chunked(SIZE))
    ]
    np.testing.assert_allclose(*results, atol=1e-5)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_computed_in_single(dtype):
    """Nearer to the float64 loop than a loop in half precision is, and of the same dtype."""
    monoid, generators, queries, state, _ = drawn("decay-per-key", dtype)
    errors = []
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda x: x.astype(jnp.float64), (state, generators, queries))
        exact = ma.trajectory(
            MEMORIES["decay-per-key"]("float64"), wide[0], wide[1], None, queries=wide[2]
        )[1]
    for method in (ma.Sequential(), ma.Chunked(SIZE)):
        reads = ma.trajectory(monoid, state, generators, None, queries=queries, method=method)[1]
        assert reads.dtype == dtype
        errors.append(np.max(np.abs(np.asarray(reads, np.float64) - np.asarray(exact))))
    assert errors[1] <= errors[0]


def test_no_stack_of_matrix_states():
    """Nowhere in the gradient's program stands an array of T x key x value numbers."""
    monoid = ma.GatedOuter(48, 40)
    generators = jnp.ones((256, 48)), jnp.ones((256, 40)), jnp.full((256, 48), 0.9)

    def loss(generators):
        state = monoid.initial_state()
        _, reads = ma.trajectory(
            monoid, state, generators, None, queries=generators[0], method=ma.Chunked(64)
        )
        return jnp.sum(reads**2)

    text = jax.jit(jax.grad(loss)).lower(generators).as_text()
    assert "256x48x40" not in text
    assert "tensor<4x48x40xf32>" in text  # a state for each chunk is all


@pytest.mark.parametrize("size", [0, 24, -16, 16.0])
def test_a_size_that_is_no_multiple_is_refused(size, without_hook):
    with pytest.raises(ValueError, match="positive multiple of 16"):
        ma.Chunked(size)
