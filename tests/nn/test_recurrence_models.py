"""What gated, tropical and clipped recurrences can do, exactly: a wrong model fails these."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg as ma
from memoalg.nn.models._decayed_max import DecayedMax
from memoalg.nn.models._ind_rnn import IndRNN
from memoalg.nn.models._log_sum_exp import DecayedLogSumExp
from memoalg.nn.models._min_gru import MinGRU
from memoalg.nn.models._min_lstm import MinLSTM
from memoalg.nn.models._qrnn import QRNN, GatedPooling
from memoalg.nn.models._slstm import SLSTM
from memoalg.nn.models._sru import SRU

KEY = jax.random.key(0)
NEVER, ALWAYS = -1e4, 1e4


def put(linear, weight, bias):
    """A linear map with these numbers."""
    arrays = jnp.asarray(weight, jnp.float32), jnp.asarray(bias, jnp.float32)
    return eqx.tree_at(lambda one: (one.weight, one.bias), linear, arrays)


def with_identity_out(layer, size):
    return eqx.tree_at(
        lambda one: one.output, layer, put(layer.output, jnp.eye(size), jnp.zeros(size))
    )


def run(layer, xs, start=None):
    return eqx.filter_jit(lambda layer, xs: layer(layer.init_carry(), xs, start)[1])(layer, xs)


def column(values):
    return jnp.asarray(values, jnp.float32)[:, None]


# ---- minimal GRU and LSTM ----------------------------------------------------------------------------


def latch(layer, gates):
    """Writes 1 or -1 where the input is so, and keeps it where the input is 0: gate = 1e4 (x² - ...)."""
    layer = with_identity_out(layer, 1)
    return eqx.tree_at(lambda one: one.inputs, layer, put(layer.inputs, *gates))


def test_a_min_gru_keeps_a_value_bit_for_bit_until_it_writes_again():
    """Inputs (write, value): the gate is shut or open to the last bit."""
    layer = latch(MinGRU(2, 1, 1, key=KEY), ([[2 * ALWAYS, 0], [0, 1]], [NEVER, 0]))
    xs = jnp.zeros((1000, 2)).at[:, 1].set(jax.random.normal(KEY, (1000,)))
    xs = xs.at[3].set(jnp.array([1.0, 0.7])).at[800].set(jnp.array([1.0, -0.2]))
    ys = run(layer, xs)[:, 0]
    np.testing.assert_array_equal(ys[:3], 0)
    np.testing.assert_array_equal(ys[3:800], np.float32(0.7))
    np.testing.assert_array_equal(ys[800:], np.float32(-0.2))


def test_two_closed_gates_of_a_min_lstm_share_equally():
    """f / (f + i) with f and i below the smallest float is no 0/0."""
    gates = [[0], [0], [1]], [-500, -500, 0]
    layer = latch(MinLSTM(1, 1, 1, key=KEY), gates)
    np.testing.assert_allclose(run(layer, column([4, 0, 0]))[:, 0], [2, 1, 0.5], rtol=1e-6)
    gradient = eqx.filter_grad(lambda layer: jnp.sum(run(layer, column([4, 0, 0]))))(layer)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


@pytest.mark.parametrize("kind", [MinGRU, MinLSTM])
def test_log_space_neither_underflows_nor_is_stuck_at_zero(kind):
    """A value that no gate refreshes decays to exp(-400) and lower, by its logarithm."""
    rows = 2 if kind is MinGRU else 3
    pre = {2: [-2.0, 0.0], 3: [2.0, -2.0, 0.0]}[rows]
    layer = kind(1, 1, 1, log_space=True, key=KEY)
    layer = eqx.tree_at(lambda one: one.inputs, layer, put(layer.inputs, [[0.0]] * rows, pre))
    # With all candidates g(-1000) = exp(-1000) the state forgets its first value geometrically.
    carry = jnp.zeros(1)
    shut = eqx.tree_at(lambda one: one.inputs.bias, layer, layer.inputs.bias.at[-1].set(-1000.0))
    keep, _ = shut.encode(jnp.zeros(1))
    carry, _ = shut(carry, jnp.zeros((2000, 1)), None)
    np.testing.assert_allclose(carry, 2000 * keep, rtol=1e-4)
    assert carry[0] < -200


# ---- QRNN, SRU ---------------------------------------------------------------------------------------


def test_a_qrnn_that_forgets_sees_the_last_k_inputs_of_its_episode_alone():
    layer = QRNN(3, 4, 3, key=KEY)
    convolution: Any = layer.layers[0]
    bias = convolution.bias.at[4:8].set(NEVER)
    layer = eqx.tree_at(lambda one: one.layers[0].bias, layer, bias)
    xs = jax.random.normal(KEY, (9, 3))
    start = jnp.zeros(9, bool).at[6].set(True)

    def seen(xs):
        return run(layer, xs, start)

    reach = np.abs(jax.jacrev(seen)(xs)).sum((1, 3)) > 0
    now, then = np.indices((9, 9))
    same_episode = (now < 6) == (then < 6)
    np.testing.assert_array_equal(reach, (then <= now) & (then > now - 3) & same_episode)


def test_pooling_averages_with_weights_that_sum_to_one():
    """From a state of c on, candidates of c leave it where it is, whatever the gates."""
    gates = jax.random.normal(KEY, (50, 2))
    xs = jnp.concatenate([jnp.full((50, 1), 0.3), gates[:, :1], jnp.full((50, 1), ALWAYS)], axis=1)
    layer = GatedPooling(1)
    ys = layer(jnp.tanh(jnp.full(1, 0.3)), xs, None)[1]
    np.testing.assert_allclose(ys, np.full((50, 1), np.tanh(0.3)), rtol=1e-6)


def test_a_closed_highway_of_an_sru_passes_the_scaled_input():
    layer = SRU(3, 3, highway_bias=NEVER, key=KEY)
    xs = jax.random.normal(KEY, (6, 3))
    np.testing.assert_allclose(run(layer, xs), xs, rtol=1e-6)
    level = SRU(3, 3, key=KEY)
    shut = eqx.tree_at(lambda one: one.reset_bias, level, jnp.full(3, NEVER))
    np.testing.assert_allclose(run(shut, xs), 3**0.5 * xs, rtol=1e-6)


def test_an_sru_starts_with_the_variance_that_it_was_given():
    """Var[W x] is that of x: rows are uniform with variance one over the inputs."""
    layer = SRU(400, 300, key=KEY)
    for weight in (layer.inputs, layer.highway):
        np.testing.assert_allclose(jnp.var(weight), 1 / 400, rtol=0.02)
        np.testing.assert_allclose(jnp.max(jnp.abs(weight)), (3 / 400) ** 0.5, rtol=1e-3)


# ---- maxima ------------------------------------------------------------------------------------------


def maximum(kind, rates, **options):
    layer = with_identity_out(
        kind(len(rates), len(rates), len(rates), key=KEY, **options), len(rates)
    )
    parts = put(layer.inputs, jnp.eye(len(rates)), jnp.zeros(len(rates))), jnp.log(jnp.array(rates))
    return eqx.tree_at(lambda one: (one.inputs, one.rate_log), layer, parts)


def test_a_decayed_max_is_the_largest_of_the_worn_values_of_its_episode():
    layer = maximum(DecayedMax, [0.5, 0.01])
    xs = jax.random.normal(KEY, (40, 2)) - 5.0
    start = jnp.zeros(40, bool).at[17].set(True)
    wanted = np.empty((40, 2))
    for now in range(40):
        first = 17 if now >= 17 else 0
        worn = [
            np.asarray(xs[t]) - (now - t) * np.array([0.5, 0.01]) for t in range(first, now + 1)
        ]
        wanted[now] = np.max(worn, axis=0)
    np.testing.assert_allclose(run(layer, xs, start), wanted, atol=1e-5)


def test_the_gradient_of_a_decayed_max_reaches_the_peak_alone():
    layer = maximum(DecayedMax, [0.5])
    xs = column([0, 3, 2, 0, 1])
    np.testing.assert_array_equal(
        jax.grad(lambda xs: run(layer, xs)[-1, 0])(xs), column([0, 1, 0, 0, 0])
    )


def test_a_cold_soft_maximum_is_the_maximum_and_a_warm_one_counts():
    xs = jax.random.normal(KEY, (40, 2))
    hard = maximum(DecayedMax, [0.5, 0.01])
    cold = maximum(DecayedLogSumExp, [0.5, 0.01], temperature=1e-4)
    np.testing.assert_allclose(run(cold, xs), run(hard, xs), atol=1e-3)
    warm = maximum(DecayedLogSumExp, [1e-9], temperature=2.0)
    ys = run(warm, jnp.full((30, 1), 7.0))
    np.testing.assert_allclose(ys, 7 + 2 * np.log(np.arange(1, 31))[:, None], rtol=1e-5)


def test_large_scores_neither_overflow_nor_lose_their_gradient():
    """The first step comes to -inf, scores go to ±3000: every gradient is finite, and sums to one."""
    layer = maximum(DecayedLogSumExp, [1e-9])
    xs = column([-3000, 3000, 3000, -3000])
    ys, gradient = run(layer, xs), jax.grad(lambda xs: run(layer, xs)[-1, 0])(xs)
    np.testing.assert_allclose(
        ys[:, 0], [-3000, 3000, 3000 + np.log(2), 3000 + np.log(2)], rtol=1e-6
    )
    np.testing.assert_allclose(gradient, column([0, 0.5, 0.5, 0]), atol=1e-6)


# ---- IndRNN ------------------------------------------------------------------------------------------


def test_an_ind_rnn_is_one_tree_of_products_with_the_numbers_of_its_loop():
    layer = IndRNN(3, 16, key=KEY)
    # Gains of both signs, up to nearly one.
    layer = eqx.tree_at(lambda one: one.gain, layer, jnp.linspace(-3.0, 3.0, 16))
    xs = jax.random.normal(KEY, (2000, 3))

    @eqx.filter_jit
    def both(layer, xs):
        methods = (ma.Sequential(), ma.Associative())
        return [layer(layer.init_carry(), xs, None, method=method)[1] for method in methods]

    loop, tree = both(layer, xs)
    np.testing.assert_allclose(tree, loop, rtol=1e-5, atol=1e-4)
    assert 0.05 < np.mean(loop == 0) < 0.95
    assert (loop >= 0).all()


def test_an_ind_rnn_counts_events_exactly_and_its_gain_stays_bounded():
    """With gain 1 it is a counter; gain one is where tanh rounds to it."""
    layer = IndRNN(1, 1, key=KEY)
    counter = eqx.tree_at(
        lambda one: (one.inputs, one.gain),
        layer,
        (put(layer.inputs, [[1.0]], [0.0]), jnp.full(1, 20.0)),
    )
    events = jax.random.bernoulli(KEY, 0.5, (1000,)).astype(jnp.float32)[:, None]
    np.testing.assert_array_equal(run(counter, events), jnp.cumsum(events, axis=0))
    wild = IndRNN(1, 8, max_gain=2 ** (1 / 50), key=KEY)
    wild = eqx.tree_at(lambda one: one.gain, wild, jnp.linspace(-1e6, 1e6, 8))
    gain = wild.encode(jnp.ones(1))[0].value
    assert np.abs(gain).max() <= np.float32(2 ** (1 / 50))


# ---- sLSTM -------------------------------------------------------------------------------------------


def test_an_slstm_revises_what_it_stored():
    """An exponential input gate outweighs everything before it, however large that was."""
    layer = SLSTM(1, 1, key=KEY)
    # i = exp(300 x) and z = tanh(20 x); forget and output gate open.
    layer = eqx.tree_at(
        lambda one: one.inputs,
        layer,
        put(layer.inputs, [[300], [0], [20], [0]], [0, ALWAYS, 0, ALWAYS]),
    )
    ys = run(layer, column([1, -1, 0, 2, -3, 5]))[:, 0]
    # The largest input so far decides: -1 and -3 are outweighed by exp(600) and more.
    np.testing.assert_allclose(ys, np.ones(6), rtol=1e-6)
    falling = run(layer, -column([5, 3, 4, 1]))[:, 0]
    np.testing.assert_allclose(falling, -np.ones(4), rtol=1e-6)
    assert np.isfinite(jax.jacrev(lambda xs: run(layer, xs))(column([1, -1, 0, 2]))).all()


def test_an_slstm_is_an_average_of_its_candidates_by_their_gates():
    """With the forget gate open h is the softmax-weighted mean: the normaliser is the sum of weights."""
    layer = SLSTM(2, 1, key=KEY)
    layer = eqx.tree_at(
        lambda one: one.inputs,
        layer,
        put(layer.inputs, [[1, 0], [0, 0], [0, 1], [0, 0]], [0, ALWAYS, 0, ALWAYS]),
    )
    xs = 3 * jax.random.normal(KEY, (20, 2))
    weights = np.exp(np.asarray(xs[:, 0], np.float64))
    wanted = np.cumsum(weights * np.tanh(xs[:, 1])) / np.cumsum(weights)
    np.testing.assert_allclose(run(layer, xs)[:, 0], wanted, atol=1e-5)


def test_heads_of_an_slstm_mix_within_themselves():
    layer = SLSTM(3, 6, heads=2, key=KEY)
    layer = eqx.tree_at(
        lambda one: one.recurrent, layer, jax.random.normal(KEY, layer.recurrent.shape)
    )
    _, c, n, m = layer.initial_state()

    def after(h):
        return layer.step((h, c, n + 1, m), jnp.ones(3), None)[1]

    reach = np.asarray(jax.jacfwd(after)(jnp.full(6, 0.2))) != 0
    np.testing.assert_array_equal(reach, np.kron(np.eye(2, dtype=bool), np.ones((3, 3), bool)))


# ---- what they refuse --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: MinGRU(3, 2, 0, key=KEY), "MinGRU needs sizes of at least 1.*state_size=0"),
        (lambda: MinLSTM(0, 2, 4, key=KEY), "MinLSTM needs sizes of at least 1.*in_size=0"),
        (lambda: QRNN(3, 2, 0, key=KEY), "QRNN needs sizes of at least 1.*kernel_size=0"),
        (lambda: SRU(3, 0, key=KEY), "SRU needs sizes of at least 1.*out_size=0"),
        (lambda: DecayedMax(3, 2, 4, rate_range=(0.0, 1.0), key=KEY), "rate_range needs 0 < low"),
        (
            lambda: DecayedLogSumExp(3, 2, 4, temperature=0.0, key=KEY),
            "temperature must be above 0",
        ),
        (lambda: IndRNN(3, 2, max_gain=0.0, key=KEY), "max_gain must be above 0, got 0"),
        (
            lambda: SLSTM(3, 5, heads=2, key=KEY),
            "out_size=5 must be a positive multiple of heads=2",
        ),
    ],
)
def test_bad_sizes_say_which(build, message):
    with pytest.raises(ValueError, match=message):
        build()
