"""Combinators equal doing it by hand; construction and trace checks say what is wrong."""

# Wrong calls are the point of some tests here.
# pyright: reportArgumentType=false, reportCallIssue=false, reportOperatorIssue=false

import os
import pickle
import subprocess
import sys
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float

import memoalg as ma
from tests.registry import MONOIDS


def test_add_multiply_max_by_hand():
    x, y = jnp.array([1.0, -2.0]), jnp.array([3.0, 4.0])
    np.testing.assert_array_equal(ma.Add(2).combine(x, y), [4, 2])
    np.testing.assert_array_equal(ma.Multiply(2).combine(x, y), [3, -8])
    np.testing.assert_array_equal(ma.Max(2).combine(x, y), [3, 4])
    assert ma.Max((), jnp.int32).identity() == np.iinfo(np.int32).min
    assert not ma.Max((), bool).identity()


def test_affine_by_hand():
    """(a, b) then (c, d) is h -> c (a h + b) + d; the state is h alone."""
    m = ma.Affine(2)
    (a, b), (c, d) = (
        (jnp.array([2.0, 3.0]), jnp.array([1.0, 1.0])),
        (jnp.array([5.0, 7.0]), jnp.ones(2)),
    )
    combined = m.combine((a, b), (c, d))
    np.testing.assert_array_equal(combined[0], c * a)
    np.testing.assert_array_equal(combined[1], c * b + d)
    np.testing.assert_array_equal(m.act(jnp.ones(2), combined), c * (a + b) + d)
    np.testing.assert_array_equal(m.project(m.embed(b)), b)
    assert m == ma.SemidirectProduct(ma.Multiply(2), ma.Add(2), action=ma.multiply)


def test_the_decay_may_have_its_own_dtype():
    m = ma.Affine(2, jnp.bfloat16, decay_dtype=jnp.float32)
    decay, h = jnp.full(2, 0.9999, jnp.float32), jnp.ones(2, jnp.bfloat16)
    assert m.combine((decay, h), (decay, h))[0].dtype == jnp.float32
    assert m.act(h, (decay, h)).dtype == jnp.bfloat16
    assert not np.any(np.asarray(m.combine((decay, h), (decay, h))[0]) == 1)


def test_multiply_aligns_with_leading_axes():
    """A decay of shape (k,) acts on the rows of (k, v), also where k == v and numpy would say columns."""
    base, acting = jnp.ones((2, 2)), jnp.array([2.0, 3.0])
    np.testing.assert_array_equal(ma.multiply(base, acting), [[2, 2], [3, 3]])
    np.testing.assert_array_equal(ma.shift(base, acting), [[3, 3], [4, 4]])
    np.testing.assert_array_equal(ma.multiply((base, acting), acting)[1], [4, 9])
    np.testing.assert_array_equal(ma.multiply((acting, acting), (acting, -acting))[1], [-4, -9])


@pytest.mark.parametrize("x_start", [False, True])
@pytest.mark.parametrize("y_start", [False, True])
@pytest.mark.parametrize("inner", [ma.Add(), ma.Max()])
def test_the_four_cases_of_the_reset_lift(inner, x_start, y_start):
    x, y = jnp.float32(3), jnp.float32(-5)
    value, started = ma.Resettable(inner).combine((x, jnp.array(x_start)), (y, jnp.array(y_start)))
    assert value == (y if y_start else inner.combine(x, y))
    assert started == (x_start or y_start)


def test_the_reset_lift_acts_on_the_states_of_its_monoid():
    m = ma.Resettable(ma.Affine(2))
    element = (jnp.full(2, 0.5), jnp.ones(2))
    np.testing.assert_array_equal(m.act(jnp.full(2, 4.0), (element, jnp.array(False))), [3, 3])
    np.testing.assert_array_equal(m.act(jnp.full(2, jnp.nan), (element, jnp.array(True))), [1, 1])
    assert not ma.has_embedding(m)


def test_product_nests_and_never_flattens():
    a, b, c = ma.Add(), ma.Max(), ma.Multiply()
    left = (a * b) * c
    assert jax.tree.structure(left.identity()) == jax.tree.structure(((0, 0), 0))
    assert jax.tree.structure(ma.DirectProduct(a, b, c).identity()) == jax.tree.structure((0, 0, 0))


def test_map_dual_and_with_identity_by_hand():
    logs = ma.Map(ma.Add(), ma.Isomorphism(jnp.exp, jnp.log))
    np.testing.assert_allclose(logs.combine(jnp.float32(2), jnp.float32(5)), 10, rtol=1e-6)
    np.testing.assert_allclose(logs.identity(), 1)
    m = ma.Affine()
    x, y = (jnp.float32(2), jnp.float32(1)), (jnp.float32(3), jnp.float32(-1))
    assert ma.Dual(m).combine(x, y) == m.combine(y, x)
    assert ma.Dual(ma.Dual(m)).combine(x, y) == m.combine(x, y)
    skipping = ma.WithIdentity(ma.Max())
    yes, no = jnp.array(True), jnp.array(False)
    assert skipping.combine((jnp.float32(1), yes), (jnp.float32(9), no)) == (1, True)
    assert skipping.combine((jnp.float32(9), no), (jnp.float32(1), yes)) == (1, True)


@pytest.mark.parametrize("name", MONOIDS)
def test_monoids_are_values(name):
    """Equal parameters are equal, hash equal, survive pickle and pass through jit without retracing."""
    one, two = MONOIDS[name](jnp.float32), MONOIDS[name](jnp.dtype("float32"))
    assert one == two
    assert hash(one) == hash(two)
    assert not jax.tree.leaves(one)
    assert pickle.loads(pickle.dumps(one)) == one
    traces = []

    @jax.jit
    def identity(monoid):
        traces.append(monoid)
        return monoid.identity()

    assert jax.tree.structure(identity(one)) == jax.tree.structure(identity(two))
    assert len(traces) == 1
    assert type(one).__name__ in repr(one)


class Declared(ma.AbstractMonoid):
    """A user's monoid whose identity and product are given."""

    e: tuple = eqx.field(static=True)
    product: Callable = eqx.field(static=True)

    def identity(self):
        return jax.tree.map(lambda make: make(), self.e)

    def combine(self, left, right):
        return self.product(left, right)


def zeros(shape=(2,), dtype="float32"):
    return lambda: jnp.zeros(shape, dtype)


@pytest.mark.parametrize(
    ("e", "product", "message"),
    [
        ((zeros(),), lambda x, y: (x[0].sum() + y[0],), None),
        ((zeros(),), lambda x, y: x[0] + y[0], "Declared.combine.*pytree structure"),
        (
            (zeros(),),
            lambda x, y: (jnp.stack([x[0], y[0]]),),
            r"leaf \[0\]: expected float32\[2\], got",
        ),
        ((zeros(),), lambda x, y: ((x[0] > y[0]),), r"got bool\[2\].*\.astype\(left\.dtype\)"),
        (
            (lambda: 0.0,),
            lambda x, y: x,
            r"leaf \[0\] is a Python scalar.*write for example jnp\.zeros",
        ),
        ((lambda: jnp.asarray(0.0) * 1.0, zeros()), lambda x, y: x, "weakly typed"),
        ((zeros(), zeros(3)), lambda x, y: (x[0] @ x[1], x[1]), "combine.. failed on the types"),
    ],
)
def test_construction_checks_the_types(e, product, message):
    if message is None:
        assert Declared(e, product).identity()[0].shape == (2,)
        return
    with pytest.raises(ma.AlgebraTypeError, match=message):
        Declared(e, product)


class WrongState(ma.AbstractMonoid):
    """Its act returns another type than its initial state."""

    def identity(self):
        return jnp.zeros(2)

    def combine(self, left, right):
        return left + right

    def initial_state(self):
        return jnp.zeros(3)

    def act(self, state, element):
        return element


def test_construction_checks_the_states():
    with pytest.raises(
        ma.AlgebraTypeError, match=r"WrongState\.act.*float32\[3\], got float32\[2\]"
    ):
        WrongState()


class Annotated(ma.AbstractMonoid[Array]):
    size: int = eqx.field(static=True)

    def identity(self) -> Float[Array, "{self.size}"]:
        return jnp.zeros(self.size)

    def combine(
        self, left: Float[Array, "{self.size}"], right: Float[Array, "{self.size}"]
    ) -> Float[Array, "{self.size}"]:
        return left + right


def test_annotations_are_checked_while_tracing_and_cost_nothing_after():
    m = Annotated(3)
    assert m.combine(jnp.ones(3), jnp.ones(3)).shape == (3,)
    with pytest.raises(Exception, match="left"):
        m.combine(jnp.ones(2), jnp.ones(2))
    with pytest.raises(Exception, match="right"):
        jax.jit(m.combine)(jnp.ones(3), jnp.ones(3, int))
    # One step is checked, without the axes that the library adds.
    assert ma.scan(m, jnp.ones((5, 3))).shape == (5, 3)


def test_postponed_annotations_that_cannot_be_resolved_warn():
    with pytest.warns(UserWarning, match=r"Local\.combine cannot be resolved.*not checked"):

        class Local(ma.AbstractMonoid):
            def identity(self):
                return jnp.zeros(())

            def combine(self, left: "Nowhere", right):  # pyright: ignore
                return left + right

    assert Local().combine(jnp.ones(()), jnp.ones(())) == 2


def test_one_switch_turns_the_annotation_checks_off():
    code = (
        "import jax.numpy as jnp, memoalg as ma\n"
        "from jaxtyping import Array, Int\n"
        "class M(ma.AbstractMonoid):\n"
        "    def identity(self) -> Int[Array, '7']:\n"
        "        return jnp.zeros(2)\n"
        "    def combine(self, left, right):\n"
        "        return left + right\n"
        "print(M().identity())\n"
    )
    for switch, expected in (("0", 0), ("1", 1)):
        environment = {"MEMOALG_CHECK_ANNOTATIONS": switch, "JAX_PLATFORMS": "cpu"}
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == expected, done.stderr
        assert ("AlgebraTypeError" in done.stderr) == bool(expected)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: ma.DirectProduct(ma.Add), TypeError, r"`ma\.Add\(4\)`, not `ma\.Add`"),
        (lambda: ma.Add() * 3, TypeError, "unsupported operand"),
        (lambda: ma.SemidirectProduct(ma.Add(), 3), TypeError, "takes two monoids"),
        (
            lambda: ma.SemidirectProduct(ma.Add(), ma.Max(), jnp.add),
            TypeError,
            "must be an AbstractAction",
        ),
        (
            lambda: ma.SemidirectProduct(ma.Multiply(3), ma.Add((2, 3))),
            ma.AlgebraTypeError,
            r"\(3,\) does not begin \(2, 3\)",
        ),
        (
            lambda: ma.SemidirectProduct(ma.Multiply(2, jnp.complex64), ma.Add(2)),
            ma.AlgebraTypeError,
            "make the base complex",
        ),
        (lambda: ma.Resettable(jnp.add), TypeError, "Resettable takes a monoid"),
        (
            lambda: ma.Map(ma.Add(), jnp.exp),
            TypeError,
            r"write ma\.Isomorphism\(forward, backward\)",
        ),
        (lambda: ma.Max(2, jnp.complex64), ValueError, "ordered dtype"),
        (lambda: ma.Add(-1), ValueError, "non-negative ints"),
    ],
)
def test_bad_composition_says_what_to_write(build, error, message, without_hook):
    with pytest.raises(error, match=message):
        build()
