"""Every registered model is its paper: the recurrence of each in float64, faults seen, laws kept."""

import ast
import re
import statistics
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg as ma
from tests.nn.zoo import CASES
from tests.nn.zoo.case import (
    START,
    XS,
    T,
    assert_is_its_paper,
    double_layer,
    perturbed,
    small_layer,
)

FAULTS = [(name, fault) for name, case in CASES.items() for fault in case.faults]


@pytest.mark.parametrize("name", CASES)
def test_a_model_is_its_paper_in_float64(name):
    case = CASES[name]
    assert_is_its_paper(case, double_layer(case), "float64", 1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_model_is_its_paper_in_float32(name):
    case = CASES[name]
    assert_is_its_paper(case, small_layer(case), "float32", 1e-5)


@pytest.mark.parametrize(("name", "fault"), FAULTS)
def test_the_paper_refuses_a_planted_fault(name, fault):
    case = CASES[name]
    with jax.enable_x64(True):
        wrong = case.faults[fault](double_layer(case))
    # In float64, whose program is compiled already where the fault changes numbers alone.
    with pytest.raises(AssertionError, match="Mismatched elements"):
        assert_is_its_paper(case, wrong, "float64", 1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_model_keeps_the_laws_of_layers_and_of_its_monoid(name):
    """Before and after a random update: steps, splits, resets, NaN, methods; associativity, identity."""
    assert ma.laws.check_layer(CASES[name].build(jax.random.key(0)), 3)


@eqx.filter_jit
def both(layer, xs, start):
    """(outputs of a call, outputs of steps)."""
    first = layer.init_carry()
    ys = layer(first, xs, start)[1]
    return ys, jax.lax.scan(lambda carry, now: layer.step(carry, *now), first, (xs, start))[1]


@pytest.mark.parametrize("name", ma.nn.names())
def test_a_published_block_of_any_width_steps_as_it_is_called(name):
    """A width of 5 divides into no heads, and in_size and out_size differ from it."""
    layer = perturbed(ma.nn.make(name, in_size=3, out_size=2, width=5, key=jax.random.key(0)))
    ys, steps = both(layer, jnp.asarray(XS, jnp.float32), jnp.asarray(START))
    assert ys.shape == (T, 2)
    assert ys.dtype == jnp.float32
    np.testing.assert_allclose(steps, ys, atol=2e-5)
    assert np.all(np.isfinite(ys))
    # The block hears its input.
    assert np.ptp(ys, axis=0).min() > 1e-4


def test_every_registered_model_has_a_reference_and_faults():
    assert set(ma.nn.names()) <= set(CASES)
    without = [name for name in ma.nn.names() if not CASES[name].faults]
    assert without == []
    assert len(FAULTS) >= 20


@pytest.mark.parametrize("name", ma.nn.names())
def test_a_model_follows_no_richer_group_than_its_monoid_holds(name):
    layer = CASES[name].build(jax.random.key(0))
    monoids = [
        node.monoid for node in jax.tree.leaves(layer, is_leaf=_is_memoroid) if _is_memoroid(node)
    ]
    if monoids:
        assert ma.nn.MODELS[name].tracks <= max(map(ma.tracks, monoids))


def _is_memoroid(node):
    return isinstance(node, ma.nn.AbstractMemoroid)


def test_no_model_has_its_own_scan_reset_or_step():
    """`AbstractMemoroid` and the cells have them, once."""
    folder = Path(ma.nn.__file__).parent / "models"
    for path in folder.glob("_*.py"):
        text = path.read_text()
        for word in (
            "lax.scan",
            "associative_scan",
            "fori_loop",
            "while_loop",
            "def step",
            "start",
        ):
            found = [
                line for line in code_lines(text) if re.search(rf"\b{re.escape(word)}\b", line)
            ]
            assert not found, (path.name, found)


def test_the_median_model_is_short():
    folder = Path(ma.nn.__file__).parent / "models"
    sizes = [len(code_lines(path.read_text())) for path in folder.glob("_[a-z]*.py")]
    assert statistics.median(sizes) <= 80


def code_lines(text):
    """Lines that are neither blank, nor comments, nor in a docstring."""
    tree = ast.parse(text)
    skipped = set()
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            skipped |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = enumerate(text.splitlines(), 1)
    return [
        line
        for number, line in lines
        if number not in skipped and line.strip() and not line.strip().startswith("#")
    ]
