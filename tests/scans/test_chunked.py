"""Chunks compute what the loop computes, in values and gradients; and what breaks stays in its episode."""

# Wrong calls are the point of some tests here.
# pyright: reportArgumentType=false, reportCallIssue=false

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg as ma
from memoalg.scans._chunk_halves import decayed, decayed_alike, unit_lower_inverse

SIZE = 8
KEY, VALUE = 5, 3
T = 3 * SIZE + 1
LENGTHS = [0, 1, SIZE - 1, SIZE, SIZE + 1, 257]

KINDS = {
    "sum": lambda dtype: ma.nn.NormalisedOuterSum(KEY, VALUE, dtype),
    "one-decay": lambda dtype: ma.GatedOuter(KEY, VALUE, dtype, per_key=False),
    "decay-per-key": lambda dtype: ma.GatedOuter(KEY, VALUE, dtype),
    "delta": lambda dtype: ma.DeltaRule(KEY, VALUE, dtype),
    "mlstm": lambda dtype: ma.StabilisedOuter(KEY, VALUE, dtype),
}
COMPOSED = {
    "heads": lambda dtype: ma.Power(KINDS["one-decay"](dtype), 2),
    "beside": lambda dtype: ma.DirectProduct(KINDS["sum"](dtype), KINDS["mlstm"](dtype)),
}
# Way, and whether the initial state is learned or the monoid's own.
MODES = {"forward": (False, True), "reverse": (True, False)}


def starts(which, length):
    chosen = {
        "none": [],
        "some": [3, SIZE + 2, SIZE + 3, 2 * SIZE + 5],
        "all": range(length),
        "at chunk borders": range(0, length, SIZE),
        "before chunk borders": range(SIZE - 1, length, SIZE),
    }[which]
    return np.isin(np.arange(length), list(chosen))


STARTS = ["none", "some", "all", "at chunk borders", "before chunk borders"]


def written(name, length, seed=0):
    """Generators, in float64 but of numbers that float32 has."""
    rng = np.random.default_rng(seed)
    keys, values = rng.normal(size=(length, KEY)), rng.normal(size=(length, VALUE))
    if name == "sum":
        keys = np.abs(keys) + 0.1
    if name in ("delta", "mlstm"):
        keys /= np.linalg.norm(keys, axis=1, keepdims=True)
    rest = {
        "sum": (),
        "one-decay": (rng.uniform(0.3, 1.0, length),),
        "decay-per-key": (rng.uniform(0.3, 1.0, (length, KEY)),),
        "delta": (rng.uniform(0.0, 2.0, length), rng.uniform(0.5, 1.0, length)),
        "mlstm": (-rng.uniform(0.0, 1.0, length), rng.normal(size=length)),
    }[name]
    return (keys, values, *rest)


def asked(name, length):
    queries = np.random.default_rng(1).normal(size=(length, KEY))
    return np.abs(queries) + 0.1 if name == "sum" else queries


def in_dtype(tree, dtype):
    """The same numbers in every dtype that has them: all are rounded to float32 first."""
    return jax.tree.map(lambda x: jnp.asarray(np.asarray(x, np.float32), dtype), tree)


def reached(monoid, name, dtype, seed):
    """A state that was reached: its normaliser fits its sum."""
    state, steps = monoid.initial_state(), in_dtype(written(name, 3, seed), dtype)
    for t in range(3):
        state = monoid.advance(state, jax.tree.map(lambda x, t=t: x[t], steps))
    return state


@functools.cache
def drawn(name, length, dtype="float32"):
    """(generators, queries, state, initial state)"""
    monoid = KINDS[name](np.float32)
    states = [reached(monoid, name, np.float32, seed) for seed in (2, 3)]
    return in_dtype((written(name, length), asked(name, length), *states), np.dtype(dtype))


def loop(monoid, generators, queries, state, initial, start, reverse):
    """The definition, one step after the other, differentiated by JAX."""
    if reverse:
        start = jnp.concatenate([start[1:], start[:1] & False])

    def step(before, now):
        generator, query, fresh = now
        entering = jax.tree.map(lambda a, b: jnp.where(fresh, a, b), initial, before)
        after = monoid.advance(entering, generator)
        return after, monoid.read(after, query)

    return jax.lax.scan(step, state, (generators, queries, start), reverse=reverse)


def weighed(leaf):
    """A number for a differentiation: a different weight for every number that is finite."""
    dtype = jnp.float64 if leaf.dtype == jnp.float64 else jnp.float32
    wide = jnp.where(jnp.isfinite(leaf), leaf, 0).astype(dtype)
    weights = jnp.cos(jnp.arange(leaf.size, dtype=wide.dtype)).reshape(leaf.shape)
    # Flat enough that the rounding of a half precision is no other point of the sine.
    return jnp.sum(10 * jnp.sin(wide / 10) * weights)


def compiled(make, method, mode, dtype="float32"):
    """(arguments, start) -> (last state, reads), gradients of all four arguments."""
    return _compiled(make, method, mode, dtype)


@functools.cache
def _compiled(make, method, mode, dtype):
    monoid = make(np.dtype(dtype))
    reverse, learned = MODES[mode]

    def loss(arguments, start):
        generators, queries, state, initial = arguments
        own = monoid.initial_state()
        if method is None:
            begins = initial if learned else own
            outputs = loop(monoid, generators, queries, state, begins, start, reverse)
        else:
            outputs = ma.trajectory(
                monoid,
                state,
                generators,
                start,
                initial_state=initial if learned else None,
                queries=queries,
                reverse=reverse,
                method=method,
            )
        return sum(weighed(leaf) for leaf in jax.tree.leaves(outputs)), outputs

    gradient = jax.value_and_grad(loss, has_aux=True)

    @jax.jit
    def run(arguments, start):
        (_, outputs), bars = gradient(arguments, start)
        return outputs, bars

    return run


def exact(name, mode, arguments, start):
    """The float64 loop."""
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda x: jnp.asarray(np.asarray(x, np.float64)), arguments)
        run = compiled(KINDS[name], None, mode, "float64")
        return jax.tree.map(np.asarray, run(wide, jnp.asarray(start)))


def assert_close(got, want, tolerance, message=""):
    for one, two in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        one, two = np.asarray(one, np.float64), np.asarray(two, np.float64)
        finite = np.isfinite(two)
        scale = max(1.0, float(np.max(np.abs(np.where(finite, two, 0)), initial=0)))
        np.testing.assert_array_equal(np.isfinite(one), finite, err_msg=message)
        np.testing.assert_allclose(one, two, rtol=0, atol=tolerance * scale, err_msg=message)


def assert_equals_the_loop(name, mode, length, dtype, tolerance):
    arguments = drawn(name, length, dtype)
    run = compiled(KINDS[name], ma.Chunked(SIZE), mode, dtype)
    for which in STARTS:
        start = starts(which, length)
        got = run(arguments, jnp.asarray(start))
        assert_close(got, exact(name, mode, arguments, start), tolerance, which)


@pytest.mark.parametrize("name", KINDS)
def test_chunks_equal_the_float64_loop(name):
    """Reads, last state and the gradients of generators, queries, state and initial state."""
    assert_equals_the_loop(name, "forward", T, "float32", 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("name", KINDS)
def test_every_length(name, length, mode):
    assert_equals_the_loop(name, mode, length, "float32", 2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_in_double_precision(name):
    with jax.enable_x64(True):
        assert_equals_the_loop(name, "forward", T, "float64", 1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", KINDS)
def test_in_half_precision(name, dtype):
    """Computed in single precision: what is off is the rounding of what comes out."""
    bound = 4 * float(jnp.finfo(dtype).eps)
    assert_equals_the_loop(name, "forward", T, dtype, bound)


@functools.partial(jax.jit, static_argnums=(0, 1), static_argnames="reverse")
def values(monoid, method, state, generators, start, queries, reverse=False):
    return ma.trajectory(
        monoid, state, generators, start, queries=queries, reverse=reverse, method=method
    )


@pytest.mark.parametrize("name", ["decay-per-key", "mlstm"])
def test_in_reverse(name):
    """Values; the gradients are among the slow tests."""
    generators, queries, state, _ = drawn(name, T)
    monoid = KINDS[name](np.float32)
    for which in STARTS:
        start = jnp.asarray(starts(which, T))
        results = [
            values(monoid, method, state, generators, start, queries, reverse=True)
            for method in (ma.Sequential(), ma.Chunked(SIZE))
        ]
        assert_close(*results, 1e-5, which)


@pytest.mark.parametrize("length", [0, 1, SIZE])
@pytest.mark.parametrize("name", ["one-decay"])
def test_short_sequences(name, length):
    generators, queries, state, _ = drawn(name, T)
    generators, queries = jax.tree.map(lambda x: x[:length], (generators, queries))
    monoid = KINDS[name](np.float32)
    results = [
        values(monoid, method, state, generators, None, queries)
        for method in (ma.Sequential(), ma.Chunked())
    ]
    assert_close(*results, 1e-5)
    assert jax.eval_shape(lambda: results[0]) == jax.eval_shape(lambda: results[1])


# ---- decays and gates that are not mild --------------------------------------------------------

DECAYS = {
    "zero": np.tile([0.9, 0.0, 0.5, 0.0, 0.0, 0.7, 1.0], 4)[:T],
    "of any sign": np.tile([0.9, -1.0, 0.5, -0.3, 1.5], 5)[:T],
    "strong": np.full(T, np.exp(-20.0)),
    "hardly any": np.tile([1e-30, 1.0, 1e-38], 9)[:T],
}


@pytest.mark.parametrize("which", DECAYS)
@pytest.mark.parametrize("name", ["one-decay", "decay-per-key", "delta"])
def test_decays_are_exact(name, which):
    """Products, not differences of logarithms or quotients: the gradients of a zero, too."""
    (*generators, decays), *rest = drawn(name, T)
    column = DECAYS[which] if decays.ndim == 1 else DECAYS[which][:, None]
    decays = jnp.asarray(np.broadcast_to(column, decays.shape), jnp.float32)
    arguments, start = ((*generators, decays), *rest), starts("some", T)
    run = compiled(KINDS[name], ma.Chunked(SIZE), "forward")
    got = run(arguments, jnp.asarray(start))
    assert_close(got, exact(name, "forward", arguments, start), 1e-5)


GATES = {
    "rises": (np.zeros(T), np.linspace(-80, 80, T).round()),
    "drops": (np.full(T, -16.0), np.where(np.arange(T) == 2, 80.0, -80.0)),
    "drops and rises": (np.tile([-80.0, 0, -1, 20], 7)[:T], np.tile([80.0, -80, 0, -40, 40], 5)),
    "never writes": (np.tile([-1.0, -2], 13)[:T], np.where(np.arange(T) % 9 == 4, 3.0, -np.inf)),
    "forgets all": (np.where(np.arange(T) % 6 == 4, -np.inf, -1.0), np.tile([0.0, 5, 60], 9)[:T]),
}


@pytest.mark.parametrize("which", GATES)
def test_exponents_are_those_of_the_loop(which):
    """Numbers, stabiliser and gradients, from a state, from starts and from an empty memory."""
    (keys, values, *_), queries, state, initial = drawn("mlstm", T)
    # A read divides by what was stored of the keys: not by a difference of large numbers.
    keys, queries = jnp.abs(keys), jnp.abs(queries)
    state, initial = ((m, memory, jnp.abs(sum_)) for m, memory, sum_ in (state, initial))
    gates = tuple(jnp.asarray(x, jnp.float32) for x in GATES[which])
    run = compiled(KINDS["mlstm"], ma.Chunked(SIZE), "forward")
    empty = KINDS["mlstm"](np.float32).initial_state()
    for first, again in ((state, initial), (empty, empty)):
        arguments = (keys, values, *gates), queries, first, again
        for start in (starts("some", T), starts("none", T)):
            got = run(arguments, jnp.asarray(start))
            assert_close(got, exact("mlstm", "forward", arguments, start), 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("which", GATES)
def test_exponents_in_double_precision(which):
    with jax.enable_x64(True):
        (keys, values, *_), *rest = drawn("mlstm", T, "float64")
        arguments = (keys, values, *(jnp.asarray(x) for x in GATES[which])), *rest
        run = compiled(KINDS["mlstm"], ma.Chunked(SIZE), "forward", "float64")
        got = run(arguments, jnp.asarray(starts("some", T)))
    assert_close(got, exact("mlstm", "forward", arguments, starts("some", T)), 1e-10)


@pytest.mark.parametrize(
    "name", ["one-decay", pytest.param("decay-per-key", marks=pytest.mark.slow)]
)
def test_a_fixed_decay_is_as_one_that_is_repeated(name):
    """Without an axis of time; its gradient is the sum of theirs, the last chunk is not full."""
    (keys, values, decays), *rest = drawn(name, T)
    run, start = (
        compiled(KINDS[name], ma.Chunked(SIZE), "forward"),
        jnp.asarray(starts("some", T)),
    )
    repeated = jnp.broadcast_to(decays[0], decays.shape)
    want, bars = run(((keys, values, repeated), *rest), start)
    got, fixed_bars = run(((keys, values, ma.Fixed(decays[0])), *rest), start)
    assert_close(got, want, 1e-6)
    assert_close(fixed_bars[0][2].value, jnp.sum(bars[0][2], axis=0), 1e-5)


# ---- what is not finite ------------------------------------------------------------------------

# An episode that begins and ends in the middle of a chunk, with a chunk border inside.
EPISODE = slice(SIZE + 3, 2 * SIZE + 5)


@pytest.mark.parametrize("junk", [np.nan, np.inf, 1e30])
@pytest.mark.parametrize("name", KINDS)
def test_what_breaks_stays_in_its_episode(name, junk):
    """Bitwise, in values and gradients; 1e30 is finite, but its products overflow."""
    arguments, start = drawn(name, T), jnp.asarray(starts("some", T))
    run = compiled(KINDS[name], ma.Chunked(SIZE), "forward")
    at = EPISODE.start + 2
    (last, reads), clean = run(arguments, start)
    broken = jax.tree.map(lambda x: x.at[at].set(junk), arguments[0])
    (last_broken, reads_broken), dirty = run((broken, *arguments[1:]), start)
    apart = np.r_[0 : EPISODE.start, EPISODE.stop : T]
    # Inputs that are not finite reach no earlier step either; an overflow may.
    outside = apart if np.isfinite(junk) else np.r_[0:at, EPISODE.stop : T]
    np.testing.assert_array_equal(reads_broken[outside], reads[outside])
    jax.tree.map(np.testing.assert_array_equal, last_broken, last)
    if not np.isfinite(junk):
        assert np.all(np.isnan(reads_broken[at : EPISODE.stop]))
    for one, two in zip(*(jax.tree.leaves(bars[:2]) for bars in (clean, dirty)), strict=True):
        np.testing.assert_array_equal(two[apart], one[apart])
    for one, two in zip(*(jax.tree.leaves(bars[2]) for bars in (clean, dirty)), strict=True):
        np.testing.assert_array_equal(two, one)


@pytest.mark.parametrize("name", KINDS)
def test_a_broken_query_breaks_its_own_read_only(name):
    arguments, start = drawn(name, T), jnp.asarray(starts("none", T))
    generators, queries, *states = arguments
    run = compiled(KINDS[name], ma.Chunked(SIZE), "forward")
    (last, reads), _ = run(arguments, start)
    (last_broken, broken), bars = run((generators, queries.at[9, 1].set(np.inf), *states), start)
    assert np.all(np.isnan(broken[9]))
    np.testing.assert_array_equal(np.delete(broken, 9, 0), np.delete(reads, 9, 0))
    jax.tree.map(np.testing.assert_array_equal, last_broken, last)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(bars))


@pytest.mark.parametrize("name", ["one-decay", "delta", "mlstm"])
def test_a_broken_state_breaks_the_first_episode_only(name):
    *steps, state, initial = drawn(name, T)
    run, start = (
        compiled(KINDS[name], ma.Chunked(SIZE), "forward"),
        jnp.asarray(starts("some", T)),
    )
    (_, reads), _ = run((*steps, state, initial), start)
    broken = jax.tree.map(lambda x: x * np.nan, state)
    (last, marked), _ = run((*steps, broken, initial), start)
    assert np.all(np.isnan(marked[:3]))
    np.testing.assert_array_equal(marked[3:], reads[3:])
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(last))


def test_gates_of_zero_are_not_broken():
    """A logarithm of -inf is a gate of zero, one of +inf is not a gate."""
    (keys, values, forget, write), *rest = drawn("mlstm", T)
    run = compiled(KINDS["mlstm"], ma.Chunked(SIZE), "forward")
    start = jnp.asarray(starts("none", T))
    for value, broken in ((-np.inf, False), (np.inf, True), (np.nan, True)):
        steps = keys, values, forget.at[5].set(value), write.at[11].set(value)
        (_, reads), _ = run((steps, *rest), start)
        assert np.all(np.isfinite(reads[:5]))
        assert np.all(np.isnan(reads[5:])) if broken else np.all(np.isfinite(reads))


# ---- ways to call it ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mlstm"])
def test_chunks_prepared_ahead_are_the_same(name):
    """The layout for accelerators, values; its gradient is among the slow tests."""
    generators, queries, state, _ = drawn(name, T)
    monoid, start = KINDS[name](np.float32), jnp.asarray(starts("some", T))
    results = [
        values(monoid, method, state, generators, start, queries)
        for method in (ma.Chunked(SIZE), ma.Chunked(SIZE, ahead=True))
    ]
    assert_close(*results, 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_gradients_of_chunks_prepared_ahead(name):
    arguments, start = drawn(name, T), starts("some", T)
    run = compiled(KINDS[name], ma.Chunked(SIZE, ahead=True), "forward")
    got = run(arguments, jnp.asarray(start))
    assert_close(got, exact(name, "forward", arguments, start), 1e-5)


@pytest.mark.parametrize("name", COMPOSED)
def test_products_and_powers_go_factor_by_factor(name):
    monoid = COMPOSED[name](np.dtype("float32"))
    if name == "heads":
        *steps, _ = drawn("one-decay", T)
        generators, queries, state = jax.tree.map(lambda x: jnp.stack([x, x / 2], -1), steps)
        generators, queries = jax.tree.map(lambda x: jnp.moveaxis(x, -1, 1), (generators, queries))
        state = jnp.moveaxis(state, -1, 0)
    else:
        parts = drawn("sum", T), drawn("mlstm", T)
        generators, queries, state = (tuple(part[i] for part in parts) for i in range(3))
    results = [
        values(monoid, m, state, generators, jnp.asarray(starts("some", T)), queries)
        for m in (ma.Sequential(), ma.Chunked(SIZE))
    ]
    assert_close(*results, 1e-5)


def test_without_queries_or_a_form_it_is_the_loop():
    generators, _, state, _ = drawn("one-decay", T)
    monoid = KINDS["one-decay"](np.float32)
    results = [
        ma.trajectory(monoid, state, generators, None, method=method)
        for method in (ma.Sequential(), ma.Chunked(SIZE))
    ]
    jax.tree.map(np.testing.assert_array_equal, *results)
    sums = ma.scan(ma.Add(), jnp.ones(3), method=ma.Chunked(SIZE))
    np.testing.assert_array_equal(sums, [1, 2, 3])


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_computed_in_single(dtype):
    """Nearer to the float64 loop than a loop in half precision is, and of the same dtype."""
    arguments = drawn("decay-per-key", T, dtype)
    generators, queries, state, _ = arguments
    monoid, start = KINDS["decay-per-key"](np.dtype(dtype)), starts("none", T)
    (_, want), _ = exact("decay-per-key", "forward", arguments, start)
    errors = []
    for method in (ma.Sequential(), ma.Chunked(SIZE)):
        _, reads = values(monoid, method, state, generators, None, queries)
        assert reads.dtype == dtype
        errors.append(np.max(np.abs(np.asarray(reads, np.float64) - want)))
    assert errors[1] <= errors[0]


@pytest.mark.parametrize("size", [0, 24, -16, 16.0, True])
def test_a_size_that_is_no_power_of_two_is_refused(size, without_hook):
    with pytest.raises(ValueError, match="power of two"):
        ma.Chunked(size)


# ---- memory ------------------------------------------------------------------------------------

WIDTH, LONG, BATCH = 64, 1024, 8


def planned_bytes(name, memory, width):
    """Temporary memory of the gradient of a batch, as XLA plans it: nothing is run."""
    steps = jax.eval_shape(lambda: in_dtype(written(name, 1), np.float32))
    wide = {KEY: width, VALUE: width}
    shapes = [(BATCH, LONG, *(wide[n] for n in step.shape[1:])) for step in steps]
    generators = tuple(jax.ShapeDtypeStruct(shape, np.float32) for shape in shapes)
    queries = jax.ShapeDtypeStruct((BATCH, LONG, width), np.float32)
    start = jax.ShapeDtypeStruct((BATCH, LONG), np.bool_)

    def reads(generators, queries, start):
        return ma.trajectory(
            memory,
            memory.initial_state(),
            generators,
            start,
            queries=queries,
            method=ma.Chunked(),
        )[1]

    def loss(moving, start):
        return jnp.sum(jax.vmap(reads)(*moving, start) ** 2)

    lowered = jax.jit(jax.grad(loss)).lower((generators, queries), start)
    planned = lowered.compile().memory_analysis()
    assert planned is not None
    return planned.temp_size_in_bytes


WIDE = {
    "sum": lambda width: ma.nn.NormalisedOuterSum(width, width),
    "one-decay": lambda width: ma.GatedOuter(width, width, per_key=False),
    "decay-per-key": lambda width: ma.GatedOuter(width, width),
    "delta": lambda width: ma.DeltaRule(width, width),
    "mlstm": lambda width: ma.StabilisedOuter(width, width),
}


@pytest.mark.parametrize(
    "name",
    [name if name == "one-decay" else pytest.param(name, marks=pytest.mark.slow) for name in WIDE],
)
def test_no_stack_of_matrix_states(name):
    """The gradient's temporaries are a seventh of one array (time, batch, key, value)."""
    array = 4 * LONG * BATCH * WIDTH * WIDTH
    assert planned_bytes(name, WIDE[name](WIDTH), WIDTH) < 0.15 * array


# ---- the parts ---------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 8])
def test_products_of_decays_are_those_of_the_definition(steps):
    rng = np.random.default_rng(0)
    q, k = rng.normal(size=(2, steps, KEY))
    a = rng.choice([0.0, -0.5, 0.9, 2.0], size=(steps, KEY))
    number = np.cumsum(np.arange(steps) % 3 == 2)
    scores, entering, remaining = np.zeros((steps, steps)), np.zeros_like(a), np.zeros_like(a)
    for t in range(steps):
        first = max(r for r in range(t + 1) if r == 0 or number[r] != number[r - 1])
        entering[t], remaining[t] = a[first : t + 1].prod(0), a[t + 1 :].prod(0)
        for s in range(t + 1):
            scores[t, s] = np.sum(q[t] * k[s] * a[s + 1 : t + 1].prod(0))
    same, tail = number[:, None] == number[None, :], (number == number[-1])[:, None]
    products = [[a[s + 1 : t + 1, 0].prod() * (s <= t) for s in range(steps)] for t in range(steps)]

    def assert_found(got, entering, remaining, scores):
        # What a start separates has no meaning.
        assert_close(got.entering, entering, 1e-6)
        assert_close(np.where(tail, got.remaining, 0), np.where(tail, remaining, 0), 1e-6)
        assert_close(np.where(same, got.scores, 0), np.where(same, scores, 0), 1e-6)

    count = jnp.asarray(number, jnp.int32)
    got = jax.jit(decayed)(*(jnp.asarray(x, jnp.float32) for x in (q, k, a)), count)
    assert_found(got, entering, remaining, scores)
    alike = jax.jit(decayed_alike)(jnp.asarray(a[:, 0], jnp.float32), count)
    assert_found(alike, entering[:, :1], remaining[:, :1], products)


def test_the_inverse_and_its_derivative():
    below = np.tril(np.random.default_rng(0).normal(size=(8, 8)), -1)
    same = np.tril(np.ones((8, 8), bool))
    below[5:, :5], same[5:, :5] = 0, False

    def total(invert, x):
        return jnp.sum(jnp.sin(invert(x)))

    def plain(x):
        return jnp.linalg.inv(jnp.eye(8) + jnp.tril(x, -1))

    def own(x):
        return unit_lower_inverse(x, jnp.asarray(same))

    x = jnp.asarray(below, jnp.float32)
    (one, one_bar), (two, two_bar) = (
        jax.jit(lambda x, f=f: (f(x), jax.grad(functools.partial(total, f))(x)))(x)
        for f in (own, plain)
    )
    assert_close(one, two, 1e-5)
    assert_close(one_bar, two_bar * same.astype(np.float32), 1e-4)
