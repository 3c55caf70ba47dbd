"""What the sums of outer products promise: each exactly, and without a stack of matrix states."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg as ma
from memoalg.nn._rotary import rotated
from memoalg.nn.models._fast_weights import FastWeights
from memoalg.nn.models._gla import GLA
from memoalg.nn.models._hgrn2 import HGRN2
from memoalg.nn.models._mamba2 import Mamba2
from memoalg.nn.models._mlstm import MLSTM
from memoalg.nn.models._retnet import RetNet
from memoalg.nn.models._rwkv6 import RWKV6
from tests.nn.zoo.case import START, XS, T, perturbed, replaced

xs32 = jnp.asarray(XS, jnp.float32)


def run(layer, xs, start=None, method=ma.Sequential()):
    return layer(layer.init_carry(), xs, start, method=method)[1]


def normal(x):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)


def silu(x):
    return x / (1 + np.exp(-x))


# ---- linear attention ------------------------------------------------------------------------------


def test_linear_attention_weights_sum_to_one():
    """With all values equal the read is that value, at every step and after every start."""
    monoid = ma.nn.NormalisedOuterSum(3, 2)
    keys = jnp.abs(jax.random.normal(jax.random.key(0), (T, 3))) + 0.01
    values = jnp.broadcast_to(jnp.array([2.0, -5.0]), (T, 2))
    reads = ma.trajectory(
        monoid, monoid.identity(), (keys, values), jnp.asarray(START), queries=jnp.flip(keys, 0)
    )[1]
    np.testing.assert_allclose(reads, values, rtol=1e-5)


def test_heads_of_linear_attention_average_values_each_by_its_own_weights():
    """The output is W_o of averages of the values: it is that of a constant value where values are."""
    layer = perturbed(ma.nn.LinearAttention(3, 2, 4, value_size=6, heads=2, key=jax.random.key(0)))
    pair = layer.keys_values
    constant = replaced(pair, weight=pair.weight.at[4:].set(0.0))
    ys = run(replaced(layer, keys_values=constant), xs32, jnp.asarray(START))
    np.testing.assert_allclose(ys, jnp.tile(layer.output(pair.bias[4:]), (T, 1)), atol=1e-5)


def test_an_empty_memory_reads_zero_with_zero_gradient():
    monoid = ma.nn.NormalisedOuterSum(3, 2)
    read = lambda query: monoid.read(monoid.identity(), query).sum()
    assert read(jnp.ones(3)) == 0
    np.testing.assert_array_equal(jax.grad(read)(jnp.ones(3)), 0)


# ---- fast weights ----------------------------------------------------------------------------------


def test_fast_weights_return_the_value_of_a_key_and_nothing_for_an_orthogonal_one():
    """Sums of outer products: what is read of a key is what was written to it, as often as it was."""
    layer = FastWeights(4, 2, 2, 2, key=jax.random.key(0))
    weight = jnp.zeros((4, 4)).at[:2, :2].set(jnp.eye(2)).at[2:, 2:].set(jnp.eye(2))
    layer = replaced(
        layer,
        queries=replaced(layer.queries, weight=jnp.eye(2, 4)),
        keys_values=replaced(layer.keys_values, weight=weight),
        output=replaced(layer.output, weight=jnp.eye(2)),
    )
    # Keys (3, 1) and (-3, -1) have no feature in common; of each DPFP-1 has one.
    one, other = [3.0, 1.0], [-3.0, -1.0]
    xs = jnp.array([[*one, 5.0, 6.0], [*other, 7.0, 8.0], [*one, 1.0, 1.0]])
    np.testing.assert_allclose(run(layer, xs), [[5, 6], [7, 8], [6, 7]], rtol=1e-4)


# ---- RetNet ----------------------------------------------------------------------------------------


def test_retnet_is_its_parallel_form_with_a_mask_of_decays():
    """(Q Kᵀ ∘ D) V with D_nm = γ^(n - m), and turned by the distance n - m alone."""
    heads, dk, dv = 2, 4, 5
    layer = perturbed(RetNet(3, 2, heads * dk, heads * dv, heads=heads, key=jax.random.key(0)))
    p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), layer.layers[1])
    q, pair = XS @ p.queries.weight.T, XS @ p.keys_values.weight.T
    outputs = []
    for h in range(heads):
        rows, keys = q[:, h * dk : h * dk + dk], pair[:, h * dk : h * dk + dk]
        values = pair[:, heads * dk + h * dv : heads * dk + h * dv + dv]
        as_complex = lambda x: x[:, ::2] + 1j * x[:, 1::2]
        distance = np.arange(T)[:, None] - np.arange(T)[None, :]
        turn = np.exp(1j * distance[..., None] * 10_000.0 ** (-2 * np.arange(dk // 2) / dk))
        products = as_complex(rows)[:, None] * as_complex(keys).conj()[None] * turn
        scores = products.real.sum(-1) / np.sqrt(dk)
        mask = np.where(distance >= 0, (1 - 2.0 ** (-5 - h)) ** np.maximum(distance, 0), 0)
        outputs.append(normal((scores * mask) @ values))
    gate = silu(XS @ p.gate.weight.T)
    expected = (gate * np.concatenate(outputs, -1)) @ p.output.weight.T
    np.testing.assert_allclose(run(layer, xs32), expected, atol=2e-5)


def test_a_rotation_is_exact_far_into_an_episode():
    """Products depend on the distance alone, at positions where n times a float angle is off by 0.1."""
    q, k = jax.random.normal(jax.random.key(0), (2, 1, 8))

    def product(n, m):
        return float(jnp.sum(rotated(q, jnp.int32(n)) * rotated(k, jnp.int32(m))))

    angle = np.arange(3)[:, None] * 10_000.0 ** (-2 * np.arange(4) / 8)
    z, w = (x[0, ::2] + 1j * x[0, 1::2] for x in np.asarray([q, k], np.float64))
    for distance in range(3):
        wanted = (z * w.conj() * np.exp(1j * angle[distance])).real.sum()
        for far in (0, 1000, 2_000_000):
            assert abs(product(far + distance, far) - wanted) < 1e-5


# ---- decays ----------------------------------------------------------------------------------------


def test_gla_without_decay_is_a_sum():
    """With a gate far open, the read is the plain sum of (q · k) v over the episode."""
    layer = perturbed(GLA(3, 2, 4, 6, heads=2, rank=5, key=jax.random.key(0)))
    layer = replaced(
        layer,
        decay_up=replaced(layer.decay_up, bias=jnp.full(4, 40.0)),
        gate=replaced(layer.gate, weight=jnp.zeros((6, 3)), bias=jnp.ones(6)),
    )
    p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), layer)
    pair, q = XS @ p.keys_values.weight.T, XS @ p.queries.weight.T
    k, v = pair[:, :4], pair[:, 4:]
    for t in (0, 3, T - 1):
        read = [
            ((k[: t + 1, h * 2 : h * 2 + 2] @ q[t, h * 2 : h * 2 + 2])[:, None]
             * v[: t + 1, h * 3 : h * 3 + 3]).sum(0)
            for h in range(2)
        ]  # fmt: skip
        expected = p.output.weight @ (silu(1.0) * np.concatenate([normal(r) for r in read]))
        np.testing.assert_allclose(run(layer, xs32)[t], expected, atol=3e-5)


def test_hgrn2_that_keeps_everything_writes_nothing():
    layer = HGRN2(3, 2, 4, 6, heads=2, key=jax.random.key(0))
    layer = replaced(layer, bound=jnp.full(4, 200.0))
    keys, _, decays = layer.encode(xs32[0])
    np.testing.assert_array_equal(keys, 0)
    np.testing.assert_array_equal(decays, 1)


def test_mamba2_starts_with_the_decays_of_its_paper():
    layer = Mamba2(
        3, 2, 5, channels=4000, heads=2000, step_range=(0.01, 0.2), key=jax.random.key(0)
    )
    memory: Any = layer.layers[1]
    rates, steps = jnp.exp(memory.A_log), jax.nn.softplus(memory.step_bias)
    np.testing.assert_allclose([rates.min(), rates.max()], [1, 16], rtol=0.02)
    np.testing.assert_allclose([steps.min(), steps.max()], [0.01, 0.2], rtol=0.02)
    # Uniform in the rates, log-uniform in the steps.
    np.testing.assert_allclose(rates.mean(), 8.5, rtol=0.03)
    np.testing.assert_allclose((steps < (0.01 * 0.2) ** 0.5).mean(), 0.5, atol=0.04)


def test_rwkv6_reads_a_step_by_its_bonus_alone():
    """Without a bonus the output does not hear the step's own key and value, but the next one does."""
    layer = perturbed(RWKV6(3, 2, 4, 6, heads=2, rank=5, key=jax.random.key(0)))
    memory = layer.layers[-1]
    mixed = layer.layers[1].function((xs32[0], jnp.zeros(3)))
    other = (mixed[0], mixed[1].at[:10].add(1.0), mixed[2])
    deaf = replaced(memory, bonus=jnp.zeros((2, 2)))

    def second(core, now):
        """The outputs at a step and at the one after it."""
        carry, first = core.step(core.init_carry(), (jnp.zeros(14), now), None)
        return first, core.step(carry, (now[1], mixed), None)[1]

    one, two = second(deaf, mixed), second(deaf, other)
    np.testing.assert_array_equal(one[0], two[0])
    assert np.abs(one[1] - two[1]).min() > 1e-4
    hears = second(memory, mixed)[0] - second(memory, other)[0]
    assert np.abs(hears).min() > 1e-4


# ---- the mLSTM -------------------------------------------------------------------------------------


def test_stabilised_gates_of_mlstm_are_the_plain_ones():
    """Against the recurrence without exponents, in float64; and where that overflows, still finite."""
    with jax.enable_x64(True):
        steps = jax.random.normal(jax.random.key(0), (T, 12), jnp.float64)
        k, v, q, gates = jnp.split(steps, [3, 7, 10], axis=1)
        forget, write = jax.nn.log_sigmoid(3 * gates[:, 0]), 5 * gates[:, 1]
        monoid = ma.StabilisedOuter(3, 4, jnp.float64)

        def reads(write):
            start = monoid.initial_state()
            return ma.trajectory(monoid, start, (k, v, forget, write), None, queries=q)[1]

        c, n, expected = np.zeros((3, 4)), np.zeros(3), []
        for t in range(T):
            c = np.exp(forget[t]) * c + np.exp(write[t]) * np.outer(k[t], v[t])
            n = np.exp(forget[t]) * n + np.exp(write[t]) * k[t]
            expected.append(q[t] @ c / max(abs(q[t] @ n), 1))
        np.testing.assert_allclose(reads(write), np.stack(expected), atol=1e-12)
        assert np.all(np.isfinite(reads(write + 1000)))


def test_mlstm_starts_with_forget_gates_from_three_to_six():
    memory: Any = MLSTM(3, 2, 8, 12, heads=4, key=jax.random.key(0)).layers[-1]
    generator = memory.encode((jnp.ones(12), jnp.ones(24)))
    np.testing.assert_allclose(
        generator[2], jax.nn.log_sigmoid(jnp.array([3.0, 4, 5, 6])), rtol=1e-5
    )


# ---- no stack of matrix states ---------------------------------------------------------------------

SIZE, HEADS, LONG = 64, 2, 512

BOTH = HEADS * SIZE
WIDE = {
    "linear_attention": lambda key: ma.nn.LinearAttention(3, 2, BOTH, heads=HEADS, key=key),
    "fast_weights": lambda key: FastWeights(3, 2, BOTH, BOTH, heads=HEADS, nu=None, key=key),
    "retnet": lambda key: RetNet(3, 2, BOTH, BOTH, heads=HEADS, key=key),
    "gla": lambda key: GLA(3, 2, BOTH, BOTH, heads=HEADS, key=key),
    "mamba2": lambda key: Mamba2(3, 2, SIZE, channels=BOTH, heads=HEADS, key=key),
    "hgrn2": lambda key: HGRN2(3, 2, BOTH, BOTH, heads=HEADS, key=key),
    "mlstm": lambda key: MLSTM(3, 2, BOTH, BOTH, heads=HEADS, key=key),
    "rwkv6": lambda key: RWKV6(3, 2, BOTH, BOTH, heads=HEADS, rank=4, key=key),
}
STACK = 4 * LONG * HEADS * SIZE * SIZE
"""Bytes of one array (time, heads, key, value)."""


def temporary_bytes(build, method):
    """Of the compiled gradient; nothing is run."""
    layer = eqx.filter_eval_shape(build, jax.random.key(0))
    arrays, static = eqx.partition(layer, lambda leaf: isinstance(leaf, jax.ShapeDtypeStruct))

    def loss(arrays, xs, start):
        layer = eqx.combine(arrays, static)
        return jnp.sum(layer(layer.init_carry(), xs, start, method=method)[1] ** 2)

    shapes = jax.ShapeDtypeStruct((LONG, 3), np.float32), jax.ShapeDtypeStruct((LONG,), np.bool_)
    analysis = jax.jit(jax.grad(loss)).lower(arrays, *shapes).compile().memory_analysis()
    assert analysis is not None
    return analysis.temp_size_in_bytes


@pytest.mark.parametrize(
    "name",
    [name if name == "retnet" else pytest.param(name, marks=pytest.mark.slow) for name in WIDE],
)
def test_a_gradient_makes_no_stack_of_matrix_states(name):
    """By default a part of one array (time, heads, key, value), vectors and all; a loop makes more."""
    assert temporary_bytes(WIDE[name], ma.Auto()) < 0.7 * STACK
    # Without this the line above could hold for want of an array to be seen.
    assert temporary_bytes(WIDE[name], ma.Sequential()) > 1.2 * STACK
