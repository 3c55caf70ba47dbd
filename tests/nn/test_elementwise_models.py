"""What elementwise linear recurrences can do and how they begin, exactly: a wrong model fails these."""

# A generator is a pytree of any kind to a type checker.
# pyright: reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg as ma
from memoalg.nn._fine import fine_decay, fine_product, fine_turn
from memoalg.nn._zero_order_hold import zero_order_hold
from memoalg.nn.models._s5 import _hippo_normal
from tests.nn.zoo.case import replaced

KEY = jax.random.key(0)
LONG = 100_000


@pytest.fixture(scope="module")
def slow_ffm():
    """An FFM that forgets little, at angles all over the circle."""
    layer = ma.nn.FFM(2, 2, 3, 8, max_decay=2e-6, key=KEY)
    angles = np.random.default_rng(0).uniform(0, 7, 8)
    return replaced(layer, omega=jnp.asarray(angles, jnp.float32))


@pytest.fixture(scope="module")
def impulse():
    return jnp.zeros((LONG, 2)).at[0].set(1.0)


def closed_form(layer, steps):
    """γ to the power of `steps`, of the parameters as they are, in double precision."""
    alpha, omega = np.asarray(layer.alpha, float), np.asarray(layer.omega, float)
    return np.exp(steps * (-np.abs(alpha)[:, None] + 1j * omega[None]))


def after_an_impulse(layer, impulse, method):
    """The state in the end over what came in: γ to the power of the number of steps."""

    @eqx.filter_jit
    def program(layer, impulse):
        return layer(layer.init_carry(), impulse, None, method=method)[0]

    return program(layer, impulse) / layer.encode(impulse[0])[1]


@pytest.mark.parametrize("method", [ma.Sequential(), ma.Associative()], ids=str)
def test_the_phase_of_ffm_is_exact_after_a_hundred_thousand_steps(slow_ffm, impulse, method):
    power = after_an_impulse(slow_ffm, impulse, method)
    error = np.asarray(power) / closed_form(slow_ffm, LONG - 1)
    assert np.max(np.abs(np.angle(error))) < 1e-4
    assert np.max(np.abs(np.abs(error) - 1)) < 1e-4


def test_the_phase_of_ffm_is_exact_after_a_hundred_thousand_single_steps(slow_ffm, impulse):
    @eqx.filter_jit
    def program(layer, impulse):
        def body(carry, x):
            return layer.step(carry, x, None)

        return jax.lax.scan(body, layer.init_carry(), impulse)[0]

    power = program(slow_ffm, impulse) / slow_ffm.encode(impulse[0])[1]
    np.testing.assert_allclose(np.angle(power / closed_form(slow_ffm, LONG - 1)), 0, atol=1e-4)


@pytest.mark.parametrize("method", [ma.Sequential(), ma.Associative()], ids=str)
def test_a_decay_rounded_to_one_number_loses_the_phase(slow_ffm, impulse, method):
    """Why the decay is a sum of two."""
    rounded = ma.nn.Memoroid(
        ma.Affine((3, 8), jnp.complex64),
        lambda x: (ma.Fixed(jnp.asarray(closed_form(slow_ffm, 1), jnp.complex64)), x),
        lambda state, x: state.real,
    )
    inputs = jnp.zeros((LONG, 3, 8), jnp.complex64).at[0].set(1.0)
    state = eqx.filter_jit(rounded)(rounded.init_carry(), inputs, None, method=method)[0]
    assert np.max(np.abs(np.angle(state / closed_form(slow_ffm, LONG - 1)))) > 5e-4


def test_a_turn_in_two_parts_is_known_far_below_the_last_digit():
    angles = np.random.default_rng(1).uniform(-60, 60, 1000).astype(np.float32)
    angles[:4] = [0.0, 1e-30, np.pi / 128, 6.2831855]
    coarse, rest = fine_turn(jnp.asarray(angles))
    exact = np.exp(1j * angles.astype(float))
    np.testing.assert_allclose(np.asarray(coarse, complex) + np.asarray(rest), exact, atol=4e-10)
    near = angles[np.abs(angles) < 7]
    coarse, rest = fine_turn(jnp.asarray(near))
    exact = np.exp(1j * near.astype(float))
    np.testing.assert_allclose(np.asarray(coarse, complex) + np.asarray(rest), exact, atol=1e-10)


def test_powers_of_numbers_in_two_parts_are_exact():
    decay = fine_decay(jnp.float32(1e-6))
    exact = float(np.exp(-np.float64(np.float32(1e-6)) * 2**20))
    for _ in range(20):
        decay = fine_product(decay, decay)
    np.testing.assert_allclose(float((decay[0] + decay[1]).real), exact, rtol=1e-5)


def hippo_normal(size):
    """The normal part of HiPPO-LegS as the S5 paper defines it: A + P Pᵀ."""
    a = np.zeros((size, size))
    for n in range(size):
        for k in range(n):
            a[n, k] = -((2 * n + 1) ** 0.5) * (2 * k + 1) ** 0.5
        a[n, n] = -(n + 1)
    p = (np.arange(size) + 0.5) ** 0.5
    return a + np.outer(p, p)


def test_s5_begins_with_the_eigenvalues_of_hippo_n():
    layer = ma.nn.S5(3, 2, 8, blocks=2, key=KEY)
    eigenvalues = np.linalg.eigvals(hippo_normal(8))
    upper = np.sort(eigenvalues.imag[eigenvalues.imag > 0])
    np.testing.assert_allclose(layer.frequency, np.tile(upper, 2), rtol=1e-5)
    np.testing.assert_allclose(
        -jnp.exp(layer.rate_log), np.tile(eigenvalues.real[:4], 2), rtol=1e-5
    )


def test_s5_is_a_real_system_of_twice_its_states():
    """Half of the states, and twice the real part, stand for all: HiPPO-N with real B and C."""
    with jax.enable_x64(True):
        layer = ma.nn.S5(3, 2, 4, step_range=(0.1, 0.1), key=KEY)
        _, vectors = _hippo_normal(4)
        a, (b, c) = hippo_normal(8), (np.asarray(part) for part in (layer.B, layer.C))
        b = 2 * (vectors @ (b[0] + 1j * b[1])).real
        c = 2 * ((c[0] + 1j * c[1]) @ vectors.conj().T).real
        decay = np.asarray(jax.scipy.linalg.expm(0.1 * a))
        held = np.linalg.solve(a, (decay - np.eye(8)) @ b)
        impulse = jnp.zeros((20, 3)).at[0, 1].set(1.0)
        ys = layer(layer.init_carry(), impulse, None)[1]
        wanted = [(c @ np.linalg.matrix_power(decay, t) @ held)[:, 1] for t in range(20)]
        wanted[0] = wanted[0] + np.asarray(layer.D)[:, 1]
        np.testing.assert_allclose(ys, wanted, atol=1e-10)


def test_s4d_begins_as_lin_or_as_inv():
    lin, inv = (ma.nn.S4D(2, 2, 3, inverse=inverse, key=KEY) for inverse in (False, True))
    np.testing.assert_allclose(lin.frequency, [[0, np.pi, 2 * np.pi]] * 2, rtol=1e-6)
    six = 6 / np.pi * np.array([6 / 1 - 1, 6 / 3 - 1, 6 / 5 - 1])
    np.testing.assert_allclose(inv.frequency, [six] * 2, rtol=1e-6)
    np.testing.assert_allclose(-np.exp(inv.rate_log), -0.5, rtol=1e-6)


def _s5_of_500_steps():
    return ma.nn.S5(2, 2, 500, blocks=250, key=KEY)


def _s4d_of_500_steps():
    return ma.nn.S4D(500, 2, 1, key=KEY)


@pytest.mark.parametrize("build", [_s5_of_500_steps, _s4d_of_500_steps])
def test_step_widths_begin_log_uniform(build):
    layer = build()
    steps = np.exp(layer.step_log)
    np.testing.assert_allclose([steps.min(), steps.max()], [0.001, 0.1], rtol=0.05)
    np.testing.assert_allclose((steps < 0.01).mean(), 0.5, atol=0.06)


def test_a_small_step_is_discretised_without_cancellation():
    """1 - exp(Δa) of a step of 1e-6: the difference would keep no digit in float32."""
    rate, frequency, step = -0.5, 300.0, 1e-6
    decay, gain = zero_order_hold(*map(jnp.float32, (rate, frequency, step)))
    a = rate + 1j * frequency
    np.testing.assert_allclose(complex(gain), np.expm1(a * step) / a, rtol=1e-6)
    np.testing.assert_allclose(complex(decay), np.exp(a * step), rtol=1e-6)


@pytest.mark.parametrize("name", ["RTU", "NonlinearRTU"])
def test_the_input_of_a_trace_unit_is_scaled_exactly_near_one(name):
    layer = getattr(ma.nn, name)(2, 2, activation=jnp.tanh, key=KEY)
    layer = replaced(layer, nu_log=jnp.float32([-13.0]), W=jnp.ones((2, 1, 2)) / 2)
    ones = jnp.ones(2)
    entering = layer.encode(ones)[1].real if name == "RTU" else layer.project(ones)[0]
    r = np.exp(-np.exp(-13.0))
    np.testing.assert_allclose(entering, [np.sqrt(1 - r**2)], rtol=2e-6)


def test_trace_units_begin_on_the_ring():
    layer = ma.nn.RTU(3, 4000, r_min=0.5, r_max=0.9, key=KEY)
    decay = np.asarray(layer.encode(jnp.zeros(3))[0].value)
    assert 0.5 <= np.abs(decay).min() < 0.52
    assert 0.88 < np.abs(decay).max() <= 0.9
    np.testing.assert_allclose((np.abs(decay) ** 2).mean(), (0.25 + 0.81) / 2, atol=0.01)
    # Angles all over the circle.
    assert np.abs(decay.mean()) < 0.05


def test_rg_lru_begins_with_the_decays_of_its_paper():
    layer = ma.nn.RGLRU(2, 2, 1000, key=KEY)
    power = np.exp(-8 * np.log1p(np.exp(np.asarray(layer.decay_parameter, float))))
    np.testing.assert_allclose([power.min(), power.max()], [0.9, 0.999], atol=1e-3)
    np.testing.assert_allclose(power.mean(), (0.9 + 0.999) / 2, atol=0.005)


@pytest.mark.parametrize("bias", [-12.0, -200.0])
def test_rg_lru_scales_its_input_exactly_where_the_gate_has_closed(bias):
    """sqrt(1 - a²) for a that rounds to one; and its slope stays finite where a is one."""
    layer = ma.nn.RGLRU(1, 1, key=KEY)
    layer = replaced(layer, gates=jnp.zeros((1, 2, 1)), gate_bias=jnp.array([[bias, 0.0]]))
    decay, added = layer.encode(jnp.ones(1))
    gate = 1 / (1 + np.exp(-bias))
    log_decay = -8 * np.log1p(np.exp(float(layer.decay_parameter[0]))) * gate
    np.testing.assert_allclose(
        added, [0.5 * np.sqrt(-np.expm1(2 * log_decay))], rtol=1e-5, atol=1e-18
    )
    np.testing.assert_allclose(decay, [np.exp(log_decay)], rtol=1e-6)
    gradient = eqx.filter_grad(lambda layer: layer.encode(jnp.ones(1))[1].sum())(layer)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradient))


@pytest.mark.parametrize("forget", [-30.0, 0.0, 16.0])
def test_hgrn_forgets_no_more_than_its_bound_and_lets_in_the_rest(forget):
    layer = ma.nn.HGRN(1, 1, 1, lower_bound=0.8, key=KEY)
    inputs = replaced(
        layer.inputs, weight=jnp.zeros((3, 1)), bias=jnp.array([forget, 1.0, 0.0], jnp.float32)
    )
    decay, added = replaced(layer, inputs=inputs).encode(jnp.ones(1))
    kept = 0.8 + 0.2 / (1 + np.exp(-forget))
    np.testing.assert_allclose(np.abs(decay), [kept], rtol=1e-6)
    # silu(1) of what is not kept, to the last digits.
    left = 0.2 / (1 + np.exp(forget))
    np.testing.assert_allclose(added.real, [left / (1 + np.exp(-1.0))], rtol=2e-6)


def test_linear_rnn_answers_an_impulse_with_powers_of_its_matrix():
    layer = ma.nn.LinearRNN(2, 3, 4, radius=0.9, key=KEY)
    a, b, c, d = (np.asarray(part, float) for part in (layer.A, layer.B, layer.C, layer.D))
    np.testing.assert_allclose(np.abs(np.linalg.eigvals(a)), 0.9, rtol=1e-5)
    impulse = jnp.zeros((30, 2)).at[0, 1].set(1.0)
    for method in (ma.Sequential(), ma.Associative()):
        ys = layer(layer.init_carry(), impulse, None, method=method)[1]
        wanted = [c @ np.linalg.matrix_power(a, t) @ b[:, 1] for t in range(30)]
        wanted[0] = wanted[0] + d[:, 1]
        np.testing.assert_allclose(ys, wanted, atol=1e-5)


def test_branches_are_the_product_of_a_memory_and_a_gate():
    memory = ma.nn.Delay(5)
    layer = ma.nn.Branches(3, memory, gate=jnp.tanh, key=KEY)
    inputs, output = (layer.layers[i].function for i in (0, 3))
    xs = jax.random.normal(jax.random.key(1), (4, 3))
    ys = layer(layer.init_carry(), xs, None)[1]
    both = np.asarray(xs) @ np.asarray(inputs.weight).T
    delayed = np.concatenate([np.zeros((1, 5)), both[:-1, :5]])
    wanted = (delayed * np.tanh(both[:, 5:])) @ np.asarray(output.weight).T
    np.testing.assert_allclose(ys, wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ma.nn.S5(3, 2, 5, blocks=2, key=KEY), "S5 .* state_size=5, blocks=2"),
        (lambda: ma.nn.S5(3, 2, 4, step_range=(0.1, 0.01), key=KEY), "S5 .* got .0.1, 0.01."),
        (lambda: ma.nn.S4D(3, 2, 0, key=KEY), "S4D .* state_size=0"),
        (lambda: ma.nn.S4D(3, 2, step_range=(0.0, 0.01), key=KEY), "S4D .* got .0.0, 0.01."),
        (lambda: ma.nn.RTU(3, 5, key=KEY), "RTU .* even out_size.* out_size=5"),
        (lambda: ma.nn.NonlinearRTU(3, 4, r_max=1.5, key=KEY), "NonlinearRTU .* r_max=1.5"),
        (lambda: ma.nn.LinearRNN(3, 2, 4, radius=1.5, key=KEY), "LinearRNN .* got 1.5"),
        (lambda: ma.nn.LinearRNN(3, 0, 4, key=KEY), "LinearRNN .* out_size=0"),
        (lambda: ma.nn.HGRN(3, 2, 0, key=KEY), "HGRN .* state_size=0"),
        (lambda: ma.nn.HGRN(3, 2, 4, lower_bound=1.0, key=KEY), "HGRN .* got 1.0"),
        (lambda: ma.nn.RGLRU(3, 2, 5, heads=2, key=KEY), "RGLRU: state_size=5 .* heads=2"),
        (lambda: ma.nn.RGLRU(3, 0, key=KEY), "RGLRU .* out_size=0"),
        (lambda: ma.nn.RGLRU(3, 2, decay_range=(0.5, 1.0), key=KEY), "RGLRU .* got .0.5, 1.0."),
        (
            lambda: ma.nn.Branches(3, ma.nn.LRU(4, 5, 6, key=KEY), gate=jnp.tanh, key=KEY),
            "Branches: .* in_size=4 and out_size=5",
        ),
    ],
)
def test_bad_sizes_are_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()
