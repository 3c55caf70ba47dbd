"""Every registered monoid keeps every law in every dtype; broken ones are caught and named."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg as ma
from tests.registry import MONOIDS

OTHER_DTYPES = ["bfloat16", "float16", "float64"]
CHEAP = ["affine", "max", "log-sum-exp", "gated-outer"]


@pytest.mark.parametrize("name", MONOIDS)
def test_laws_hold(name):
    report = ma.laws.check(MONOIDS[name](jnp.dtype("float32")))
    assert {"associativity", "scan_methods"} <= set(report.laws)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        pytest.param(name, dtype, marks=() if quick else pytest.mark.slow)
        for name in MONOIDS
        for dtype in OTHER_DTYPES
        for quick in [name in CHEAP and dtype == "bfloat16"]
    ],
)
def test_laws_hold_in_other_dtypes(name, dtype):
    with jax.enable_x64(dtype == "float64"):
        report = ma.laws.check(MONOIDS[name](jnp.dtype(dtype)))
    assert {"associativity", "scan_methods"} <= set(report.laws)


def test_a_report_lists_what_was_checked():
    report = ma.laws.check(ma.Affine(2))
    assert report
    assert str(report).startswith(f"{len(report.laws)} laws hold")
    assert "✓ distributivity" in str(report)
    assert "  Multiply(shape=(2,), dtype=float32)" in str(report)


class _Broken(ma.AbstractMonoid):
    """A max with a clock, of which `fault` is wrong."""

    fault: str

    def identity(self):
        return jnp.zeros(()), jnp.asarray(
            0.0 if self.fault == "identity" else -jnp.inf, jnp.float32
        )

    def combine(self, left, right):
        (c, u), (d, v) = left, right
        if self.fault == "order":
            return c + d, jnp.maximum(u + c, v)
        if self.fault == "lost term":
            return d, jnp.maximum(u + d, v)
        if self.fault == "average":
            return c + d, 0.5 * (u + v)
        if self.fault == "small":
            return c + d, jnp.maximum(u + d + 1e-3 * d * d, v)
        return c + d, jnp.maximum(u + d, v)


@pytest.mark.parametrize("fault", ["identity", "order", "lost term", "average", "small"])
def test_a_broken_monoid_is_caught(fault):
    with pytest.raises(ma.laws.LawError, match=r"fails for\n  _Broken.*\n.*x = (.|\n)*Usually"):
        ma.laws.check(_Broken(fault))


def test_the_whole_one_is_not():
    assert ma.laws.check(_Broken("none"))


class _Sum(ma.AbstractMonoid):
    """A sum, of which one thing is wrong."""

    fault: str = "none"

    def identity(self):
        return jnp.zeros(2)

    def combine(self, left, right):
        if self.fault == "relative":
            return (left + right) * jnp.where((left > 0) & (right > 0), 1.001, 1.0)
        return left + right

    def act(self, state, element):
        return state + element * element if self.fault == "act" else state + element

    def project(self, element):
        return element + 1 if self.fault == "project" else element

    def advance(self, state, generator):
        return self.act(state, generator * (2 if self.fault == "advance" else 1))

    def canon(self, element):
        return jnp.round(element) if self.fault == "canon" else element


@ma.has_embedding.register
def _(monoid: _Sum) -> bool:
    return True


@ma.is_commutative.register
def _(monoid: _Sum) -> bool:
    return True


@ma.is_elementwise.register
def _(monoid: _Sum) -> bool:
    return True


@ma.is_idempotent.register
def _(monoid: _Sum) -> bool:
    return monoid.fault == "idempotent"


@ma.is_invertible.register
def _(monoid: _Sum) -> bool:
    return monoid.fault in ("none", "inverse")


@ma.inverse.register
def _(monoid: _Sum, element):
    return element if monoid.fault == "inverse" else -element


@ma.has_zero.register
def _(monoid: _Sum) -> bool:
    return monoid.fault == "zero"


@ma.zero.register
def _(monoid: _Sum):
    return jnp.ones(2)


@ma.tracks.register
def _(monoid: _Sum):
    claims = {"no witness": ma.Tracks.ANY, "group": ma.Tracks.ABELIAN, "trivial": ma.Tracks.ABELIAN}
    return claims.get(monoid.fault, ma.Tracks.NOTHING)


@ma.algebra.group_in.register
def _(monoid: _Sum):
    found = {"group": (jnp.ones(2),), "trivial": (jnp.zeros(2),)}
    return found.get(monoid.fault, ())


@pytest.mark.parametrize(
    ("fault", "law"),
    [
        ("relative", "associativity"),
        ("act", "action_composition"),
        ("project", "embedding"),
        ("advance", "generators"),
        ("canon", "canon_of_product"),
        ("idempotent", "idempotence"),
        ("inverse", "left_inverse"),
        ("zero", "left_zero"),
        ("no witness", "tracks_witness"),
        ("group", "tracks_relations"),
        ("trivial", "tracks_nontrivial"),
    ],
)
def test_each_law_catches_its_fault(fault, law):
    with pytest.raises(ma.laws.LawError, match=rf"^{law}(_\w+)? fails for\n  _Sum"):
        ma.laws.check(_Sum(fault))


def test_the_sum_without_a_fault_passes():
    laws = ma.laws.check(_Sum()).laws
    assert {"commutativity", "elementwise", "left_inverse", "reset_gradient_zero"} <= set(laws)


class _Capped(ma.AbstractMonoid):
    """Lawful, with NaN as its top: no other law sees it."""

    def identity(self):
        return jnp.full(2, -jnp.inf, jnp.float32)

    def combine(self, left, right):
        largest = jnp.maximum(left, right)
        return jnp.where(largest > 1, jnp.nan, largest)


def test_nan_out_of_nothing_is_caught():
    with pytest.raises(ma.laws.LawError, match=r"^(no_nan|left_identity) fails"):
        ma.laws.check(_Capped())


class _Rows(ma.AbstractMonoid):
    """Matrix products: neither commutative nor elementwise, whatever is claimed."""

    claim: str

    def identity(self):
        return jnp.eye(2, dtype=jnp.float32)

    def combine(self, left, right):
        return left @ right


@ma.is_commutative.register
def _(monoid: _Rows) -> bool:
    return monoid.claim == "commutativity"


@ma.is_elementwise.register
def _(monoid: _Rows) -> bool:
    return monoid.claim == "elementwise"


@pytest.mark.parametrize("claim", ["commutativity", "elementwise"])
def test_a_false_claim_is_caught(claim):
    with pytest.raises(ma.laws.LawError, match=rf"^{claim} fails"):
        ma.laws.check(_Rows(claim))


class _MaskReset(ma.AbstractMonoid):
    """The reset-lift by arithmetic mask, on an infinite identity: the fault of most public code."""

    def identity(self):
        return jnp.asarray(-jnp.inf, jnp.float32), jnp.zeros((), bool)

    def combine(self, left, right):
        (x, i), (y, j) = left, right
        kept = x * (1 - j.astype(jnp.float32)) + self.identity()[0] * j.astype(jnp.float32)
        return jnp.maximum(kept, y), i | j


def test_the_mask_reset_is_caught():
    with pytest.raises(ma.laws.LawError, match=r"_MaskReset\(\)(.|\n)*nan"):
        ma.laws.check(_MaskReset())


class _LeakyAct(ma.AbstractMonoid):
    """A running product whose zero identity state multiplies what it should forget."""

    def identity(self):
        return jnp.ones(2, jnp.float32), jnp.zeros(2, jnp.float32)

    def combine(self, left, right):
        return left[0] * right[0], right[0] * left[1] + right[1]

    def initial_state(self):
        return jnp.zeros(2, jnp.float32)

    def act(self, state, element):
        # A square root that is not guarded: right at zero, infinite in the derivative.
        return jnp.sqrt(element[0] ** 2) * jnp.sign(element[0]) * state + element[1]


def test_an_infinite_derivative_is_caught():
    with pytest.raises(ma.laws.LawError, match=r"^reset_gradient_finite fails(.|\n)*derivative"):
        ma.laws.check(_LeakyAct(), generator=_with_zero_decays)


def _with_zero_decays(source):
    decays = np.zeros((source.count, 2), np.float32)
    return decays, source.real((2,), np.dtype(np.float32))


def test_the_law_knows_the_first_example_from_the_documentation():
    class FactorMax(ma.AbstractMonoid):
        def identity(self):
            return jnp.full(1, -jnp.inf, float)

        def combine(self, left, right):
            return jnp.maximum(0.9 * left, right)

    with pytest.raises(ma.laws.LawError, match=r"x = \[1\.\]\ny = \[0\.\]\nz = \[0\.\]"):
        ma.laws.check(FactorMax())


class _LateFault(ma.AbstractMonoid):
    """Wrong only where a sum passes a limit: most failing cases are long products of large numbers."""

    def identity(self):
        return jnp.zeros(3, jnp.float32)

    def combine(self, left, right):
        total = left + right
        return jnp.where(total > 2, total + 0.5, total)


def test_a_counterexample_is_shrunk():
    with pytest.raises(ma.laws.LawError) as caught:
        ma.laws.check(_LateFault())
    lines = str(caught.value).splitlines()
    numbers = " ".join(
        line.split(" = ")[1] for line in lines if line[:4] in ("x = ", "y = ", "z = ")
    )
    entries = [float(entry) for entry in numbers.replace("[", " ").replace("]", " ").split()]
    assert len(entries) in (3, 6, 9)
    assert max(map(abs, entries)) <= 3
    assert np.count_nonzero(entries) <= 3


def test_elements_and_generators_of_a_user():
    assert ma.laws.check(ma.Add(), jnp.arange(4.0))
    asked = []

    def positive(source):
        asked.append(source.count)
        return source.positive((2,), np.dtype(np.float32))

    assert ma.laws.check(ma.Max(2), generator=positive)
    assert asked


def test_an_equality_of_a_user():
    class Turns(ma.AbstractMonoid):
        """Angles, which mean the same modulo one turn, and are not reduced."""

        def identity(self):
            return jnp.zeros((), jnp.int32)

        def combine(self, left, right):
            return left + right + 8 * (left % 2)

    with pytest.raises(ma.laws.LawError, match="associativity"):
        ma.laws.check(Turns())
    with pytest.raises(ma.laws.LawError, match="action_"):  # states have no equality of their own
        ma.laws.check(Turns(), equal=lambda left, right: left % 8 == right % 8)


def test_check_wants_three_elements():
    with pytest.raises(ValueError, match="at least 3"):
        ma.laws.check(ma.Add(), jnp.ones(2))


def test_check_wants_an_instance(without_hook):
    with pytest.raises(TypeError, match=r"check takes a monoid, got Add; write the instance"):
        ma.laws.check(ma.Add)


class _Described(ma.AbstractMonoid):
    """Its generators are not its elements, and nobody says how they are drawn."""

    def identity(self):
        return jnp.zeros(2, jnp.float32)

    def combine(self, left, right):
        return left + right

    def expand(self, generator):
        return jnp.stack([generator, generator])


def test_generators_that_nobody_describes():
    with pytest.raises(ValueError, match=r"_Described writes its own expand.*draw\.register"):
        ma.laws.check(_Described())
    assert ma.laws.check(_Described(), generator=lambda s: s.real((), np.dtype(np.float32)))
    assert "generators" not in ma.laws.check(_Described(), jnp.ones((3, 2))).laws


class _HardCoded(ma.AbstractMonoid):
    """float32 everywhere, so there is no oracle."""

    size: int = eqx.field(static=True)
    fault: float = eqx.field(static=True)

    def identity(self):
        return jnp.eye(self.size, dtype=jnp.float32)

    def combine(self, left, right):
        scale = jnp.where(left[0, 0] > 1, 1 + self.fault, 1.0).astype(jnp.float32)
        return jnp.matmul(left, right).astype(jnp.float32) * scale


def test_without_an_oracle():
    assert ma.laws.check(_HardCoded(3, 0.0))
    with pytest.raises(ma.laws.LawError, match="associativity"):
        ma.laws.check(_HardCoded(3, 1e-3))


def test_the_overflow_of_half_precision_is_no_alarm():
    assert ma.laws.check(ma.Multiply(4, jnp.float16), seed=3)


class _Add(ma.AbstractAction):
    def __call__(self, base, acting):
        return base + acting


class _Half(ma.AbstractAction):
    def __call__(self, base, acting):
        return 0.5 * base * acting


def test_actions():
    assert ma.laws.check_action(ma.multiply, ma.Multiply(2), ma.Add((2, 3)))
    with pytest.raises(ma.laws.LawError, match=r"^distributivity fails for\n  SemidirectProduct"):
        ma.laws.check_action(_Add(), ma.Add(2), ma.Add(2))
    with pytest.raises(ma.laws.LawError, match=r"^acting_identity"):
        ma.laws.check_action(_Half(), ma.Multiply(2), ma.Add(2))
    with pytest.raises(ma.laws.LawError, match=r"^acting_composition"):
        _check_square()


def _check_square():
    class Square(ma.AbstractAction):
        def __call__(self, base, acting):
            return base * (1 + acting**2)

    return ma.laws.check_action(Square(), ma.Add(2), ma.Add(2))


def test_an_unlawful_product_deep_inside_is_caught_by_its_action():
    inner = ma.SemidirectProduct(ma.Add(2), ma.Add(2), _Add())
    with pytest.raises(ma.laws.LawError, match="fails for"):
        ma.laws.check(ma.Dual(ma.Max(2) * inner))


def _double(x):
    return 2 * x


def _square(x):
    return x * x


def test_homomorphisms():
    assert ma.laws.check_homomorphism(_double, ma.Add(2), ma.Add(2))
    assert ma.laws.check_homomorphism(ma.Homomorphism(ma.Add(2), ma.Add(2), _double))
    with pytest.raises(ma.laws.LawError, match=r"^homomorphism fails for\n  _square, from\n  +Add"):
        ma.laws.check_homomorphism(_square, ma.Add(2), ma.Add(2))
    with pytest.raises(ma.laws.LawError, match=r"^homomorphism_identity"):
        ma.laws.check_homomorphism(jnp.ones_like, ma.Max(2), ma.Max(2))
    with pytest.raises(TypeError, match="needs both ends"):
        ma.laws.check_homomorphism(_square)


def _clip(x):
    return jnp.maximum(x, 0)


def _same(x):
    return x


def test_a_map_that_is_no_isomorphism():
    with pytest.raises(ma.laws.LawError, match=r"^isomorphism_forward"):
        ma.laws.check(ma.Map(ma.Max(2), ma.Isomorphism(_clip, _same)))


def test_deep_mode():
    report = ma.laws.check(ma.Add(2), deep=True)
    assert report.cases > ma.laws.check(ma.Add(2)).cases


def test_a_law_is_a_function_of_its_own():
    law = ma.laws.laws_of(ma.Affine())["associativity"]
    one = jnp.float32(2), jnp.float32(3)
    left, right = law(ma.Affine(), one, one, one)
    assert left == right
