"""Power, Window, Tangent, Regular, Strict and homomorphisms equal doing it by hand."""

# Wrong calls are the point of some tests here.
# pyright: reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg as ma
from tests.registry import METHODS

RNG = np.random.default_rng(0)


def run(monoid, generators, **options):
    return ma.trajectory(monoid, monoid.initial_state(), generators, None, **options)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_a_power_is_its_copies_run_one_by_one(method):
    one, heads = ma.GatedOuter(2, 3), ma.Power(ma.GatedOuter(2, 3), 4)
    shapes = ((7, 4, 2), (7, 4, 3), (7, 4, 2))
    generators = tuple(jnp.asarray(RNG.normal(size=shape), jnp.float32) for shape in shapes)
    queries = jnp.asarray(RNG.normal(size=(7, 4, 2)), jnp.float32)
    last, reads = run(heads, generators, queries=queries, method=method)
    for head in range(4):
        single = jax.tree.map(lambda x, h=head: x[:, h], (generators, queries))
        alone, alone_reads = run(one, single[0], queries=single[1], method=method)
        np.testing.assert_allclose(last[head], alone, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(reads[:, head], alone_reads, rtol=1e-5, atol=1e-6)


def test_a_power_of_a_semigroup_is_a_semigroup():
    class Longest(ma.AbstractSemigroup):
        @property
        def element(self):
            return jax.ShapeDtypeStruct((), jnp.int32)

        def combine(self, left, right):
            return jnp.maximum(left, right)

    power = ma.Power(Longest(), 2)
    assert not ma.has_identity(power)
    xs = jnp.array([[1, 5], [3, 2]], jnp.int32)
    np.testing.assert_array_equal(ma.scan(power, xs)[-1], [3, 5])
    with pytest.raises(TypeError, match=r"no identity and no states.*WithIdentity"):
        power.identity()


WINDOWED = {
    "add": ma.Add(2),
    "max": ma.Max(2),
    "affine": ma.Affine(2),
    "matrices": ma.MatMul(2),
    "moments": ma.Moments(2),
}


@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("name", WINDOWED)
def test_a_window_reads_the_product_of_the_last_k(name, k):
    monoid = WINDOWED[name]
    length = 8
    generators = jax.tree.map(jnp.asarray, ma.laws.draw(monoid, ma.laws.Source(1, length)))
    elements = jax.vmap(monoid.expand)(generators)
    reads = {
        m: run(ma.Window(monoid, k), generators, queries=jnp.arange(length), method=METHODS[m])[1]
        for m in METHODS
    }
    for t in range(length):
        held = [
            jax.tree.map(lambda x, i=i: x[i], elements) for i in range(max(0, t + 1 - k), t + 1)
        ]
        expected = functools.reduce(monoid.combine, held)
        for read in reads.values():
            got = jax.tree.map(lambda x, t=t: x[t], read)
            jax.tree.map(
                functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-4), got, expected
            )


def test_nothing_lingers_in_a_window():
    """An inverse would leave the rounding error of what has gone: here it is gone."""
    xs = jnp.array([1.0, 1e8, 1.0, 1.0, 1.0])
    reads = run(ma.Window(ma.Add(), 2), xs, queries=xs)[1]
    np.testing.assert_array_equal(reads[-2:], [2, 2])
    running = jnp.cumsum(xs)
    assert running[-1] - running[-3] != 2  # what the difference of two sums gives


def test_an_empty_window_reads_the_identity():
    m = ma.Window(ma.Max(2), 3)
    np.testing.assert_array_equal(m.read(m.initial_state(), None), [-np.inf, -np.inf])
    junk = jnp.full((3, 2), 7.0), jnp.int32(0)
    np.testing.assert_array_equal(m.canon(junk)[0], m.identity()[0])


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("directions", [None, 3])
def test_a_tangent_trajectory_is_the_derivative_of_the_trajectory(method, directions):
    monoid, axes = ma.LogAffine(2), () if directions is None else (directions,)

    def drawn(*shape):
        return jnp.asarray(RNG.normal(size=shape), jnp.float32)

    generators, tangents = ((drawn(5, *lead, 2), drawn(5, *lead, 2)) for lead in ((), axes))
    tangent = ma.Tangent(monoid, directions)
    state, moved = drawn(2), drawn(*axes, 2)
    (last, dlast), _ = ma.trajectory(
        tangent, (state, moved), (generators, tangents), None, method=method
    )

    def final(state, generators):
        return ma.trajectory(monoid, state, generators, None, method=ma.Associative())[0]

    def along(moved, tangents):
        return jax.jvp(final, (state, generators), (moved, tangents))

    if directions is None:
        expected, dexpected = along(moved, tangents)
    else:
        expected, dexpected = jax.vmap(along, in_axes=(0, 1), out_axes=(None, 0))(moved, tangents)
    np.testing.assert_allclose(last, expected, rtol=1e-5)
    np.testing.assert_allclose(dlast, dexpected, rtol=1e-4, atol=1e-5)


def test_whole_numbers_have_no_tangent():
    m = ma.Tangent(ma.Moments(2) * ma.Add(2, jnp.int32))
    assert m.identity()[1][1] is None
    doubled = m.combine(m.identity(), m.identity())
    assert jax.tree.structure(doubled) == jax.tree.structure(m.identity())


def test_the_regular_representation_keeps_both_parts():
    m = ma.Regular(ma.Affine())
    xs = jnp.full(3, 0.5), jnp.ones(3)
    states = run(m, xs)[1]
    jax.tree.map(np.testing.assert_array_equal, states, ma.scan(ma.Affine(), xs))
    jax.tree.map(np.testing.assert_array_equal, m.initial_state(), ma.Affine().identity())


def test_a_strict_zero_absorbs_everything():
    m = ma.algebra.Strict(ma.Multiply(3), 0.0)
    junk, zero = jnp.array([jnp.nan, jnp.inf, 2.0]), jnp.array([0.0, 0.0, 3.0])
    np.testing.assert_array_equal(m.combine(junk, zero), [0, 0, 6])
    np.testing.assert_array_equal(m.combine(zero, junk), [0, 0, 6])
    gradient = jax.grad(lambda x: m.combine(x, zero).sum())(junk)
    np.testing.assert_array_equal(gradient, [0, 0, 3])
    whole = ma.algebra.Strict(ma.MatMul(2), 0.0, whole=True)
    half = jnp.array([[0.0, 1.0], [0.0, 0.0]])
    assert not whole.is_zero(half)
    np.testing.assert_array_equal(whole.combine(half, jnp.eye(2)), half)
    np.testing.assert_array_equal(whole.combine(jnp.full((2, 2), jnp.nan), 0 * half), 0 * half)


def _log(x):
    return jnp.log(x)


def _exp(x):
    return jnp.exp(x)


def test_homomorphisms_compose_and_isomorphisms_invert():
    log = ma.Homomorphism(ma.Multiply(2), ma.Add(2), _log)
    exp = ma.Homomorphism(ma.Add(2), ma.Multiply(2), _exp)
    x = jnp.array([2.0, 5.0])
    np.testing.assert_allclose(log.then(exp)(x), x, rtol=1e-6)
    assert log.then(exp) == log.then(exp)
    assert hash(log.then(exp)) == hash(log.then(exp))
    # Pushed through a scan: the products of logarithms are the logarithms of products.
    xs = jnp.exp(jnp.asarray(RNG.normal(size=(6, 2)), jnp.float32))
    np.testing.assert_allclose(
        ma.scan(ma.Add(2), log(xs)), log(ma.scan(ma.Multiply(2), xs)), atol=1e-5
    )
    pair = ma.Isomorphism(_log, _exp)
    np.testing.assert_allclose(pair.then(pair.inverted()).forward(x), x, rtol=1e-6)
    np.testing.assert_allclose(pair.then(pair).forward(x + 8), jnp.log(jnp.log(x + 8)), rtol=1e-6)


TRAITS = {
    "affine": (ma.Affine(2), {ma.is_elementwise}),
    "sums": (ma.Add(2) * ma.Add(3), {ma.is_commutative, ma.is_invertible, ma.is_elementwise}),
    "maxima": (
        ma.Power(ma.Max(2), 2),
        {ma.is_commutative, ma.is_idempotent, ma.has_zero, ma.is_elementwise},
    ),
    "reset maxima": (ma.Resettable(ma.Max(2)), {ma.is_idempotent}),
    "padded maxima": (
        ma.WithIdentity(ma.Max(2)),
        {ma.is_commutative, ma.is_idempotent, ma.has_zero},
    ),
    "window": (ma.Window(ma.Add(2), 3), set()),
    "folded": (ma.simplify(ma.Resettable(ma.Affine(2))).monoid, {ma.is_elementwise}),
    "matrices": (ma.MatMul(2), {ma.has_zero}),
}


@pytest.mark.parametrize("name", TRAITS)
def test_traits_propagate(name):
    monoid, expected = TRAITS[name]
    traits = (
        ma.is_commutative,
        ma.is_idempotent,
        ma.is_invertible,
        ma.has_zero,
        ma.is_elementwise,
    )
    assert {trait for trait in traits if trait(monoid)} == expected


def test_what_memories_track():
    T = ma.Tracks
    assert ma.tracks(ma.Affine(2)) == T.ABELIAN
    assert ma.tracks(ma.Add(2) * ma.Max(2)) == T.NOTHING
    assert ma.tracks(ma.Resettable(ma.Add(2) * ma.Permutation(5))) == T.ANY
    assert ma.tracks(ma.Dual(ma.MatMul(2))) == T.SOLVABLE
    assert ma.tracks(ma.Window(ma.Permutation(5), 3)) == T.NOTHING
    # The witness of a product stands in its richest factor.
    a, b = ma.algebra.group_in(ma.Add(2) * ma.Permutation(5))
    assert np.all(a[0] == 0)
    assert not np.array_equal(a[1], b[1])


class Peak(ma.AbstractMonoid):
    """A user's own maximum."""

    def identity(self):
        return jnp.full((), -jnp.inf, float)

    def combine(self, left, right):
        return jnp.maximum(left, right)


def test_a_users_class_registers_its_own_traits():
    assert not ma.is_commutative(Peak())
    ma.is_commutative.register(Peak, lambda monoid: True)
    assert ma.is_commutative(Peak())
    assert ma.is_commutative(ma.Power(Peak(), 2) * ma.Add())
    with pytest.raises(TypeError, match=r"Peak has no inverses.*register both"):
        ma.inverse(Peak(), jnp.ones(()))
    with pytest.raises(TypeError, match=r"Peak has no zero.*register both"):
        ma.zero(Peak())


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: ma.Power(jnp.add, 2), TypeError, "Power.*takes a monoid, got ufunc"),
        (lambda: ma.Power(ma.Add(), 0), ValueError, "size is a positive int, got 0"),
        (lambda: ma.Power(ma.Add(), True), ValueError, "size is a positive int, got True"),
        (lambda: ma.Window(3, 2), TypeError, "Window.*takes a monoid, got int"),
        (lambda: ma.Window(ma.Add(), -1), ValueError, "size is a positive int, got -1"),
        (lambda: ma.Tangent(ma.Add), TypeError, "Tangent takes a monoid"),
        (lambda: ma.Tangent(ma.Add(), 0), ValueError, "directions is a positive int or None"),
        (
            lambda: ma.Homomorphism(ma.Add(2), ma.Add(3), _log),
            ma.AlgebraTypeError,
            r"expected float32\[3\], got float32\[2\]",
        ),
        (
            lambda: ma.Homomorphism(ma.Add(2), 3, _log),
            TypeError,
            "target must be a monoid, got int",
        ),
    ],
)
def test_bad_composition_says_what_to_write(build, error, message, without_hook):
    with pytest.raises(error, match=message):
        build()
