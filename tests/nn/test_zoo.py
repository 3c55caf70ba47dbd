"""Every registered model is its paper: the recurrence of each in float64, faults seen, laws kept."""

import jax
import pytest

import memoalg as ma
from tests.nn.zoo import CASES
from tests.nn.zoo.case import assert_is_its_paper, double_layer, small_layer

FAULTS = [(name, fault) for name, case in CASES.items() for fault in case.faults]


@pytest.mark.parametrize("name", CASES)
def test_a_model_is_its_paper_in_float64(name):
    case = CASES[name]
    assert_is_its_paper(case, double_layer(case), "float64", 1e-10)


@pytest.mark.parametrize("name", CASES)
def test_a_model_is_its_paper_in_float32(name):
    case = CASES[name]
    assert_is_its_paper(case, small_layer(case), "float32", 1e-5)


@pytest.mark.parametrize(("name", "fault"), FAULTS)
def test_the_paper_refuses_a_planted_fault(name, fault):
    case = CASES[name]
    wrong = case.faults[fault](small_layer(case))
    with pytest.raises(AssertionError, match="Mismatched elements"):
        assert_is_its_paper(case, wrong, "float32", 1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_model_keeps_the_laws_of_layers_and_of_its_monoid(name):
    """Before and after a random update: steps, splits, resets, NaN, methods; associativity, identity."""
    assert ma.laws.check_layer(CASES[name].build(jax.random.key(0)), 3)


def test_every_registered_model_has_a_reference():
    assert set(ma.nn.names()) <= set(CASES)
