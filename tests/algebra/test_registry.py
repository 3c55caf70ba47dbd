"""What every monoid owes by being registered: transformations of JAX, dtypes, gradients, serialisation."""

import functools
import io

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg as ma
from memoalg._tree import first_difference, shape_of, split_inexact
from memoalg.laws._draw_combinators import draw_elements
from tests.registry import MONOIDS


def drawn(name, dtype, count=4):
    """(monoid, elements with a leading axis of `count`)."""
    monoid = MONOIDS[name](jnp.dtype(dtype))
    elements = draw_elements(monoid, ma.laws.Source(2, count, mild=True))
    return monoid, jax.tree.map(jnp.asarray, elements)


@pytest.mark.parametrize("name", MONOIDS)
def test_jit_vmap_and_donation(name):
    """One compiled program over a batch gives what single eager calls give; buffers may be donated."""
    monoid, elements = drawn(name, "float32")

    @functools.partial(jax.jit, donate_argnums=0)
    def step(states, elements):
        return jax.vmap(monoid.act)(states, elements)

    states = jax.vmap(lambda _: monoid.initial_state())(jnp.arange(4))
    expected = [
        monoid.act(monoid.initial_state(), jax.tree.map(lambda x, i=i: x[i], elements))
        for i in range(4)
    ]
    for leaf, *singles in zip(
        jax.tree.leaves(step(states, elements)), *map(jax.tree.leaves, expected), strict=True
    ):
        np.testing.assert_allclose(leaf, jnp.stack(singles), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64"])
@pytest.mark.parametrize("name", MONOIDS)
def test_dtypes_are_kept(name, dtype):
    """Strictly: combine and act of drawn elements return the element's and the state's own types."""
    with jax.enable_x64(dtype == "float64"):
        monoid, elements = drawn(name, dtype)
        one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), elements)
        assert first_difference(monoid.element, one) is None
        state = shape_of(jax.eval_shape(monoid.initial_state))
        for got, want in (
            (jax.eval_shape(monoid.combine, one, one), monoid.element),
            (jax.eval_shape(monoid.act, state, one), state),
            (jax.eval_shape(monoid.canon, one), monoid.element),
        ):
            assert first_difference(want, shape_of(got)) is None
            assert not any(leaf.weak_type for leaf in jax.tree.leaves(got))


@pytest.mark.parametrize("name", MONOIDS)
def test_gradients_are_finite_at_the_identity(name):
    """Where shifts, divisions and infinite identities are at their worst."""
    monoid, elements = drawn(name, "float32")
    x = jax.tree.map(lambda leaf: leaf[0], elements)
    e = monoid.identity()
    moving, still = split_inexact((e, x))
    if not jax.tree.leaves(moving):
        return

    def total(moving):
        e, x = eqx.combine(moving, still)
        products = monoid.combine(e, e), monoid.combine(e, x), monoid.combine(x, e)
        state = monoid.act(monoid.act(monoid.initial_state(), e), x)
        leaves = jax.tree.leaves(split_inexact((products, state))[0])
        finite = [jnp.where(jnp.isfinite(leaf), leaf, 0) for leaf in leaves]
        return sum(jnp.sum(jnp.abs(leaf)).astype(jnp.float32) for leaf in finite)

    for leaf in jax.tree.leaves(jax.jit(jax.grad(total))(moving)):
        assert np.all(np.isfinite(leaf))


@pytest.mark.parametrize("name", MONOIDS)
def test_states_are_serialised_bit_for_bit(name):
    """A state in the middle of an episode survives being written and read, and goes on the same."""
    monoid, elements = drawn(name, "float32")
    first, second = (jax.tree.map(lambda x, i=i: x[i], elements) for i in (0, 1))
    state = monoid.act(monoid.initial_state(), first)
    file = io.BytesIO()
    eqx.tree_serialise_leaves(file, state)
    file.seek(0)
    restored = eqx.tree_deserialise_leaves(file, monoid.initial_state())
    for one, two in zip(
        jax.tree.leaves(monoid.act(state, second)),
        jax.tree.leaves(monoid.act(restored, second)),
        strict=True,
    ):
        np.testing.assert_array_equal(one, two, strict=True)
