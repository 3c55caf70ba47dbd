"""Matrix-valued and discrete monoids: the plain recurrence, laws, hazards, witnesses, bad input."""

# Wrong calls are the point of some tests here.
# pyright: reportArgumentType=false, reportCallIssue=false, reportOperatorIssue=false

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg as ma
from memoalg.algebra import group_in
from tests.matrices import MATRICES

METHODS = {"sequential": ma.Sequential(), "associative": ma.Associative()}


def drawn(monoid, count, seed=0, **options):
    """Generators of a monoid, on the device."""
    return jax.tree.map(jnp.asarray, ma.laws.draw(monoid, ma.laws.Source(seed, count, **options)))


def elements_of(monoid, count, **options):
    return jax.vmap(monoid.expand)(drawn(monoid, count, **options))


def at(tree, t):
    """One row of a pytree with a leading axis."""
    return jax.tree.map(lambda leaf: leaf[t], tree)


def wide(tree):
    """As numpy arrays of double precision."""

    def widen(leaf):
        complex_leaf = jnp.issubdtype(leaf.dtype, jnp.complexfloating)
        return np.asarray(leaf, np.complex128 if complex_leaf else np.float64)

    return jax.tree.map(widen, tree)


def run(monoid, method, state, generators, start=None, queries=None):
    """`ma.trajectory`, compiled."""

    def trajectory(state, generators, queries):
        return ma.trajectory(
            monoid, state, generators, start, queries=queries, method=METHODS[method]
        )

    return jax.jit(trajectory)(state, generators, queries)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64"])
@pytest.mark.parametrize("name", MATRICES)
def test_every_method_keeps_shapes_and_dtypes(name, dtype):
    with jax.enable_x64(dtype == "float64"):
        m = MATRICES[name](jnp.dtype(dtype))
        generator = at(drawn(m, 3), 0)
        state, element = jax.eval_shape(m.initial_state), m.element
        same = [
            (element, jax.eval_shape(m.combine, element, element)),
            (element, jax.eval_shape(m.expand, generator)),
            (element, jax.eval_shape(m.embed, state)),
            (element, jax.eval_shape(m.canon, element)),
            (state, jax.eval_shape(m.act, state, element)),
            (state, jax.eval_shape(m.project, element)),
            (state, jax.eval_shape(m.advance, state, generator)),
        ]
        for expected, actual in same:
            assert expected == actual
        floats = [leaf.dtype for leaf in jax.tree.leaves(element) if leaf.dtype != np.int32]
        complex_dtype = np.complex128 if dtype == "float64" else np.complex64
        assert set(floats) <= {np.dtype(dtype), np.dtype(complex_dtype)}


# The plain recurrences -----------------------------------------------------------------------------


def gated_outer(state, generator):
    key, value, decay = generator
    decay = np.broadcast_to(decay, key.shape)
    return np.array(
        [[decay[i] * state[i, j] + key[i] * value[j] for j in range(2)] for i in range(3)]
    )


def delta_rule(state, generator):
    """Gated DeltaNet, eq. 10, as printed: S (alpha (I - beta k kᵀ)) + beta v kᵀ."""
    key, value, strength, decay = generator
    transition = decay * (np.eye(3) - strength * np.outer(key, key))
    return state @ transition + strength * np.outer(value, key)


def max_plus(state, x):
    return np.array([[max(state[i] + x[:, j]) for j in range(3)] for i in range(3)])


def log_mat_mul(state, x):
    with np.errstate(divide="ignore"):
        return np.log(np.exp(state) @ np.exp(x))


RECURRENCES = {
    "mat-mul": (np.eye(3), lambda s, x: s @ x),
    "mat-mul-complex": (np.eye(2), lambda s, x: s @ x),
    "max-plus-matrix": (np.where(np.eye(3), 0, -np.inf), max_plus),
    "log-mat-mul": (np.where(np.eye(3), 0, -np.inf), log_mat_mul),
    "permutation": (np.arange(5), lambda s, x: x[s.astype(int)]),
    "rotation": (np.eye(3), lambda s, x: s @ x),
    "matrix-affine": (np.zeros(3), lambda s, x: x[0] @ s + x[1]),
    "matrix-affine-columns": (np.zeros((2, 3)), lambda s, x: x[0] @ s + x[1]),
    "row-affine": (np.zeros((2, 3)), lambda s, x: s @ x[0] + x[1]),
    "gated-outer": (np.zeros((3, 2)), gated_outer),
    "gated-outer-scalar": (np.zeros((3, 2)), gated_outer),
    "delta-rule": (np.zeros((2, 3)), delta_rule),
}
START = np.array([False, False, False, True, False, False, True])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", RECURRENCES)
def test_states_follow_the_plain_recurrence(name, method):
    initial, step = RECURRENCES[name]
    with jax.enable_x64(True):
        monoid = MATRICES[name](jnp.dtype("float64"))
        generators = drawn(monoid, len(START), seed=1, mild=True)
        begin = monoid.advance(monoid.initial_state(), at(generators, -1))
        _, states = run(monoid, method, begin, generators, jnp.asarray(START))
    state, steps = wide(begin), wide(generators)
    for t, start in enumerate(START):
        state = step(initial if start else state, at(steps, t))
        np.testing.assert_allclose(states[t], state, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("gated-outer", lambda state, q: np.einsum("kv,k->v", state, q)),
        ("delta-rule", lambda state, q: np.einsum("vk,k->v", state, q)),
    ],
)
def test_reads_contract_the_key_axis(name, read):
    with jax.enable_x64(True):
        monoid = MATRICES[name](jnp.dtype("float64"))
        generators = drawn(monoid, 5, mild=True)
        queries = jnp.asarray(np.random.default_rng(0).normal(size=(5, 3)))
        state = monoid.initial_state()
        _, states = run(monoid, "sequential", state, generators)
        _, reads = run(monoid, "sequential", state, generators, queries=queries)
    for t in range(5):
        np.testing.assert_allclose(reads[t], read(states[t], queries[t]), rtol=1e-12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("dtype", "gate", "rtol"), [("float64", 2.0, 1e-9), ("float32", 80.0, 1e-3)]
)
def test_stabilised_outer_is_the_unstabilised_recurrence(dtype, gate, rtol, method):
    """xLSTM, eqs. 19 to 21, without an exponent; float64 holds what float32 cannot."""
    rng = np.random.default_rng(0)
    keys, values, queries = rng.normal(size=(3, 8, 3))
    signs = np.array([[1, -1, 1, 1, -1, -1, 1, 1], [1, 1, -1, 1, 1, -1, -1, 1]])
    forget, write = gate * signs if dtype == "float32" else rng.uniform(-gate, gate, (2, 8))
    total, normaliser, expected = np.zeros((3, 3)), np.zeros(3), []
    for k, v, q, f, i in zip(keys, values, queries, forget, write, strict=True):
        total = np.exp(f) * total + np.exp(i) * np.outer(k, v)
        normaliser = np.exp(f) * normaliser + np.exp(i) * k
        expected.append(q @ total / max(abs(normaliser @ q), 1.0))
    with jax.enable_x64(dtype == "float64"):
        m = ma.StabilisedOuter(3, 3, dtype)
        steps = tuple(jnp.asarray(part, dtype) for part in (keys, values, forget, write))
        queries = jnp.asarray(queries, dtype)
        _, reads = run(m, method, m.initial_state(), steps, queries=queries)
    np.testing.assert_allclose(reads, expected, rtol=rtol, atol=rtol)


def kalman_models(count, n=3, m=2):
    rng = np.random.default_rng(3)
    roots, noises = rng.normal(size=(count, n, n)), rng.normal(size=(count, m, m))
    return (
        rng.normal(size=(count, n, n)) / np.sqrt(n),
        roots @ roots.transpose(0, 2, 1) / n,
        rng.normal(size=(count, m, n)),
        noises @ noises.transpose(0, 2, 1) + np.eye(m),
        rng.normal(size=(count, m)),
    )


@pytest.mark.parametrize("method", METHODS)
def test_kalman_is_the_textbook_filter(method):
    models = kalman_models(9)
    with jax.enable_x64(True):
        monoid = ma.Kalman(3, jnp.float64)
        elements = jax.vmap(ma.kalman_element)(*map(jnp.asarray, models))
        begin = jnp.arange(3.0), 2.0 * jnp.eye(3)
        _, (means, covariances) = run(monoid, method, begin, elements)
    mean, covariance = map(np.asarray, begin)
    for t, (f, q, h, r, y) in enumerate(zip(*models, strict=True)):
        mean, covariance = f @ mean, f @ covariance @ f.T + q
        gain = covariance @ h.T @ np.linalg.inv(h @ covariance @ h.T + r)
        mean, covariance = mean + gain @ (y - h @ mean), (np.eye(3) - gain @ h) @ covariance
        np.testing.assert_allclose(means[t], mean, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(covariances[t], covariance, rtol=1e-9, atol=1e-9)


def test_kalman_begins_as_the_standard_normal():
    mean, covariance = ma.Kalman(2).initial_state()
    np.testing.assert_array_equal(mean, np.zeros(2))
    np.testing.assert_array_equal(covariance, np.eye(2))


# By hand -------------------------------------------------------------------------------------------


def test_products_by_hand():
    x, y = jnp.array([[1.0, 2.0], [3.0, 4.0]]), jnp.array([[0.0, 1.0], [-jnp.inf, 5.0]])
    np.testing.assert_array_equal(ma.MatMul(2).combine(x, x), [[7, 10], [15, 22]])
    np.testing.assert_array_equal(ma.MaxPlus(2).combine(x, y), [[1, 7], [3, 9]])
    weights = np.exp(ma.LogMatMul(2).combine(jnp.log(x), y))
    np.testing.assert_allclose(weights, np.asarray(x) @ np.exp(y), rtol=1e-6)


def test_a_forbidden_path_stays_forbidden():
    """-inf + inf is -inf in the tropical semiring: the identity is neutral for an infinite score."""
    x = jnp.array([[jnp.inf, 0.0], [jnp.nan, 1.0]])
    for monoid in (ma.MaxPlus(2), ma.LogMatMul(2)):
        np.testing.assert_array_equal(monoid.combine(monoid.identity(), x)[0], [np.inf, 0])


def test_the_earlier_map_comes_first():
    swap, constant = jnp.array([1, 0, 2], jnp.int32), jnp.array([0, 0, 0], jnp.int32)
    shift = jnp.array([1, 2, 0], jnp.int32)
    m = ma.Permutation(3)
    np.testing.assert_array_equal(m.combine(swap, shift), [2, 1, 0])
    np.testing.assert_array_equal(m.combine(shift, swap), [0, 2, 1])
    np.testing.assert_array_equal(m.combine(constant, shift), [1, 1, 1])


def test_an_automaton_is_followed_for_ever():
    """The word problem of the permutations of five things: no sum of decays can solve it."""
    a, b = map(jnp.asarray, group_in(ma.Permutation(5)))
    assert not np.array_equal(a[b], b[a])
    letters = np.random.default_rng(0).integers(0, 2, 3000)
    m = ma.Permutation(5)
    _, states = run(m, "associative", m.identity(), jnp.stack([a, b])[letters])
    at, followed = 3, []
    for letter in letters:
        at = int((a, b)[letter][at])
        followed.append(at)
    np.testing.assert_array_equal(states[:, 3], followed)


def test_a_rotation_is_undone():
    m = ma.Rotation(3)
    for x in drawn(m, 4):
        np.testing.assert_allclose(m.combine(x, ma.inverse(m, x)), np.eye(3), atol=1e-6)


def test_matrix_affine_by_hand():
    m, rng = ma.MatrixAffine(2, jnp.int32), np.random.default_rng(0)
    a, c = rng.integers(-3, 4, (2, 2, 2)).astype(np.int32)
    b, d, h = rng.integers(-3, 4, (3, 2)).astype(np.int32)
    x, y = (jnp.asarray(a), jnp.asarray(b)), (jnp.asarray(c), jnp.asarray(d))
    np.testing.assert_array_equal(m.combine(x, y)[0], c @ a)
    np.testing.assert_array_equal(m.combine(x, y)[1], c @ b + d)
    np.testing.assert_array_equal(m.act(jnp.asarray(h), x), a @ h + b)
    assert m == ma.SemidirectProduct(
        ma.Dual(ma.MatMul(2, jnp.int32)), ma.Add(2, jnp.int32), ma.matvec
    )


@pytest.mark.parametrize("method", METHODS)
def test_a_fixed_matrix_needs_no_time_axis(method):
    m, inputs = ma.MatrixAffine(3), drawn(ma.Add(3), 6)
    matrix = drawn(ma.MatMul(3), 1)[0]

    def last(matrix, fixed):
        acting = ma.Fixed(matrix) if fixed else jnp.broadcast_to(matrix, (6, 3, 3))
        generators = acting, inputs
        return ma.trajectory(m, jnp.ones(3), generators, None, method=METHODS[method])[1].sum()

    for function in (last, jax.grad(last)):
        function = jax.jit(function, static_argnums=1)
        np.testing.assert_allclose(function(matrix, True), function(matrix, False), rtol=2e-5)


def test_one_decay_per_key_acts_on_rows():
    """Also where keys and values have one length and numpy would align columns."""
    m = ma.GatedOuter(2, 2)
    state = m.act(jnp.ones((2, 2)), (jnp.array([2.0, 3.0]), jnp.zeros((2, 2))))
    np.testing.assert_array_equal(state, [[2, 2], [3, 3]])
    shared = ma.GatedOuter(2, 2, per_key=False)
    assert shared.identity()[0].shape == ()


def test_a_decay_near_one_survives_in_its_own_dtype():
    rounded, kept = (ma.GatedOuter(2, 2, jnp.bfloat16, decay_dtype=d) for d in (None, jnp.float32))
    for monoid, lost in ((rounded, True), (kept, False)):
        decay = jnp.full(2, 0.9999, monoid.decay_dtype)
        product = monoid.combine((decay, monoid.initial_state()), (decay, monoid.initial_state()))
        assert (np.asarray(product[0], np.float64) == 1).all() == lost
        assert product[1].dtype == jnp.bfloat16


def test_the_delta_rule_replaces_and_leaves_orthogonal_keys_alone():
    m, one = ma.DeltaRule(3, 2), jnp.ones(())
    key, across = jnp.array([0.6, 0.8, 0.0]), jnp.array([-0.8, 0.6, 0.0])
    first, second, other = jnp.array([1.0, 2.0]), jnp.array([5.0, -3.0]), jnp.array([7.0, 9.0])
    state = m.initial_state()
    for k, v in ((key, first), (across, other), (key, second)):
        state = m.advance(state, (k, v, one, one))
    np.testing.assert_allclose(m.read(state, key), second, rtol=1e-6)
    np.testing.assert_allclose(m.read(state, across), other, rtol=1e-6)
    np.testing.assert_allclose(m.read(state, jnp.array([0.0, 0.0, 1.0])), [0, 0])


def test_a_step_of_the_delta_rule_forms_no_square_matrix():
    m = ma.DeltaRule(5, 2)
    generator = at(drawn(m, 1), 0)

    def shapes(function):
        equations = jax.make_jaxpr(function)(m.initial_state(), generator).eqns
        return {variable.aval.shape for equation in equations for variable in equation.outvars}

    assert (5, 5) not in shapes(m.advance)
    assert (5, 5) in shapes(lambda s, g: m.act(s, m.expand(g)))


def test_canon_forgets_the_exponent():
    m = ma.StabilisedOuter(2, 2, jnp.float32)
    element = at(elements_of(m, 1, mild=True), 0)
    forget, exponent, memory, normaliser = element
    moved = (
        forget,
        exponent + 3.0,
        memory * np.float32(np.exp(-3.0)),
        normaliser * np.float32(np.exp(-3.0)),
    )
    for one, other in zip(m.canon(element), m.canon(moved), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)
    empty = m.canon((forget, exponent, 0 * memory, 0 * normaliser))
    np.testing.assert_array_equal(empty[1], -np.inf)
    closed = m.canon((forget, jnp.float32(-jnp.inf), memory, normaliser))
    np.testing.assert_array_equal(closed[2], np.zeros((2, 2)))


# Hazards: the naive form fails, the one in the library does not -------------------------------------


def finite(tree):
    return all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(tree))


def test_renormalised_rotations_do_not_drift():
    m = ma.Rotation(3, jnp.float32)
    x = drawn(m, 1)[0]

    def after(product):
        end = jax.lax.fori_loop(0, 100_000, lambda _, s: product(s, x), m.identity())
        return np.abs(np.asarray(end).T @ np.asarray(end) - np.eye(3)).max()

    assert after(jnp.matmul) > 1e-3
    assert after(m.combine) < 1e-6


def naive_log_product(left, right):
    """The cheap form: shift by the maximum of the row and of the column."""
    rows, columns = left.max(1, keepdims=True), right.max(0, keepdims=True)
    return jnp.log(jnp.exp(left - rows) @ jnp.exp(right - columns)) + rows + columns


def test_log_products_keep_what_a_shift_by_row_and_column_loses():
    m = ma.LogMatMul(2, jnp.float32)
    x = jnp.array([[0.0, -200.0], [200.0, 5.0]], jnp.float32)
    assert not np.allclose(naive_log_product(m.identity(), x), x)
    np.testing.assert_array_equal(m.combine(m.identity(), x), x)
    np.testing.assert_array_equal(m.combine(x, m.identity()), x)


@pytest.mark.parametrize("dead", ["row", "all"])
@pytest.mark.parametrize("monoid", [ma.LogMatMul(3), ma.MaxPlus(3)], ids=["log", "max-plus"])
def test_rows_without_a_path_have_finite_gradients(monoid, dead):
    x = jnp.arange(9.0).reshape(3, 3)
    x = jnp.full_like(x, -jnp.inf) if dead == "all" else x.at[1].set(-jnp.inf)
    y = jnp.ones((3, 3)).at[:, 2].set(-jnp.inf)

    def weights(combine, x, y):
        return jnp.exp(combine(x, y)).sum()

    value = monoid.combine(x, y)
    no_path = np.isneginf(np.asarray(x).max(1))[:, None] | np.array([False, False, True])
    np.testing.assert_array_equal(np.isneginf(value), no_path)
    assert not np.isnan(value).any()
    # No NaN on the way either: a select that only hides one fails in the other mode.
    with jax.debug_nans(True):
        assert finite(jax.grad(weights, (1, 2))(monoid.combine, x, y))
        assert finite(jax.jvp(lambda x: jnp.exp(monoid.combine(x, y)), (x,), (jnp.ones((3, 3)),)))
    assert not finite(jax.grad(weights, (1, 2))(naive_log_product, x, y))


def naive_stabilised(state, element):
    (m, memory, _), (forget, m_new, memory_new, _) = state, element
    both = jnp.maximum(m + forget, m_new)
    return jnp.exp(m + forget - both) * memory + jnp.exp(m_new - both) * memory_new


def test_empty_memories_combine_and_read_with_finite_gradients():
    m = ma.StabilisedOuter(2, 2, jnp.float32)
    key = value = query = jnp.ones(2, jnp.float32)
    zero, closed = jnp.float32(0), jnp.float32(-jnp.inf)

    def loss(key, value, forget, write):
        element = m.expand((key, value, forget, write))
        state = m.act(m.act(m.initial_state(), element), m.identity())
        return m.read(state, query).sum() + state[1].sum() + state[2].sum()

    for write in (zero, closed, jnp.float32(-200.0), jnp.float32(200.0)):
        both = jax.value_and_grad(loss, (0, 1, 2, 3))(key, value, zero, write)
        assert finite(both), write
    assert np.isnan(naive_stabilised(m.initial_state(), m.identity())).all()
    nothing = jax.grad(lambda q: m.read(m.initial_state(), q).sum())(query)
    np.testing.assert_array_equal(nothing, [0, 0])


def test_reads_neither_overflow_nor_divide_by_zero():
    """exp(-m) is infinite for m = -200, and zero, like a zero query, for m = 200."""
    m, memory = ma.StabilisedOuter(2, 2, jnp.float32), jnp.ones((2, 2), jnp.float32)
    cases = itertools.product((-200.0, 0.0, 200.0), (0 * memory[0], memory[0]))
    for exponent, query in cases:
        state = jnp.float32(exponent), memory, memory[0]
        both = jax.value_and_grad(lambda s, q: m.read(s, q).sum(), (0, 1))(state, query)
        assert finite(both), (exponent, query)
    np.testing.assert_allclose(m.read((jnp.float32(200), memory, memory[0]), memory[0]), [1, 1])


@pytest.mark.parametrize("method", METHODS)
def test_covariances_stay_symmetric_and_positive_in_float32(method):
    f, q, h, r, _ = (jnp.asarray(part[0], jnp.float32) for part in kalman_models(1, n=4, m=1))
    ys = jnp.asarray(np.random.default_rng(0).normal(size=(64, 1)), jnp.float32)
    elements = jax.vmap(ma.kalman_element, (None,) * 4 + (0,))(f, 0.001 * q, h, 0.01 * r, ys)
    m = ma.Kalman(4, jnp.float32)
    _, (means, covariances) = run(m, method, m.initial_state(), elements)
    assert finite(means)
    np.testing.assert_array_equal(covariances, np.asarray(covariances).transpose(0, 2, 1))
    assert np.linalg.eigvalsh(np.asarray(covariances, np.float64)).min() > -1e-6


CARRYING = ["matrix-affine", "gated-outer", "delta-rule", "stabilised-outer", "kalman"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", CARRYING)
def test_a_start_contains_nan_and_gradients(name, method):
    """Outputs and gradients of the second episode are as if the first had not been."""
    m = MATRICES[name](jnp.dtype("float32"))
    generators = drawn(m, 6, mild=True)
    start = jnp.array([True, False, False, True, False, False])
    poisoned = jax.tree.map(lambda leaf: leaf.at[1].set(jnp.nan), generators)

    @jax.jit
    @jax.value_and_grad
    def loss(generators):
        _, states = ma.trajectory(m, m.initial_state(), generators, start, method=METHODS[method])
        return sum(leaf[3:].sum() for leaf in jax.tree.leaves(states) if leaf.ndim > 1)

    clean, dirty = (loss(g) for g in (generators, poisoned))
    np.testing.assert_array_equal(dirty[0], clean[0])
    for one, other in zip(*map(jax.tree.leaves, (dirty[1], clean[1])), strict=True):
        np.testing.assert_array_equal(one[3:], other[3:])


# Traits --------------------------------------------------------------------------------------------

WITNESSES = {
    **{f"mat-mul-{n}-{d}": (lambda n=n, d=d: ma.MatMul(n, d))
       for n in (1, 2, 3, 4, 6) for d in ("float32", "bfloat16", "complex64", "int32", "uint8")},
    **{f"max-plus-{n}": (lambda n=n: ma.MaxPlus(n)) for n in (1, 2, 3, 6)},
    **{f"log-mat-mul-{n}": (lambda n=n: ma.LogMatMul(n)) for n in (1, 2, 3, 6)},
    **{f"permutation-{n}": (lambda n=n: ma.Permutation(n)) for n in (1, 2, 3, 4, 5, 7)},
    **{f"rotation-{n}": (lambda n=n: ma.Rotation(n)) for n in (1, 2, 3, 4, 6)},
    **{f"delta-rule-{n}": (lambda n=n: ma.DeltaRule(n, 2)) for n in (1, 2, 3, 5)},
    **{f"kalman-{n}": (lambda n=n: ma.Kalman(n)) for n in (1, 2, 3)},
    "matrix-affine": lambda: ma.MatrixAffine(3),
    "gated-outer": lambda: ma.GatedOuter(2, 2),
    "stabilised-outer": lambda: ma.StabilisedOuter(2, 2),
}  # fmt: skip
ORDERS = {
    ma.Tracks.NOTHING: lambda g: [],
    ma.Tracks.ABELIAN: lambda g: [(g, 2)],
    ma.Tracks.SOLVABLE: lambda g: [(g[:1], 2), (g[1:], 3), (g, 2)],
    ma.Tracks.ANY: lambda g: [(g[:1], 2), (g[1:], 3), (g, 5)],
}


def close(one, other):
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(np.allclose(*wide(pair), atol=0.05) for pair in pairs)


@pytest.mark.parametrize("name", WITNESSES)
def test_the_witnesses_satisfy_their_relations(name):
    m = WITNESSES[name]()
    claim, generators = ma.tracks(m), group_in(m)
    assert len(generators) == [0, 1, 2, 2][claim]
    assert all(jax.eval_shape(lambda g=g: g) == m.element for g in generators)
    assert not any(close(g, m.identity()) for g in generators)
    combine = jax.jit(m.combine)
    for letters, order in ORDERS[claim](generators):
        product = m.identity()
        for letter in letters * order:
            product = combine(product, letter)
        assert close(product, m.identity()), (len(letters), order)


def test_the_witnesses_of_rotations_are_rotations():
    for n in (2, 3, 4, 5):
        for g in map(np.asarray, group_in(ma.Rotation(n))):
            np.testing.assert_allclose(g.T @ g, np.eye(n), atol=1e-6)
            np.testing.assert_allclose(np.linalg.det(g), 1, atol=1e-6)


def test_tracks_grows_with_the_size():
    nothing, abelian, solvable, rich = ma.Tracks
    assert [ma.tracks(ma.MatMul(n)) for n in (1, 2, 3)] == [abelian, solvable, rich]
    assert [ma.tracks(ma.MatMul(n, int)) for n in (1, 3, 5)] == [abelian, solvable, rich]
    assert [ma.tracks(ma.Permutation(n)) for n in (1, 2, 3, 4, 5)] == [
        nothing,
        abelian,
        solvable,
        solvable,
        rich,
    ]
    assert [ma.tracks(ma.MaxPlus(n)) for n in (1, 2, 3, 5)] == [nothing, abelian, solvable, rich]
    assert [ma.tracks(ma.Rotation(n)) for n in (1, 2, 3)] == [nothing, abelian, rich]
    assert ma.tracks(ma.MatrixAffine(3)) == rich
    assert ma.tracks(ma.StabilisedOuter(2, 2)) == nothing


@pytest.mark.parametrize(
    "build", [ma.MatMul, ma.MaxPlus, ma.LogMatMul, ma.Permutation, ma.Rotation]
)
@pytest.mark.parametrize("n", [1, 2, 3])
def test_what_is_called_commutative_is(build, n):
    m = build(n)
    x = elements_of(m, 6)
    y = jax.tree.map(lambda leaf: jnp.roll(leaf, 1, 0), x)
    one, other = jax.vmap(m.combine)(x, y), jax.vmap(m.combine)(y, x)
    assert np.allclose(one, other, rtol=1e-5, atol=1e-5) == ma.is_commutative(m)


@pytest.mark.parametrize("name", ["mat-mul", "mat-mul-complex", "max-plus-matrix", "log-mat-mul"])
def test_zeros_absorb(name):
    m = MATRICES[name](jnp.dtype("float32"))
    assert ma.has_zero(m)
    nothing = ma.zero(m)
    for x in elements_of(m, 6):
        np.testing.assert_array_equal(m.combine(nothing, x), nothing)
        np.testing.assert_array_equal(m.combine(x, nothing), nothing)


# Actions -------------------------------------------------------------------------------------------

ACTIONS = {
    "matmul": (ma.matmul, ma.MatMul(3), ma.Add((2, 3))),
    "matmul-tree": (ma.matmul, ma.MatMul(3), ma.Add((2, 3)) * ma.Add(3)),
    "matvec": (ma.matvec, ma.Dual(ma.MatMul(3)), ma.Add((3, 2))),
    "matvec-tree": (ma.matvec, ma.Dual(ma.MatMul(3)), ma.Add(3) * ma.Add((3, 2, 2))),
    "matvec-complex": (
        ma.matvec,
        ma.Dual(ma.MatMul(2, jnp.complex64)),
        ma.Add(2, jnp.complex64),
    ),
}


@pytest.mark.parametrize("name", ACTIONS)
def test_matrices_act_by_homomorphisms(name):
    action, acting, base = ACTIONS[name]
    a, c = (jax.tree.map(lambda leaf, i=i: leaf[i], elements_of(acting, 6)) for i in (0, 2))
    b, d = (jax.tree.map(lambda leaf, i=i: leaf[i], elements_of(base, 6)) for i in (0, 5))
    same = [
        (action(b, acting.identity()), b),
        (action(b, acting.combine(a, c)), action(action(b, a), c)),
        (action(base.combine(b, d), a), base.combine(action(b, a), action(d, a))),
        (action(base.identity(), a), base.identity()),
    ]
    for one, other in same:
        for left, right in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
            np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-4)


def test_matrices_act_on_one_axis_and_keep_the_dtype():
    matrix, base = jnp.arange(4.0).reshape(2, 2), jnp.arange(4.0).reshape(2, 2)
    np.testing.assert_array_equal(ma.matmul(base, matrix), np.asarray(base) @ np.asarray(matrix))
    np.testing.assert_array_equal(ma.matvec(base, matrix), np.asarray(matrix) @ np.asarray(base))
    for action in (ma.matmul, ma.matvec):
        assert action(base.astype(jnp.bfloat16), matrix).dtype == jnp.bfloat16
        assert action(base.astype(jnp.complex64), matrix).dtype == jnp.complex64
        assert jax.vmap(action)(jnp.ones((4, 2, 2)), jnp.ones((4, 2, 2))).shape == (4, 2, 2)


# Bad input -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: ma.MatMul(0), ValueError, "MatMul needs n to be an int of at least 1, got 0"),
        (lambda: ma.MatMul((2, 2)), ValueError, r"at least 1, got \(2, 2\)"),
        (lambda: ma.MatMul(2, bool), ValueError, "needs numbers, got bool"),
        (lambda: ma.Permutation(2.0), ValueError, "an int of at least 1, got 2.0"),
        (lambda: ma.MaxPlus(2, int), ValueError, "MaxPlus needs a real floating dtype"),
        (lambda: ma.LogMatMul(2, jnp.complex64), ValueError, "LogMatMul needs a real floating"),
        (lambda: ma.Rotation(2, jnp.int32), ValueError, "Rotation needs a real floating dtype"),
        (lambda: ma.Kalman(2, jnp.complex64), ValueError, "Kalman needs a real floating dtype"),
        (lambda: ma.Kalman(True), ValueError, "Kalman needs n to be an int"),
        (lambda: ma.GatedOuter(2, 0), ValueError, "GatedOuter needs value_size to be an int"),
        (lambda: ma.GatedOuter(2, 2, bool), ValueError, "needs numbers, got bool"),
        (lambda: ma.DeltaRule(-1, 2), ValueError, "DeltaRule needs key_size to be an int"),
        (lambda: ma.DeltaRule(2, 2, int), ValueError, "DeltaRule needs a real floating dtype"),
        (
            lambda: ma.StabilisedOuter(2, 2, int),
            ValueError,
            "StabilisedOuter needs a real floating",
        ),
        (lambda: ma.MatrixAffine(0), ValueError, "MatMul needs n to be an int"),
        (
            lambda: ma.SemidirectProduct(ma.MatMul(3), ma.Add((3, 2)), ma.matmul),
            ma.AlgebraTypeError,
            r"last axis of the base.*\(3, 3\) does not fit a base of shape \(3, 2\)",
        ),
        (
            lambda: ma.SemidirectProduct(ma.MatMul(3), ma.Add((2, 3)), ma.matvec),
            ma.AlgebraTypeError,
            r"first axis of the base.*\(3, 3\) does not fit a base of shape \(2, 3\)",
        ),
        (
            lambda: ma.SemidirectProduct(ma.Multiply(3), ma.Add(3), ma.matvec),
            ma.AlgebraTypeError,
            r"with an \(n, n\) matrix, but a matrix of shape \(3,\)",
        ),
        (
            lambda: ma.SemidirectProduct(ma.MatMul(3), ma.Add(), ma.matmul),
            ma.AlgebraTypeError,
            r"does not fit a base of shape \(\)",
        ),
        (
            lambda: ma.SemidirectProduct(ma.MatMul(2) * ma.MatMul(2), ma.Add(2), ma.matmul),
            ma.AlgebraTypeError,
            "acts with one matrix, but the acting element has 2 leaves",
        ),
        (
            lambda: ma.SemidirectProduct(
                ma.MatMul(2, jnp.complex64), ma.Add(2, "float32"), ma.matmul
            ),
            ma.AlgebraTypeError,
            "a complex64 matrix cannot act on a float32 base: make the base complex",
        ),
        (
            lambda: ma.GatedOuter(2, 2, decay_dtype=jnp.complex64),
            ma.AlgebraTypeError,
            "make the base complex",
        ),
    ],
)
def test_bad_input_says_what_to_write(build, error, message, without_hook):
    with pytest.raises(error, match=message):
        build()
