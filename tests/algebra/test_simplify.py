"""Each rule keeps elements and states, both ways; the order of rules does not matter; rewriting ends."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg as ma
from memoalg.algebra import RULES
from memoalg.laws._draw_combinators import draw_elements
from tests.trees import (
    TAGGED,
    check_tree,
    largest_difference,
    normal_form_in_random_order,
    random_tree,
)


def _double(x):
    return 2 * x


def _halve(x):
    return x / 2


DOUBLED = ma.Isomorphism(_double, _halve)
MAX_PLUS = ma.SemidirectProduct(ma.Add(2), ma.Max(2), ma.shift)

# rule -> monoids at whose root it fires
REDEXES = {
    "fold_reset": {
        "affine": ma.Resettable(ma.Affine(2)),
        "complex": ma.Resettable(ma.Affine(2, jnp.complex64)),
        "max-plus": ma.Resettable(MAX_PLUS),
        "log-affine": ma.Resettable(ma.LogAffine(2)),
        "shared": ma.Resettable(ma.SemidirectProduct(ma.Multiply(2), ma.Add((2, 3)) * ma.Add(2))),
        "rows": ma.Resettable(ma.SemidirectProduct(ma.MatMul(2), ma.Add((3, 2)), ma.matmul)),
        "matrix": ma.Resettable(ma.MatrixAffine(2)),
        "joined": ma.Resettable(ma.simplify(ma.Affine(2) * MAX_PLUS).monoid),
        "folded": ma.Resettable(ma.simplify(ma.Resettable(ma.Affine(2))).monoid),
    },
    "merge_resets": {
        "add": ma.Resettable(ma.Resettable(ma.Add(2))),
        "matrices": ma.Resettable(ma.Resettable(ma.MatMul(2))),
    },
    "join_semidirect": {
        "two": ma.Affine(2) * MAX_PLUS,
        "three": ma.DirectProduct(ma.Affine(2), MAX_PLUS, ma.LogAffine(3)),
    },
    "merge_maps": {
        "tags": ma.Map(ma.Map(ma.Affine(2), TAGGED), TAGGED),
        "numbers": ma.Map(ma.Map(ma.Max(2), DOUBLED), DOUBLED),
    },
    "cancel_duals": {
        "affine": ma.Dual(ma.Dual(ma.Affine(2))),
        "matrices": ma.Dual(ma.Dual(ma.MatMul(2))),
    },
    "drop_regular": {
        "add": ma.Regular(ma.Add(2)),
        "dual": ma.Dual(ma.Regular(ma.Affine(2))),
    },
    "merge_powers": {"affine": ma.Power(ma.Power(ma.Affine(2), 3), 2)},
    "drop_units": {
        "right": ma.Affine(2) * ma.Unit(),
        "middle": ma.DirectProduct(ma.Add(2), ma.Unit(), ma.Max(2)),
        "alone": ma.DirectProduct(ma.MatMul(2)),
    },
}
CASES = [(rule, name) for rule, cases in REDEXES.items() for name in cases]


def test_every_rule_is_tested():
    assert set(REDEXES) == set(RULES)


@pytest.mark.parametrize(("rule", "name"), CASES, ids=["-".join(case) for case in CASES])
def test_a_rule_keeps_elements_and_states(rule, name):
    """h(x • y) = h(x) • h(y), h(e) = e, σ(s · x) = σ(s) · h(x), σ⁻¹σ = 1, and h⁻¹h = 1 where there is one.

    Bitwise: the elements are whole numbers, so that sums and products are exact in floats.
    """
    monoid = REDEXES[rule][name]
    fired = RULES[rule](monoid)
    assert fired is not None
    assert fired.rules == (rule,)
    assert fired.source == monoid
    target: Any = fired.monoid
    source = ma.laws.Source(0, 30, exact="log" not in name)

    @jax.jit
    def sides(x, y, z):
        h, states, back = fired.on_elements, fired.on_states, fired.on_states_inverse
        state = monoid.act(monoid.initial_state(), z)
        pairs = {
            "product": (h(monoid.combine(x, y)), target.combine(h(x), h(y))),
            "identity": (h(monoid.identity()), target.identity()),
            "initial state": (states(monoid.initial_state()), target.initial_state()),
            "action": (states(monoid.act(state, x)), target.act(states(state), h(x))),
            "way back": (back(states(state)), state),
            "way there": (states(back(states(state))), states(state)),
        }
        if fired.on_elements_inverse is not None:
            pairs["inverse"] = (fired.on_elements_inverse(h(x)), x)
        return pairs

    elements = draw_elements(monoid, source)
    rolled = [
        jax.tree.map(lambda leaf, k=k: np.roll(np.asarray(leaf), k, axis=0), elements)
        for k in (0, 1, 4)
    ]
    for what, (left, right) in jax.vmap(sides)(*rolled).items():
        bound = 1e-6 if "log" in name else 0.0  # exponentials: XLA may contract differently
        assert largest_difference(left, right) <= bound, what


@pytest.mark.parametrize("name", [name for name in REDEXES["fold_reset"] if name != "folded"])
def test_a_folded_reset_forgets_what_is_not_finite(name):
    """Values after a start, and gradients of them, do not depend on NaN or inf before it."""
    monoid = REDEXES["fold_reset"][name]
    rewriting = ma.simplify(monoid)
    inner, _ = draw_elements(monoid, ma.laws.Source(3, 8, mild=True))
    inner, start = jax.tree.map(jnp.asarray, inner), jnp.arange(8) == 4

    def loss(inner):
        elements = jax.vmap(rewriting.on_elements)((inner, start))
        scans = [ma.scan(rewriting.monoid, elements, method=method) for method in METHODS]
        values = [jnp.abs(x[4:]) for scan in scans for x in jax.tree.leaves(scan)[-1:]]
        return sum(jnp.sum(x) for x in values), values

    def planted(junk):
        return jax.tree.map(lambda x: x.at[1].set(jnp.asarray(junk, x.dtype)), inner)

    run = jax.jit(jax.value_and_grad(loss, has_aux=True))
    (_, clean), gradient = run(inner)
    # Nothing flows back across a start. (Zero times the junk is junk in its own episode.)
    assert not any(np.any(np.asarray(leaf[:4])) for leaf in jax.tree.leaves(gradient))
    assert any(np.any(np.asarray(leaf[4:])) for leaf in jax.tree.leaves(gradient))
    for junk in (np.nan, np.inf):
        (_, dirty), dirty_gradient = run(planted(junk))
        jax.tree.map(np.testing.assert_array_equal, clean, dirty)
        after = [jax.tree.map(lambda leaf: leaf[4:], x) for x in (gradient, dirty_gradient)]
        jax.tree.map(np.testing.assert_array_equal, *after)


METHODS = (ma.Sequential(), ma.Associative())


def test_a_plain_zero_would_not_forget():
    """The select in the strict zero is what does it: a product of zero and NaN is NaN."""
    strict: ma.AbstractMonoid = ma.simplify(ma.Resettable(ma.Affine())).monoid  # pyright: ignore
    nan, zero = jnp.float32(jnp.nan), jnp.float32(0)
    assert strict.act(nan, (zero, zero)) == 0
    assert jnp.isnan(ma.Affine().act(nan, (zero, zero)))


@pytest.mark.parametrize("seed", range(150))
def test_the_order_of_rules_does_not_matter(seed):
    """Single rules at random places lead to what `simplify` gives; that is simple; and it ends."""
    rng = np.random.default_rng(seed)
    monoid = random_tree(rng, 5)
    simple = ma.simplify(monoid).monoid
    assert normal_form_in_random_order(rng, monoid) == simple
    assert ma.simplify(simple).rules == ()


@pytest.mark.parametrize("seed", range(6))
def test_a_simplified_tree_runs_as_the_loop_of_the_original(seed):
    with jax.disable_jit():
        _, difference = check_tree(seed, depth=3, length=4)
    assert difference < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("block", range(10))
def test_five_hundred_trees(block):
    with jax.disable_jit():
        for seed in range(50 * block, 50 * (block + 1)):
            _, difference = check_tree(seed)
            assert difference < 1e-5, seed


def test_data_is_not_read():
    """Two equal decays are data, not algebra: nothing is shared, and nothing fires."""
    two = ma.Affine(2) * ma.Affine(2)
    assert ma.simplify(two).rules == ("join_semidirect",)
    shared = ma.SemidirectProduct(ma.Multiply(2), ma.Add(2) * ma.Add(2))
    assert ma.simplify(shared).rules == ()
    assert ma.simplify(shared).monoid == shared


def test_conditions_of_the_fold():
    """No zero that forgets, no fold: integers have no minus infinity, a minimum none to shift by."""
    for acting, base, action in (
        (ma.Add(2, jnp.int32), ma.Max(2, jnp.int32), ma.shift),
        (ma.Add(2), ma.Min(2), ma.shift),
        (ma.Multiply(2), ma.Max(2), ma.multiply),
    ):
        product = ma.SemidirectProduct(acting, base, action)
        assert ma.simplify(ma.Resettable(product)).rules == ()


def test_a_rewriting_is_a_homomorphism_that_composes():
    rewriting = ma.simplify(ma.Resettable(ma.Affine(2)))
    h = rewriting.homomorphism
    assert (h.source, h.target) == (rewriting.source, rewriting.monoid)
    onto_decays = ma.Homomorphism(rewriting.monoid, rewriting.monoid.acting, _first)  # pyright: ignore
    element = ((jnp.ones(2), jnp.ones(2)), jnp.array(True))
    np.testing.assert_array_equal(h.then(onto_decays)(element), [0, 0])
    with pytest.raises(ValueError, match="must begin where the first ends"):
        onto_decays.then(h)


def _first(pair):
    return pair[0]


def test_simplify_refuses_what_is_no_monoid(without_hook):
    with pytest.raises(TypeError, match=r"give layer\.monoid"):
        ma.simplify(jnp.add)  # pyright: ignore
