"""What memories under the delta rule can do, through their layers: overwrite, reflect, rotate, learn."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg as ma
from memoalg.nn.models._delta_product import DeltaProduct
from memoalg.nn.models._deltanet import DeltaNet
from memoalg.nn.models._gated_deltanet import GatedDeltaNet
from memoalg.nn.models._rwkv7 import RWKV7
from memoalg.nn.models._ttt_linear import TTTLinear

KEY = jax.random.key(0)
T = 1000
# A logit whose sigmoid is 1 in floats, and that of minus it next to 0.
SURE = 40.0


def linear_rows(blocks):
    """A projection from blocks of rows, each (outputs, inputs)."""
    return jnp.asarray(np.concatenate(blocks), jnp.float32)


def with_identity_output(layer, size):
    """Reads as they are, without their normalisation's scale: W_o is the identity."""
    return eqx.tree_at(lambda p: p.output.weight, layer, jnp.eye(size))


@eqx.filter_jit
def outputs(layer, xs):
    return layer(layer.init_carry(), xs, None)[1]


@eqx.filter_jit
def last_state(layer, xs):
    return layer(layer.init_carry(), xs, None)[0]


# The delta rule overwrites --------------------------------------------------------------------------


def overwriting():
    """Inputs (key one-hot of 3, value of 2) and a DeltaNet that stores them with strength 1."""
    layer = DeltaNet(5, 2, 3, value_size=2, key=KEY)
    keys = np.concatenate([100 * np.eye(3), np.zeros((3, 2))], axis=1)
    values = np.concatenate([np.zeros((2, 3)), np.eye(2)], axis=1)
    strength = np.array([[SURE, SURE, SURE, 0, 0]])
    layer = eqx.tree_at(lambda p: p.inputs, layer, linear_rows([keys, keys, values, strength]))
    return with_identity_output(layer, 2)


def stored(which, first, second):
    return np.concatenate([np.eye(3)[which], [first, second]])


def silu(x):
    return x / (1 + np.exp(-x))


def test_a_key_written_again_holds_the_new_value_alone_and_others_are_untouched():
    layer = overwriting()
    xs = np.stack([stored(0, 5.0, 1.0), stored(1, 2.0, 3.0), stored(0, 1.0, 9.0)])
    state = last_state(layer, jnp.asarray(xs, jnp.float32))[0]
    expected = np.zeros((2, 3))
    expected[:, 0], expected[:, 1] = silu(xs[2, 3:]), silu(xs[1, 3:])
    np.testing.assert_allclose(state, expected, atol=2e-6)
    # And the read is that of the key that is asked, up to its norm: here the last one.
    read = outputs(layer, jnp.asarray(xs, jnp.float32))[-1]
    np.testing.assert_allclose(read, expected[:, 0] / np.sqrt(np.mean(expected[:, 0] ** 2)), 1e-5)


def test_with_half_the_strength_half_of_the_old_value_stays():
    """The control of the test above: what overwrites is the strength of one."""
    layer = overwriting()
    layer = eqx.tree_at(lambda p: p.inputs, layer, replace_fn=lambda w: w.at[-1].set(0.0))
    xs = np.stack([stored(0, 5.0, 1.0), stored(0, 1.0, 9.0)])
    state = last_state(layer, jnp.asarray(xs, jnp.float32))[0]
    expected = 0.25 * silu(xs[0, 3:]) + 0.5 * silu(xs[1, 3:])
    np.testing.assert_allclose(state[:, 0], expected, rtol=1e-5)


# Parity ---------------------------------------------------------------------------------------------


def parity_layer():
    """Inputs (bit, begin, 1), a bit being 1 or -1: one key, strengths of 2, 0 and, at the beginning, 1."""
    layer = DeltaNet(3, 1, 1, reflect=True, key=KEY)
    constant, value, strength = [[0.0, 0.0, 100.0]], [[0.0, 5.0, 0.0]], [[SURE, 0.0, 0.0]]
    rows = linear_rows([constant, constant, value, strength])
    return with_identity_output(eqx.tree_at(lambda p: p.inputs, layer, rows), 1)


def test_deltanet_with_reflections_does_parity():
    """Of 1000 bits, at every step."""
    sequence = np.random.default_rng(0).integers(0, 2, T)
    xs = np.ones((T + 1, 3))
    xs[0, :2], xs[1:, 1] = [0, 1], 0
    xs[1:, 0] = 2 * sequence - 1
    ys = outputs(parity_layer(), jnp.asarray(xs, jnp.float32))[:, 0]
    odd = np.cumsum(np.concatenate([[0], sequence])) % 2
    np.testing.assert_allclose(ys, np.where(odd, -1.0, 1.0), atol=1e-3)


@pytest.mark.parametrize("model", [DeltaNet, GatedDeltaNet])
def test_without_reflections_no_constant_input_alternates(model):
    """With strengths in (0, 1) the transition has two eigenvalues, both in [0, 1], whatever the
    parameters: no entry of the state turns more than once, and parity turns at every step.
    """

    @jax.jit
    @jax.vmap
    def sequences(key):
        layer_key, x_key, state_key = jax.random.split(key, 3)
        layer = model(3, 2, 6, value_size=4, heads=2, key=layer_key)
        arrays, static = eqx.partition(layer, eqx.is_array)
        wild = jax.tree.map(lambda leaf: 3 * leaf, arrays)
        layer = eqx.combine(wild, static)
        x = 3 * jax.random.normal(x_key, (3,))
        state = jax.random.normal(state_key, (2, 2, 3))
        generator = ma.Fixed(layer.encode(x))
        monoid = layer.monoid
        steps = jnp.zeros(12, bool)
        plain = jax.tree.map(_unfixed, generator.value, is_leaf=_is_fixed)
        _, states = ma.trajectory(monoid, state, ma.Fixed(plain), steps, method=ma.Sequential())
        transition, _ = monoid.expand(plain)
        return states, jnp.linalg.eigvals(transition)

    states, eigenvalues = sequences(jax.random.split(KEY, 200))
    assert np.abs(np.imag(eigenvalues)).max() < 1e-5
    assert np.real(eigenvalues).min() > -1e-5
    assert np.real(eigenvalues).max() < 1 + 1e-5
    scale = np.abs(states).max(axis=(1, 2, 3, 4), keepdims=True)
    change = np.diff(np.asarray(states), axis=1) / scale
    turns = np.sum(change[:, 1:] * change[:, :-1] < -1e-9, axis=1)
    assert turns.max() <= 1


def _is_fixed(node):
    return isinstance(node, ma.Fixed)


def _unfixed(node):
    return node.value if _is_fixed(node) else node


def test_with_reflections_some_constant_input_alternates():
    """The control: the same measure sees a layer that can."""
    layer = parity_layer()
    transition, _ = layer.monoid.expand(tuple(map(_unfixed, layer.encode(jnp.array([1.0, 0, 1])))))
    np.testing.assert_allclose(transition, [[[-1.0]]], atol=1e-5)
    xs = jnp.array([[0.0, 1, 1]] + 11 * [[1.0, 0, 1]])
    change = np.diff(outputs(layer, xs)[:, 0])
    assert np.sum(change[1:] * change[:-1] < 0) == 10


def test_rwkv7_has_real_eigenvalues_above_a_negative_bound():
    """Hence it neither reflects nor rotates exactly: W - a rank one matrix that is symmetric in a
    scaled basis, with W >= exp(-exp(-1/2)) and the rank one part below one.
    """

    @jax.jit
    @jax.vmap
    def eigenvalues(key):
        memory: Any = RWKV7(3, 2, 6, value_size=4, heads=2, key=key).layers[2]
        x = 4 * jax.random.normal(key, (memory.in_size,))
        transition, _ = memory.monoid.expand(memory.encode(x))
        return jnp.linalg.eigvals(transition)

    found = eigenvalues(jax.random.split(KEY, 500))
    assert np.abs(np.imag(found)).max() < 1e-5
    assert np.exp(-np.exp(-0.5)) - 1 - 1e-5 < np.real(found).min() < 0.0
    assert np.real(found).max() < 1 + 1e-5


# Two steps rotate -----------------------------------------------------------------------------------

TURN = 2 * np.pi / 3
ROTATION = np.array([[np.cos(TURN), -np.sin(TURN)], [np.sin(TURN), np.cos(TURN)]])
MIRROR = np.diag([-1.0, 1.0])
S3 = [
    np.linalg.matrix_power(ROTATION, n) @ np.linalg.matrix_power(MIRROR, m)
    for m in (0, 1)
    for n in range(3)
]


def reflections(element):
    """A rotation or mirror as at most two unit vectors: the product of I - 2 k kᵀ is the element."""
    if np.linalg.det(element) < 0:
        axis = np.linalg.eigh(element)[1][:, 0]
        return [axis, None]
    if np.allclose(element, np.eye(2)):
        return [None, None]
    # A mirror first; what remains is a mirror.
    second = np.linalg.eigh(MIRROR @ element)[1][:, 0]
    return [np.array([1.0, 0.0]), second]


def before_silu(direction):
    """What silu maps to a vector along a direction (or against it) in which one entry is at most 0."""
    if direction[np.argmax(np.abs(direction))] < 0:
        direction = -direction
    if direction.min() >= 0:
        return np.where(direction > 0, 100 * direction, 0.0)
    length = 0.27 / -direction.min()
    low, high = np.full(2, -1.278), np.full(2, 10.0)
    low = np.where(direction * length < 0, low, 0.0)
    high = np.where(direction * length < 0, 0.0, high)
    for _ in range(200):
        middle = (low + high) / 2
        below = silu(middle) < direction * length
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return low


def rotating_layer():
    """Inputs: one-hot of the six elements of S3, and `begin`, which writes the identity."""
    keys, strength = np.zeros((2, 2, 7)), np.full((2, 1, 7), -SURE)
    for column, element in enumerate(S3):
        for step, axis in enumerate(reflections(element)):
            if axis is not None:
                keys[step, :, column] = before_silu(axis)
                strength[step, 0, column] = SURE
    values = np.zeros((2, 2, 7))
    for step in range(2):
        # Strength 1 under a unit key, with silu(100) = 100 for the value.
        keys[step, step, 6], values[step, step, 6], strength[step, 0, 6] = 100.0, 100.0, 0.0
    query = np.tile([[20.0], [100.0]], (1, 7))
    gate = np.full((2, 7), 100.0)
    layer = DeltaProduct(7, 2, 2, gated=False, key=KEY)
    weight = linear_rows([query, *keys, *values, *strength, gate])
    layer = eqx.tree_at(lambda p: p.layers[0].function.weight, layer, weight)
    return eqx.tree_at(lambda p: p.layers[2].function.output.weight, layer, jnp.eye(2) / 100)


def test_delta_product_follows_the_symmetries_of_a_triangle():
    """1000 elements of S3, drawn uniformly: the state stays the running product, and is read so."""
    words = np.random.default_rng(1).integers(0, 6, T)
    xs = np.eye(7)[np.concatenate([[6], words])]
    ys = np.asarray(outputs(rotating_layer(), jnp.asarray(xs, jnp.float32)))
    query = np.array([20.0, 100.0]) / np.hypot(20.0, 100.0)
    possible = np.stack([element @ query for element in S3]) * np.sqrt(2)
    running = np.eye(2)
    for word, y in zip(words, ys[1:], strict=True):
        running = running @ S3[word]
        np.testing.assert_allclose(y, np.sqrt(2) * running @ query, atol=0.05)
    # The six reads are far apart, and all of them occur.
    gaps = np.linalg.norm(possible[:, None] - possible[None], axis=-1) + 9 * np.eye(6)
    assert gaps.min() > 0.3
    nearest = np.argmin(np.linalg.norm(ys[1:, None] - possible[None], axis=-1), axis=1)
    assert set(nearest) == set(range(6))


# Test-time training ---------------------------------------------------------------------------------


def test_a_step_of_ttt_linear_is_a_gradient_step_of_the_inner_loss():
    layer = TTTLinear(3, 2, 8, value_size=6, heads=2, rate=0.3, key=KEY)
    x, state = jnp.array([0.5, -1.0, 2.0]), jax.random.normal(KEY, (2, 3, 4))
    _, k, v, logits = jnp.split(layer.inputs @ x, (8, 16, 22))
    rate = 0.3 * jax.nn.sigmoid(logits + layer.rate_bias)

    def loss(w):
        error = jnp.einsum("hvk,hk->hv", w, k.reshape(2, 4)) - v.reshape(2, 3)
        return jnp.sum(error**2)

    after, _ = layer.step(state, x, None)
    np.testing.assert_allclose(after - state, -rate[:, None, None] * jax.grad(loss)(state), 1e-4)
    assert loss(after) < loss(state)


def test_an_episode_of_ttt_linear_begins_with_the_learned_model():
    layer = TTTLinear(3, 2, 8, value_size=6, heads=2, key=KEY)
    np.testing.assert_array_equal(layer.init_carry(), layer.initial)
    start = jnp.array([True, False, True])
    xs = jax.random.normal(KEY, (3, 3))

    def loss(layer):
        return jnp.sum(layer(jnp.ones((2, 3, 4)), xs, start)[1] ** 2)

    assert np.abs(eqx.filter_grad(loss)(layer).initial).min() > 0


# Memory ---------------------------------------------------------------------------------------------

LENGTH, HEADS, PART = 512, 2, 64
# name -> (the layer, matrices that a loop stores for each step)
CHUNKED = {
    "deltanet": (lambda: DeltaNet(4, 4, HEADS * PART, heads=HEADS, key=KEY), 1),
    "gated_deltanet": (lambda: GatedDeltaNet(4, 4, HEADS * PART, heads=HEADS, key=KEY), 1),
    "delta_product": (lambda: DeltaProduct(4, 4, HEADS * PART, heads=HEADS, key=KEY), 2),
    "ttt_linear": (lambda: TTTLinear(4, 4, HEADS * PART, heads=HEADS, key=KEY), 1),
}


def temporary_bytes(layer, method):
    """Of the compiled gradient."""
    arrays, static = eqx.partition(layer, eqx.is_array)

    def loss(arrays, xs):
        layer = eqx.combine(arrays, static)
        return jnp.sum(layer(layer.init_carry(), xs, None, method=method)[1])

    planned = jax.jit(jax.grad(loss)).lower(arrays, jnp.zeros((LENGTH, 4))).compile()
    planned = planned.memory_analysis()
    assert planned is not None
    return planned.temp_size_in_bytes


@pytest.mark.parametrize(
    "name",
    ["deltanet", *(pytest.param(n, marks=pytest.mark.slow) for n in CHUNKED if n != "deltanet")],
)
def test_a_gradient_stores_no_matrix_for_each_step(name):
    """The control, a loop that stores its states, takes more than all of them."""
    build, matrices = CHUNKED[name]
    layer, stack = build(), matrices * LENGTH * HEADS * PART * PART * 4
    assert temporary_bytes(layer, ma.Auto()) < 0.5 * stack
    assert temporary_bytes(layer, ma.Sequential()) > stack
