"""Planted mistakes are seen; a sample of every kind by default, the whole catalogue in the slow run."""

import dataclasses
import inspect

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies as st

import memoalg as ma
from memoalg.laws._check import LENGTH, check_sites
from memoalg.laws._report import subject_lines
from memoalg.laws._site import homomorphism_sites, sequence_sites, sites_of
from tests.laws.mutant import law_that_sees
from tests.laws.mutants import LAWFUL, MISSED, MUTANTS, RECURRENCE

SAMPLE = {
    "Add: advance": "generators",
    "Add: zero": "left_zero",
    "Add: inverse": "left_inverse",
    "Max: identity lowest": "left_identity",
    "LogSumExp: one select": "identity_gradient",
    "ArgMax: keep left": "left_identity",
    "Last: mask": "canon_containment",
    "Any: xor": "idempotence",
    "Recent: the later alone": "right_identity",
    "MatMul: commutative": "commutativity",
    "MatMul: elementwise": "elementwise",
    "MatMul: act": "action_composition",
    "Permutation: tracks": "tracks_relations",
    "Unit: tracks": "tracks_witness",
    "ClippedAffine: falling": "associativity",
    "GeneralisedDelta: decayed": "generators",
    "Markov: act": "action_composition",
    "NormalisedOuterSum: FART": "right_identity",
    "Resettable: mask": "reset_cases_containment",
    "Resettable: output": "reset_cases_gradient",
    "Resettable: one leaf": "reset_cases",
    "SemidirectProduct: project": "embedding_round_trip",
    "DirectProduct: embed": "embedding",
    "Strict: plain": "strict_zero",
    "Strict: output": "strict_zero_gradient",
    "StrictAction: leaks": "strict_action",
    "AbstractAction: shift of sums": "distributivity",
    "MatvecAction: order": "acting_composition",
    "fold_reset: plain zero": "homomorphism_containment",
    "merge_powers: reshape": "homomorphism",
    "AbstractLayer: resumes": "layer_split",
    "AbstractLayer: output": "layer_gradient_containment",
    "Memoroid: after training": "layer_methods",
    "Affine: dual": "recurrence",
    "DeltaRule: DeltaNet": "recurrence",
}
"""Mutants of every kind, with the law that is first to see each."""

ALONE = {
    "homomorphism_scan": "Homomorphism: log1p",
    "scan_is_fold": "Multiply: identity zero",
    "scan_methods": "Max: decay",
    "scan_reverse": "Max: decay",
    "scan_exclusive": "Max: decay",
    "trajectory_methods": "MatMul: act",
    "trajectory_split": "MatMul: act",
}
"""Laws that others come before: each sees this mutant by itself."""


@pytest.mark.parametrize("name", SAMPLE)
def test_a_planted_mistake_is_seen_by_its_law(name):
    mutant = MUTANTS[name]
    assert law_that_sees(mutant.build(), mutant.kit) == SAMPLE[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in MUTANTS if name not in SAMPLE])
def test_every_planted_mistake_but_those_listed_is_seen(name):
    mutant = MUTANTS[name]
    law = law_that_sees(mutant.build(), mutant.kit)
    assert (law is None) == (name in MISSED)


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n, m in MUTANTS.items() if m.right is not None])
def test_without_the_mistake_it_passes(name):
    mutant = MUTANTS[name]
    assert mutant.right is not None
    assert law_that_sees(mutant.right(), mutant.kit) is None


@pytest.mark.slow
@pytest.mark.parametrize("name", LAWFUL)
def test_what_the_recurrence_sees_no_law_does(name):
    layer, _, _ = LAWFUL[name].build()
    assert law_that_sees(layer, "check_layer") is None


@pytest.mark.parametrize("law", ALONE)
def test_a_law_sees_a_mistake_by_itself(law):
    subject = MUTANTS[ALONE[law]].build()
    if isinstance(subject, ma.Homomorphism):
        sites, compared = homomorphism_sites(subject, LENGTH), subject.target
    else:
        sites = sites_of(subject) + sequence_sites(subject, LENGTH, gradient=False)
        compared = subject
    one = [
        dataclasses.replace(site, laws={law: site.laws[law]}) for site in sites if law in site.laws
    ]
    with pytest.raises(ma.laws.LawError, match=rf"^{law} fails for"):
        check_sites(one, {}, subject_lines(subject), None, compared, 0, False, None)


def test_every_class_has_a_mutant():
    concrete = {
        name
        for name, cls in inspect.getmembers(ma.algebra, inspect.isclass)
        if issubclass(cls, ma.AbstractSemigroup) and not inspect.isabstract(cls)
    }
    assert len(concrete) > 30
    assert concrete - {name.split(":")[0] for name in MUTANTS} == set()


def test_the_catalogue_is_as_large_as_it_says():
    by_laws = [name for name, mutant in MUTANTS.items() if mutant.kit != RECURRENCE]
    assert len(by_laws) >= 150
    assert len(LAWFUL) >= 6
    assert set(MISSED) <= set(by_laws)
    assert len(MISSED) <= 0.05 * len(by_laws)


def _close(one, other):
    """Up to rounding of the largest finite number in a leaf."""
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(
        np.allclose(a, b, atol=1e-4 * (1 + np.abs(np.where(np.isfinite(a), a, 0)).max()))
        for a, b in pairs
    )


AFFINE = ma.Affine(3)


@hypothesis.settings(max_examples=30)
@hypothesis.given(*(ma.laws.strategies.elements(AFFINE) for _ in range(3)))
def test_elements_of_a_strategy_obey_the_laws(x, y, z):
    assert jax.tree.map(jnp.shape, x) == ((3,), (3,))
    left = AFFINE.combine(AFFINE.combine(x, y), z)
    assert _close(left, AFFINE.combine(x, AFFINE.combine(y, z)))


@hypothesis.settings(max_examples=20)
@hypothesis.given(ma.laws.strategies.elements(ma.Rotation(3), count=4))
def test_elements_of_a_strategy_are_reachable(rotations):
    assert rotations.shape == (4, 3, 3)
    np.testing.assert_allclose(np.linalg.det(rotations), 1, atol=1e-5)


def test_a_strategy_shrinks_to_small_whole_numbers():
    settings = hypothesis.settings(max_examples=300, database=None)
    strategy = ma.laws.strategies.elements(ma.Affine(2))
    decay, entering = hypothesis.find(strategy, lambda x: x[1].max() > 1.5, settings=settings)
    assert entering.max() in (2, 3)
    assert np.array_equal(np.round(decay), decay)
    large = hypothesis.find(strategy, lambda x: x[1].max() > 50, settings=settings)
    assert large[1].max() > 50


@hypothesis.settings(max_examples=15)
@hypothesis.given(st.data())
def test_monoids_of_a_strategy_have_their_identity(data):
    monoid = data.draw(ma.laws.strategies.monoids(depth=1))
    x = data.draw(ma.laws.strategies.elements(monoid))
    canonical = jax.tree.map(np.asarray, monoid.canon(x))
    assert _close(monoid.canon(monoid.combine(monoid.identity(), x)), canonical)
    assert _close(monoid.canon(monoid.combine(x, monoid.identity())), canonical)
