"""Costs are counted in the traced program: beside XLA's own count, and by hand."""

# Wrong calls are the point of some tests here.
# pyright: reportArgumentType=false

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg as ma
from memoalg._count import count_work
from memoalg._solve import solve

KEY = jax.random.key(0)
STACKS = ["lru", "linear_attention", "gru", "mlp"]


def work(function, *arguments):
    return count_work(jax.make_jaxpr(function)(*arguments))


def test_products_and_loops_are_counted():
    a, b = jnp.ones((3, 4)), jnp.ones((4, 5))
    found = work(jnp.dot, a, b)
    assert found == (2 * 3 * 4 * 5, 4 * (12 + 20 + 15))

    def looped(a, square):
        return jax.lax.scan(lambda c, _: (c @ square, None), a, length=7)[0]

    assert work(looped, a, jnp.ones((4, 4))).flops == 7 * 2 * 3 * 4 * 4


def test_systems_and_open_loops_are_counted():
    a = jnp.eye(16) + 0.1
    assert work(solve, a, jnp.ones((16, 16))).flops > 2 * 16**3 / 3

    def until(a):
        return jax.lax.while_loop(lambda a: a[0, 0] < 9, lambda a: a @ a, a)

    assert work(until, a).flops == 2 * 16**3


def test_what_no_result_needs_is_not_counted():
    a = jnp.ones((8, 8))

    @jax.custom_vjp
    def first(x, unused):
        return x + 1

    first.defvjp(lambda x, y: (x + 1, y), lambda y, bar: (bar, bar * y))
    assert work(lambda a: first(a, a @ a), a).flops == 64
    assert work(lambda a: (a @ a, a + 1)[1], a).flops == 64


def test_the_dearest_branch_counts():
    def either(flag, a):
        return jax.lax.cond(flag, lambda a: a @ a, lambda a: a + 1, a)

    assert work(either, True, jnp.ones((8, 8))).flops == 2 * 8**3


@pytest.mark.parametrize("name", STACKS)
def test_the_operations_of_a_step_are_those_that_xla_counts(name):
    layer = ma.nn.make(name, in_size=48, out_size=48, width=48, key=KEY)
    arrays, static = eqx.partition(layer, eqx.is_array)

    @jax.jit
    def step(arrays, carry, x):
        return eqx.combine(arrays, static).step(carry, x, jnp.array(False))

    compiled = step.lower(arrays, layer.init_carry(), jnp.ones(48)).compile()
    found = ma.nn.cost(layer, 10)
    counted: Any = compiled.cost_analysis()
    np.testing.assert_allclose(found.step_flops, counted["flops"], rtol=0.1)
    assert found.parameters == sum(leaf.size for leaf in jax.tree.leaves(layer))
    carry = jax.tree.leaves(layer.init_carry())
    assert found.state_bytes == sum(leaf.nbytes for leaf in carry)
    assert found.step_bytes == 4 * found.parameters + 2 * found.state_bytes + 2 * 4 * 48


@pytest.mark.parametrize("name", STACKS)
def test_the_operations_of_a_sequence_grow_with_it(name):
    layer = eqx.filter_eval_shape(
        lambda key: ma.nn.make(name, in_size=8, out_size=8, width=8, key=key), KEY
    )
    short, long = ma.nn.cost(layer, 100), ma.nn.cost(layer, 300)
    np.testing.assert_allclose(long.flops / short.flops, 3, rtol=0.1)
    assert 0.5 < short.flops / (100 * short.step_flops) < 1.2
    assert long.bytes > 2 * short.bytes


def test_the_depth_is_that_of_the_longest_chain():
    lru, gru = ma.nn.LRU(3, 3, 4, key=KEY), ma.nn.GRU(3, 3, key=KEY)
    plain = ma.nn.Pointwise(jnp.tanh, 3, 3)
    depths = {
        10: lru,
        1000: gru,
        0: plain,
        1010: ma.nn.Serial(lru, plain, gru),
        1020: ma.nn.Serial(lru, ma.nn.Residual(lru), ma.nn.Fork(gru, lru)),
        11: ma.nn.Substeps(lru, 2),
    }
    for wanted, layer in depths.items():
        example = jnp.ones((2, 3)) if wanted == 11 else None
        assert ma.nn.cost(layer, 1000, example=example).depth == wanted


def test_bad_input_says_what_to_write():
    layer = ma.nn.Memoroid(ma.Add(), jnp.asarray, lambda total, x: total)
    with pytest.raises(ValueError, match="does not say its in_size: give `example`"):
        ma.nn.cost(layer)
    with pytest.raises(ValueError, match="length must be at least 1, got 0"):
        ma.nn.cost(layer, 0)
