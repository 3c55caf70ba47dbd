"""Recurrent layers: Newton's method beside the loop, and cells of one's own."""

# Wrong calls are the point of some tests here.
# pyright: reportArgumentType=false

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg as ma
from memoalg.nn._recurrent import _linearised
from memoalg.nn.models._slstm import SLSTM
from memoalg.scans._newton_vector import Vectors

T, IN, SIZE = 24, 3, 4
START = jnp.zeros(T, bool).at[jnp.array([0, 7, 8, 15])].set(True)
XS = jax.random.normal(jax.random.key(1), (T, IN))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


# ---- another library's cell as a layer ------------------------------------------------------------


def equinox_gru(p, h, x):
    """As `eqx.nn.GRUCell` documents it: the new gate last, its bias inside the product."""
    cell = p.cell
    ri, zi, ni = np.split(cell.weight_ih @ x + cell.bias, 3)
    rh, zh, nh = np.split(cell.weight_hh @ h, 3)
    r, z = sigmoid(ri + rh), sigmoid(zi + zh)
    new = np.tanh(ni + r * (nh + cell.bias_n))
    return new + z * (h - new)


def recurrent_gru(key):
    return ma.nn.Recurrent(eqx.nn.GRUCell(IN, SIZE, key=key))


def perturbed(layer, gain=0.3):
    """So that no parameter is at a value, such as 0, that hides a fault."""
    arrays, static = eqx.partition(layer, eqx.is_array)
    leaves, treedef = jax.tree.flatten(arrays)
    rng = np.random.default_rng(0)
    moved = [leaf + gain * rng.normal(size=leaf.shape).astype(leaf.dtype) for leaf in leaves]
    return eqx.combine(jax.tree.unflatten(treedef, moved), static)


def test_a_cell_of_equinox_keeps_its_recurrence():
    with jax.enable_x64(True):
        layer = perturbed(recurrent_gru(jax.random.key(0)))
        run = eqx.filter_jit(lambda layer, xs: layer(layer.init_carry(), xs, START)[1])
        ys = run(layer, XS.astype(float))
        assert ys.dtype == jnp.float64
        model = jax.tree.map(np.asarray, layer)
        state, want = model.start_state, []
        for x, start in zip(np.asarray(XS, np.float64), np.asarray(START), strict=True):
            state = equinox_gru(model, model.start_state if start else state, x)
            want.append(state)
        np.testing.assert_allclose(ys, np.stack(want), rtol=0, atol=1e-12)


def test_the_bias_of_the_forget_gate_begins_at_one():
    layer = ma.nn.LSTM(IN, SIZE, key=jax.random.key(0))
    np.testing.assert_array_equal(layer.inputs.bias, np.repeat([0, 1, 0, 0], SIZE))


# ---- Newton's method beside the loop -------------------------------------------------------------

LAYERS = {
    "gru": lambda key: ma.nn.GRU(IN, SIZE, key=key),
    "lstm": lambda key: ma.nn.LSTM(IN, SIZE, key=key),
    "slstm": lambda key: SLSTM(IN, SIZE, heads=2, key=key),
    "mgu": lambda key: ma.nn.MGU(IN, SIZE, key=key),
    "elman": lambda key: ma.nn.Elman(IN, SIZE, key=key),
    "recurrent": recurrent_gru,
}


@functools.cache
def gradient(method):
    @eqx.filter_jit
    def run(moving, start):
        def loss(moving):
            layer, xs, carry = moving
            last, ys = layer(carry, xs, start, method=method)
            last = sum(jnp.sum(leaf) for leaf in jax.tree.leaves(last))
            return jnp.sum(jnp.sin(3 * ys)) + last, ys

        return eqx.filter_value_and_grad(loss, has_aux=True)(moving)

    return run


def assert_near(got, want, tolerance):
    for one, two in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        scale = max(1.0, float(np.max(np.abs(two), initial=0)))
        np.testing.assert_allclose(one, two, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize(
    ("name", "jacobian"),
    [
        ("gru", "full"),
        ("lstm", "full"),
        ("slstm", "full"),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                *(("gru", "diagonal"), ("lstm", "diagonal"), ("mgu", "diagonal")),
                *(("mgu", "full"), ("elman", "full"), ("recurrent", "full")),
                ("slstm", "diagonal"),
            )
        ),
    ],
)
def test_newton_equals_the_loop_in_values_and_gradients(name, jacobian):
    """Gradients of weights, inputs and carry; then of no starts at all."""
    layer = perturbed(LAYERS[name](jax.random.key(0)))
    carry = jax.tree.map(lambda leaf: leaf + 0.3, layer.init_carry())
    for start in (START, jnp.zeros(T, bool)):
        got, want = (
            gradient(method)((layer, XS, carry), start)
            for method in (ma.Newton(jacobian=jacobian), ma.Sequential())
        )
        assert_near(got, want, 1e-5)


@pytest.mark.parametrize("name", ["gru", "lstm", "elman"])
def test_the_jacobian_is_put_together_from_slopes_and_weights(name):
    layer = perturbed(LAYERS[name](jax.random.key(0)))
    state = jax.tree.map(lambda leaf: leaf + 0.3, layer.init_carry())
    vectors = Vectors(name, state)
    now = layer.project(XS[0])

    def after(vector):
        return vectors.flat(layer._advance(vectors.tree(vector), *now)[0])

    @jax.jit
    def found(vector):
        full, diagonal = (_linearised(layer, vectors, full, vector, now) for full in (True, False))
        return jax.jacfwd(after)(vector), after(vector), *full, diagonal[1]

    want, want_value, value, full, diagonal = found(vectors.flat(state))
    np.testing.assert_allclose(value, want_value, rtol=1e-6)
    np.testing.assert_allclose(full, want, rtol=0, atol=1e-6)
    np.testing.assert_allclose(diagonal, jnp.diagonal(want), rtol=0, atol=1e-6)


def test_newton_is_at_work():
    """Otherwise all of this would compare the loop with itself."""
    layer = LAYERS["lstm"](jax.random.key(0))

    def step(state, x):
        return layer.step(state, x, None)[0]

    solve = jax.jit(lambda xs: ma.Newton().solve(step, layer.init_carry(), xs, START))
    _, _, info = solve(XS)
    assert not info.fell_back
    assert 1 <= info.iterations <= 4
    for method, rounds in ((ma.Newton(), True), (ma.Sequential(), False), (ma.Auto(), False)):
        program = lambda xs, method=method: layer(layer.init_carry(), xs, START, method=method)[1]
        assert ("while[" in str(jax.make_jaxpr(program)(XS))) == rounds


@pytest.mark.slow
def test_a_large_state_goes_by_its_diagonal():
    """Nothing of the size of all Jacobians is held."""
    size = 96
    layer = ma.nn.GRU(IN, size, key=jax.random.key(0))
    xs = jax.random.normal(jax.random.key(1), (64, IN))
    want = layer(layer.init_carry(), xs, None)[1]
    program = jax.jit(lambda xs: layer(layer.init_carry(), xs, None, method=ma.Newton())[1])
    compiled = program.lower(xs).compile()
    np.testing.assert_allclose(compiled(xs), want, rtol=0, atol=1e-5)
    memory = compiled.memory_analysis()
    assert memory is not None
    assert memory.temp_size_in_bytes < 64 * size * size * 4 / 3


# ---- cells of one's own ----------------------------------------------------------------------------


@pytest.mark.parametrize("method", [ma.Sequential(), ma.Newton()], ids=["loop", "newton"])
def test_a_learned_initial_state_gets_its_gradient_from_every_start(method):
    """Of s' = s + x it is the number of steps that come from a start."""

    def loss(layer, carry):
        return jnp.sum(layer(carry, XS, START.at[0].set(False), method=method)[1])

    layer = ma.nn.Recurrent(jnp.add, jnp.arange(3.0))
    bars = eqx.filter_jit(eqx.filter_grad(loss))(layer, jnp.zeros(3)).start_state
    np.testing.assert_allclose(bars, jnp.full(3, T - 7.0), rtol=1e-6)


def test_states_and_inputs_may_be_trees_and_the_output_any_function():
    def cell(state, x):
        fast = jnp.tanh(x["in"] - state["slow"][0])
        return {"fast": fast, "slow": 0.9 * state["slow"] + 0.1 * fast[None]}

    initial = {"fast": jnp.zeros(IN), "slow": jnp.ones((1, IN))}
    layer = ma.nn.Recurrent(cell, initial, output=lambda state: state["slow"][0] + state["fast"])
    xs = {"in": XS}
    _, want = jax.lax.scan(lambda s, now: layer.step(s, *now), initial, (xs, START))
    for method in (ma.Sequential(), ma.Newton()):
        run = jax.jit(lambda xs, method=method: layer(initial, xs, START, method=method)[1])
        np.testing.assert_allclose(run(xs), want, rtol=0, atol=1e-5)


def test_sizes_of_equinox_cells_are_known():
    layer = ma.nn.Recurrent(eqx.nn.LSTMCell(IN, SIZE, key=jax.random.key(0)))
    assert (layer.in_size, layer.out_size) == (IN, SIZE)
    assert jax.tree.map(jnp.shape, layer.init_carry()) == ((SIZE,), (SIZE,))
    assert len(ma.nn.Serial(layer, ma.nn.MGU(SIZE, 2, key=jax.random.key(0))).layers) == 2


def test_a_state_of_integers_runs_by_its_loop():
    layer = ma.nn.Recurrent(lambda count, x: count + (x[0] > 0).astype(jnp.int32), jnp.int32(0))
    carry, counts = layer(layer.init_carry(), XS, None)
    assert carry == counts[-1] == jnp.sum(XS[:, 0] > 0)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ma.nn.Recurrent(3, jnp.zeros(2)), TypeError, "takes a cell .* got int"),
        (lambda: ma.nn.Recurrent(jnp.add), TypeError, r"Recurrent\(cell, jnp.zeros\(n\)\)"),
        (
            lambda: recurrent_gru(jax.random.key(0))(jnp.zeros(2), XS, None),
            ValueError,
            "Recurrent: the carry differs in",
        ),
        (
            lambda: recurrent_gru(jax.random.key(0))(
                jnp.zeros(SIZE), XS, None, method=ma.Associative()
            ),
            TypeError,
            r"Recurrent is no monoid.*ma\.Newton\(\)",
        ),
        (
            lambda: ma.nn.Recurrent(jnp.add, jnp.int32(0))(
                jnp.int32(0), jnp.ones(3, jnp.int32), None, method=ma.Newton()
            ),
            TypeError,
            "state of real floats, but that of Recurrent has int32",
        ),
    ],
)
def test_bad_input_says_what_to_write(call, error, message, without_hook):
    with pytest.raises(error, match=message):
        call()
