"""The ground monoids: equal to numpy by hand, and stable where the naive form is not.

Their laws are checked with those of all registered monoids, in `tests/laws`.
"""

# Wrong calls are the point of some tests here.
# pyright: reportArgumentType=false, reportCallIssue=false, reportOperatorIssue=false

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg as ma
from memoalg.algebra import _buffer
from tests.registry import MONOIDS, drawn

INF, NAN = np.inf, np.nan
T = 20
RNG = np.random.default_rng(0)
XS = np.round(RNG.normal(size=(T, 2)), 1).astype(np.float32)  # rounded, so that there are ties
FLAGS = RNG.random((T, 2)) < 0.3
TIMES = np.broadcast_to(np.arange(T, dtype=np.int32)[:, None], (T, 2))

GROUND = [
    *("min", "arg-max", "log-sum-exp", "any", "all", "first", "last", "recent"),
    *("count-saturating", "moments", "unit-beside", "log-affine"),
]


def f32(*values):
    return [jnp.float32(value) for value in values]


def prefixes(function, xs):
    return np.stack([function(xs[: t + 1]) for t in range(len(xs))])


def valid_values(xs, flags, which):
    """Per prefix and column: the first or last value whose flag is set, otherwise 0."""
    rows = []
    for t in range(T):
        at = [np.flatnonzero(flags[: t + 1, column]) for column in range(2)]
        rows.append([xs[i[which], column] if i.size else 0 for column, i in enumerate(at)])
    return np.array(rows, np.float32)


STREAMS = {
    "min": (ma.Min(2), XS, np.minimum.accumulate(XS)),
    "min-int": (ma.Min(2, jnp.int32), TIMES[::-1], TIMES[::-1]),
    "arg-max": (
        ma.ArgMax(2),
        (XS, TIMES),
        (np.maximum.accumulate(XS), prefixes(lambda xs: xs.argmax(0), XS)),
    ),
    "log-sum-exp": (ma.LogSumExp(2), XS, np.log(np.cumsum(np.exp(XS.astype(float)), 0))),
    "any": (ma.Any(2), FLAGS, np.logical_or.accumulate(FLAGS)),
    "all": (ma.All(2), ~FLAGS, np.logical_and.accumulate(~FLAGS)),
    "first": (
        ma.First(2),
        (XS, FLAGS),
        (valid_values(XS, FLAGS, 0), np.logical_or.accumulate(FLAGS)),
    ),
    "last": (
        ma.Last(2),
        (XS, FLAGS),
        (valid_values(XS, FLAGS, -1), np.logical_or.accumulate(FLAGS)),
    ),
    "count": (ma.Count(2), TIMES, np.cumsum(TIMES, 0)),
    "count-uint8": (
        ma.Count(2, jnp.uint8),
        TIMES.astype(np.uint8),
        np.minimum(np.cumsum(TIMES, 0), 255),
    ),
    "moments": (
        ma.Moments(2),
        XS,
        (
            np.arange(1, T + 1),
            prefixes(lambda xs: xs.mean(0), XS.astype(float)),
            prefixes(lambda xs: xs.var(0) * len(xs), XS.astype(float)),
        ),
    ),
    "recent": (
        ma.Recent(2, 3),
        XS,
        (
            prefixes(lambda xs: np.concatenate([np.zeros((3, 2)), xs])[-3:], XS),
            np.minimum(np.arange(1, T + 1), 3),
        ),
    ),
    "recent-longer": (
        ma.Recent((), T + 5, jnp.int32),
        TIMES[:, 0],
        (
            prefixes(lambda xs: np.concatenate([np.zeros(T + 5), xs])[-T - 5 :], TIMES[:, 0]),
            np.arange(1, T + 1),
        ),
    ),
}


@pytest.mark.parametrize("method", [ma.Sequential(), ma.Associative()])
@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_by_hand(name, method):
    monoid, generators, expected = STREAMS[name]

    @jax.jit
    def run(generators):
        elements = jax.vmap(monoid.expand)(generators)
        _, states = ma.trajectory(monoid, monoid.initial_state(), generators, None, method=method)
        # The first element is scanned as it is given: its canonical form is compared.
        return states, jax.vmap(monoid.canon)(ma.scan(monoid, elements, method=method))

    for actual in run(generators):
        for one, two in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-6, atol=2e-6)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "float64"])
@pytest.mark.parametrize("name", GROUND)
def test_dtypes_close(name, dtype):
    with jax.enable_x64(dtype == "float64"):
        monoid = MONOIDS[name](jnp.dtype(dtype))
        generators = drawn(monoid, jax.random.key(0), 2)
        one = jax.tree.map(lambda leaf: leaf[0], generators)
        product = monoid.combine(monoid.expand(one), monoid.expand(one))
        after = monoid.advance(monoid.initial_state(), one)
        for actual, like in ((product, monoid.identity()), (after, monoid.initial_state())):
            assert jax.tree.structure(actual) == jax.tree.structure(like)
            for leaf, other in zip(jax.tree.leaves(actual), jax.tree.leaves(like), strict=True):
                assert (leaf.dtype, leaf.shape) == (other.dtype, other.shape)
                assert not leaf.weak_type
                if jnp.issubdtype(leaf.dtype, jnp.floating):
                    widened = name == "moments" and dtype != "float64"
                    assert leaf.dtype == ("float32" if widened else dtype)


COMMUTATIVE = {"min", "arg-max", "log-sum-exp", "any", "all", "count-saturating", "moments"}
IDEMPOTENT = {"min", "arg-max", "any", "all", "first", "last"}
WITH_ZERO = {"min", "arg-max", "log-sum-exp", "any", "all", "count-saturating"}
NOT_ELEMENTWISE = {"moments", "recent"}


@pytest.mark.parametrize("name", GROUND)
def test_traits_are_claimed_and_true(name):
    """Claims, and zero, commutativity and idempotence on all pairs of drawn elements."""
    monoid = MONOIDS[name](jnp.float32)
    if name == "unit-beside":
        monoid = ma.Unit()
        assert ma.is_invertible(monoid)
        assert ma.inverse(monoid, ()) == ma.zero(monoid) == monoid.combine((), ()) == ()
        assert all(f(monoid) for f in (ma.is_commutative, ma.is_idempotent, ma.is_elementwise))
        return
    assert ma.is_commutative(monoid) == (name in COMMUTATIVE)
    assert ma.is_idempotent(monoid) == (name in IDEMPOTENT)
    assert ma.has_zero(monoid) == (name in WITH_ZERO)
    assert ma.is_elementwise(monoid) == (name not in NOT_ELEMENTWISE)
    generators = jax.tree.map(jnp.asarray, ma.laws.draw(monoid, ma.laws.Source(1, 12)))
    x = jax.vmap(monoid.expand)(generators)
    y = jax.tree.map(lambda leaf: jnp.roll(leaf, 5, 0), x)
    combine = jax.vmap(monoid.combine)
    sides = []
    if ma.is_commutative(monoid):
        sides.append((combine(x, y), combine(y, x)))
    if ma.is_idempotent(monoid):
        sides.append((combine(x, x), x))
    if ma.has_zero(monoid):
        zero = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (12, *leaf.shape)), ma.zero(monoid))
        sides += [(combine(zero, x), zero), (combine(x, zero), zero)]
    for left, right in sides:
        left, right = jax.vmap(monoid.canon)(left), jax.vmap(monoid.canon)(right)
        for one, two in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-5)


def test_identities_by_hand():
    most = np.iinfo(np.int32).max
    assert ma.Min().identity() == INF
    assert ma.Min((), jnp.int32).identity() == most
    assert ma.Min((), bool).identity()
    assert ma.LogSumExp().identity() == -INF
    assert ma.ArgMax().identity() == (-INF, most)
    assert ma.First().identity() == ma.Last().identity() == (0, False)
    assert not ma.Any().identity()
    assert ma.All().identity()
    assert ma.Count().identity() == 0
    assert ma.Moments().identity() == (0, 0, 0)
    assert ma.Unit().identity() == ()
    assert ma.LogAffine().identity() == (0, -INF)
    np.testing.assert_array_equal(ma.Recent((), 2).identity()[0], [0, 0])


@pytest.mark.parametrize(
    ("x", "y", "value", "gradient"),
    [
        (-INF, -INF, -INF, (0, 0)),
        (-INF, 2, 2, (0, 1)),
        (2, -INF, 2, (1, 0)),
        (INF, 2, INF, (0, 0)),
        (-INF, INF, INF, (0, 0)),
        (INF, INF, INF, (0, 0)),
        (1, 1, 1 + np.log(2), (0.5, 0.5)),
        (1000, 999, 1000 + np.log1p(np.exp(-1)), (1 / (1 + np.exp(-1)), 1 / (1 + np.e))),
        (-3e38, 3e38, 3e38, (0, 1)),
    ],
)
def test_log_sum_exp_is_finite_where_the_naive_form_is_not(x, y, value, gradient):
    """Values, and gradients by both modes: the naive forms give NaN in one, another or all."""
    combine, (x, y) = ma.LogSumExp().combine, f32(x, y)
    np.testing.assert_allclose(combine(x, y), value, rtol=1e-6)
    for derivative in (jax.grad, jax.jacfwd):
        np.testing.assert_allclose(derivative(combine, (0, 1))(x, y), gradient, atol=1e-6)


def test_log_sum_exp_keeps_nan_and_has_second_derivatives():
    combine = ma.LogSumExp().combine
    for other in f32(-INF, INF, 0, NAN):
        assert np.isnan(combine(jnp.float32(NAN), other))
        assert np.isnan(combine(other, jnp.float32(NAN)))
    # The logistic function's derivative: 1/4 at a tie, where a form with an absolute value has 0.
    np.testing.assert_allclose(jax.hessian(combine)(*f32(2, 2)), 0.25)


def test_min_and_arg_max_keep_nan():
    assert np.isnan(ma.Min().combine(*f32(NAN, -INF)))
    xs = np.array([1, NAN, 3, INF, NAN, -INF], np.float32)
    orders = np.array(list(itertools.permutations(range(6))), np.int32)

    @jax.jit
    @jax.vmap
    def run(values, indices):
        return ma.fold(ma.ArgMax(), (values, indices), method=ma.Associative())

    largest, index = run(xs[orders], orders)
    assert np.all(np.isnan(largest))
    assert np.argmax(xs) == 1
    np.testing.assert_array_equal(index, np.ones(len(orders)))


@pytest.mark.parametrize("dtype", ["float32", "int32", "bool"])
def test_arg_max_breaks_ties_by_the_index(dtype):
    """Also at minus infinity, where keeping the left one would make the identity win."""
    combine, identity = ma.ArgMax((), dtype).combine, ma.ArgMax((), dtype).identity()
    for value in (identity[0], jnp.ones((), dtype)):
        early, late = (value, jnp.int32(3)), (value, jnp.int32(7))
        assert combine(early, late) == combine(late, early) == early
        assert combine(identity, late) == combine(late, identity) == late


def test_the_gradient_of_a_maximum_goes_to_one_place():
    def largest(values):
        return ma.fold(ma.ArgMax(), (values, jnp.arange(4, dtype=jnp.int32)))[0]

    np.testing.assert_array_equal(jax.grad(largest)(jnp.array([1.0, 3.0, NAN, 3.0])), [0, 0, 1, 0])
    np.testing.assert_array_equal(jax.grad(largest)(jnp.array([1.0, 3.0, 3.0, 2.0])), [0, 1, 0, 0])


@pytest.mark.parametrize(
    ("monoid", "expected"),
    [(ma.First(), [0, 21, 0, 0, 0, 0]), (ma.Last(), [0, 9, 0, 0, 12, 0])],
)
def test_what_is_not_valid_goes_nowhere(monoid, expected):
    """NaN and inf that are not valid change neither values nor gradients, whichever method runs."""
    valid = jnp.array([False, True, False, False, True, False])

    def loss(values, method):
        (last, _), (reads, _) = ma.trajectory(
            monoid, monoid.initial_state(), (values, valid), None, method=method
        )
        return jnp.sum(reads * jnp.arange(1.0, 7)) + last

    values = jnp.array([NAN, 2.0, INF, NAN, 5.0, -INF])
    for method in (ma.Sequential(), ma.Associative()):
        value, gradient = jax.jit(jax.value_and_grad(loss), static_argnums=1)(values, method)
        assert float(value) == np.dot(expected, [0, 2, 0, 0, 5, 0])
        np.testing.assert_array_equal(gradient, expected)


@pytest.mark.parametrize("monoid", [ma.First(), ma.Last()])
def test_two_that_are_not_valid_make_one_that_is_not(monoid):
    """Its value is 0 whatever theirs are: otherwise a learned initial state would get a gradient."""
    no = jnp.array(False)

    def value(x, y):
        return monoid.combine((x, no), (y, no))[0]

    for x, y in itertools.product(f32(NAN, 2), repeat=2):
        assert value(x, y) == 0
        assert jax.grad(value, (0, 1))(x, y) == (0, 0)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint32"])
def test_a_counter_stops_at_its_limit(dtype):
    most = np.iinfo(dtype).max
    numbers = [0, 1, 2, most // 2, most // 2 + 1, most - 1, most]
    combine = ma.Count((), dtype).combine
    x, y, z = (
        jnp.asarray(values, dtype)
        for values in zip(*itertools.product(numbers, repeat=3), strict=True)
    )
    # Bitwise, and equal to Python's integers.
    np.testing.assert_array_equal(combine(combine(x, y), z), combine(x, combine(y, z)))
    exact = np.minimum(np.asarray(x).astype(object) + np.asarray(y).astype(object), most)
    np.testing.assert_array_equal(combine(x, y), exact.astype(dtype))


def test_moments_with_and_without_observations():
    m = ma.Moments(2)
    nothing, one = m.identity(), m.expand(jnp.array([3e30, -1.0]))
    for product in (m.combine(nothing, one), m.combine(one, nothing), m.advance(nothing, one[1])):
        # The square of the mean overflows: the weight 0 must not meet it.
        jax.tree.map(np.testing.assert_array_equal, product, one)
    empty = m.read(nothing, None)
    assert isinstance(empty, ma.MomentsRead)
    assert empty.count == 0
    np.testing.assert_array_equal([empty.mean, empty.variance], np.zeros((2, 2)))

    def loss(state, element):
        _, mean, variance = m.read(m.combine(state, element), None)
        return jnp.sum(mean) + jnp.sum(variance)

    for pair in itertools.product((nothing, one), repeat=2):
        if pair != (one, one):
            assert all(
                np.all(np.isfinite(g)) for g in jax.tree.leaves(jax.grad(loss, (0, 1))(*pair))
            )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_moments_do_not_cancel(dtype):
    """A mean that is large beside the deviation, over 2000 steps, in every dtype and by both methods."""
    noise = np.random.default_rng(0).normal(100, 1, 2000)
    xs, m = jnp.asarray(noise, dtype), ma.Moments((), dtype)
    exact = np.asarray(xs).astype(float)

    @jax.jit
    def run(xs):
        methods = (ma.Sequential(), ma.Associative())
        ends = [ma.trajectory(m, m.initial_state(), xs, None, method=how)[0] for how in methods]
        return [m.read(end, None) for end in ends]

    for count, mean, variance in run(xs):
        assert mean.dtype == variance.dtype == count.dtype == jnp.float32
        np.testing.assert_allclose([count, mean, variance], [2000, exact.mean(), exact.var()], 1e-4)


def test_a_welford_step_is_the_merge_with_one():
    m, state = ma.Moments(2), ma.Moments(2).initial_state()
    for x in jnp.asarray(XS[:6]):
        stepped, merged = m.advance(state, x), m.act(state, m.expand(x))
        for one, two in zip(stepped, merged, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)
        state = stepped


@pytest.mark.parametrize("left_count", range(4))
@pytest.mark.parametrize("right_count", range(4))
def test_joining_buffers_by_hand(left_count, right_count):
    """The last 3 of the concatenation, whatever stands in the slots that are not filled."""
    left = [NAN] * (3 - left_count) + [1.0, 2.0, 3.0][:left_count]
    right = [INF] * (3 - right_count) + [4.0, 5.0, 6.0][:right_count]
    together = (left[3 - left_count :] + right[3 - right_count :])[-3:]
    m = ma.Recent((), 3)
    product = m.combine(
        (jnp.array(left), jnp.int32(left_count)), (jnp.array(right), jnp.int32(right_count))
    )
    values, count = m.canon(product)
    assert count == len(together)
    np.testing.assert_array_equal(values, [0] * (3 - len(together)) + together)


def test_buffers_are_trees_and_push_is_join_with_one():
    buffer = {"a": jnp.arange(6.0).reshape(3, 2), "b": jnp.array([True, False, True])}
    newest = {"a": jnp.array([7.0, 8.0]), "b": jnp.array(False)}
    pushed = _buffer.push(buffer, newest)
    one = _buffer.push(jax.tree.map(jnp.zeros_like, buffer), newest)
    joined = _buffer.join(buffer, one, jnp.int32(1), 3)
    jax.tree.map(np.testing.assert_array_equal, pushed, joined)
    np.testing.assert_array_equal(pushed["a"], [[2, 3], [4, 5], [7, 8]])


def test_a_value_that_fell_out_leaves_no_gradient():
    m = ma.Recent((), 2)

    def loss(values):
        elements = jax.vmap(m.expand)(values)
        return jnp.sum(ma.fold(m, elements, method=ma.Associative())[0] * jnp.array([2.0, 3.0]))

    value, gradient = jax.jit(jax.value_and_grad(loss))(jnp.array([NAN, INF, 5.0, 7.0]))
    assert value == 31
    np.testing.assert_array_equal(gradient, [0, 0, 2, 3])


def _log_both(element):
    return jax.tree.map(jnp.log, element)


def _exp_both(element):
    return jax.tree.map(jnp.exp, element)


def test_log_affine_is_the_affine_monoid_in_logarithms():
    m, by_map = ma.LogAffine(2), ma.Map(ma.Affine(2), ma.Isomorphism(_log_both, _exp_both))
    x, y = ((jnp.asarray(XS[t]), jnp.asarray(XS[t + 1])) for t in (0, 2))
    for one, two in zip(m.combine(x, y), by_map.combine(x, y), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(m.act(jnp.zeros(2), x), np.log(np.exp(x[0]) + np.exp(x[1])), 1e-5)
    assert m == ma.SemidirectProduct(ma.Add(2), ma.LogSumExp(2), ma.shift)


def test_log_affine_does_not_overflow_where_the_map_does():
    large = (jnp.full(2, 60.0), jnp.full(2, 60.0))
    by_map = ma.Map(ma.Affine(2), ma.Isomorphism(_log_both, _exp_both))
    assert not np.any(np.isfinite(by_map.combine(large, large)))
    np.testing.assert_array_equal(ma.LogAffine(2).combine(large, large), np.full((2, 2), 120.0))


def test_log_affine_may_forget_everything():
    """log a = -inf is a reset; its gradient is finite also when there is nothing to forget."""
    m = ma.LogAffine()

    def loss(state, element):
        return m.act(state, element)

    for state in (-INF, 2.0):
        for b in (-INF, 1.0):
            s, log_a, log_b = f32(state, -INF, b)
            value, gradients = jax.value_and_grad(loss, (0, 1))(s, (log_a, log_b))
            assert value == b
            np.testing.assert_array_equal(jax.tree.leaves(gradients), [0, 0, float(b == 1)])


def test_the_unit_is_neutral_beside_others_and_cannot_be_scanned_alone():
    m = ma.Unit() * ma.Add(2) * ma.Unit()
    xs = jnp.ones((4, 2))
    assert jax.tree.structure(m.identity()) == jax.tree.structure((((), 0), ()))
    np.testing.assert_array_equal(ma.scan(m, (((), xs), ()))[0][1], ma.scan(ma.Add(2), xs))
    with pytest.raises(ValueError, match="the number of steps is unknown"):
        ma.scan(ma.Unit(), ())


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ma.Min(2, jnp.complex64), "Min needs an ordered dtype, got complex64"),
        (lambda: ma.ArgMax(2, jnp.complex64), "ArgMax needs an ordered dtype"),
        (lambda: ma.LogSumExp(2, jnp.int32), "LogSumExp needs a real floating dtype, got int32"),
        (lambda: ma.LogAffine(2, jnp.complex64), "real floating dtype, got complex64"),
        (lambda: ma.Moments(2, jnp.int32), "Moments needs a real floating dtype, got int32"),
        (lambda: ma.Count(2, jnp.float32), r"integer dtype, got float32.*write jnp\.int32"),
        (lambda: ma.Count(2, bool), r"integer dtype, got bool.*write jnp\.int32"),
        (lambda: ma.Count(2, None), r"integer dtype, got float32.*write jnp\.int32"),
        (lambda: ma.Recent(2, 0), r"k is a positive int, got 0; write for example ma\.Recent"),
        (lambda: ma.Recent(2, True), "k is a positive int, got True"),
        (lambda: ma.Recent(2, 2.0), r"k is a positive int, got 2\.0"),
        (lambda: ma.Any(-1), "non-negative ints"),
    ],
)
def test_bad_input_says_what_to_write(build, message, without_hook):
    with pytest.raises(ValueError, match=message):
        build()


def test_numbers_are_not_bools():
    with pytest.raises(ValueError, match=r"elements of Any.*expected bool\[\], got float32\[\]"):
        ma.scan(ma.Any(), jnp.ones(3))
