"""Each named model is its paper: reference recurrences in numpy float64, with the layer's parameters."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg as ma
from tests.registry import sample

T = 12
START = np.zeros(T, bool)
START[[0, 5, 9]] = True
XS = np.asarray(jax.random.normal(jax.random.key(1), (T, 3)), np.float64)


def elu1(x):
    return np.where(x > 0, x + 1, np.exp(np.minimum(x, 0)))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lru(layer, xs, start):
    """h = λ h + γ B x; y = Re(C h) + D x; λ = exp(-exp(ν) + i exp(θ))."""
    lam = np.exp(-np.exp(layer.nu_log) + 1j * np.exp(layer.theta_log))
    b, c = layer.B[0] + 1j * layer.B[1], layer.C[0] + 1j * layer.C[1]
    h, ys = np.zeros(len(lam), complex), []
    for x, begins in zip(xs, start, strict=True):
        h = lam * (0 * h if begins else h) + np.exp(layer.gamma_log) * (b @ x)
        ys.append((c @ h).real + layer.D @ x)
    return np.stack(ys)


def s6(layer, xs, start):
    """h[d, n] = exp(Δ[d] A[d, n]) h[d, n] + Δ[d] B[n] u[d]; y = W_o (Σ_n C[n] h[d, n] + D u) + b_o."""
    n, h, ys = layer.state_size, np.zeros(layer.A_log.shape), []
    for x, begins in zip(xs, start, strict=True):
        u = x if layer.inputs is None else layer.inputs.weight @ x + layer.inputs.bias
        low, b, c = np.split(layer.select @ u, [-2 * n, -n])
        step = np.log1p(np.exp(layer.step_up @ low + layer.step_bias))
        h, before = np.zeros_like(h), 0 * h if begins else h
        for d in range(len(u)):
            for i in range(n):
                decay = np.exp(step[d] * -np.exp(layer.A_log[d, i]))
                h[d, i] = decay * before[d, i] + step[d] * b[i] * u[d]
        y = np.array([c @ h[d] + layer.D[d] * u[d] for d in range(len(u))])
        ys.append(layer.output.weight @ y + layer.output.bias)
    return np.stack(ys)


def ffm(layer, xs, start):
    """The closed form: S is the sum over the episode of γ to the power of the age, times the input."""
    m, c, out, past, ys = len(layer.alpha), len(layer.omega), layer.out_size, [], []
    rate = -np.abs(layer.alpha)[:, None] + 1j * layer.omega[None, :]
    w1, b1, w2, b2 = (layer.inputs.weight[:m], layer.inputs.bias[:m],
                      layer.inputs.weight[m:], layer.inputs.bias[m:])  # fmt: skip
    w4, b4, w5, b5 = (layer.gates.weight[:out], layer.gates.bias[:out],
                      layer.gates.weight[out:], layer.gates.bias[out:])  # fmt: skip
    for x, begins in zip(xs, start, strict=True):
        past = ([] if begins else past) + [(w1 @ x + b1) * sigmoid(w2 @ x + b2)]
        s = np.zeros((m, c), complex)
        for age, v in enumerate(past[::-1]):
            s = s + np.exp(rate * age) * np.outer(v, np.ones(c))
        z = layer.mix.weight @ np.concatenate([np.real(s).ravel(), np.imag(s).ravel()])
        z = z + layer.mix.bias
        gate = sigmoid(w4 @ x + b4)
        normal = (z - z.mean()) / np.sqrt(z.var() + 1e-5)
        ys.append(normal * gate + (w5 @ x + b5) * (1 - gate))
    return np.stack(ys)


def linear_attention(layer, xs, start):
    """S += φ(k) vᵀ; z += φ(k); y = W_o (Sᵀ φ(q)) / (z · φ(q)) + b_o."""
    n, ys, past = layer.key_size, [], []
    for x, begins in zip(xs, start, strict=True):
        rows = layer.project.weight @ x + layer.project.bias
        past = [] if begins else past
        past.append((elu1(rows[n : 2 * n]), rows[2 * n :]))
        weights = np.array([elu1(rows[:n]) @ k for k, _ in past])
        weights = weights / weights.sum()
        value = sum(w * v for w, (_, v) in zip(weights, past, strict=True))
        ys.append(layer.output.weight @ value + layer.output.bias)
    return np.stack(ys)


def gru(layer, xs, start):
    """The GRU of cuDNN: the reset gate multiplies the recurrent product."""
    h, ys = np.zeros(layer.out_size), []
    u_r, u_z, u_n = np.split(layer.recurrent, 3)
    for x, begins in zip(xs, start, strict=True):
        h = 0 * h if begins else h
        r_x, z_x, n_x = np.split(layer.inputs.weight @ x + layer.inputs.bias, 3)
        r, z = sigmoid(r_x + u_r @ h), sigmoid(z_x + u_z @ h)
        n = np.tanh(n_x + r * (u_n @ h + layer.candidate_bias))
        h = (1 - z) * n + z * h
        ys.append(h)
    return np.stack(ys)


MODELS = {
    "lru": (lambda key: ma.nn.LRU(3, 2, 5, key=key), lru),
    "linear_attention": (
        lambda key: ma.nn.LinearAttention(3, 2, 4, value_size=5, key=key),
        linear_attention,
    ),
    "s6": (lambda key: ma.nn.S6(3, 2, 4, key=key), s6),
    "s6-channels": (lambda key: ma.nn.S6(3, 2, 2, channels=5, rank=2, key=key), s6),
    "ffm": (lambda key: ma.nn.FFM(3, 3, 4, 3, key=key), ffm),
    "gru": (lambda key: ma.nn.GRU(3, 4, key=key), gru),
}


def perturbed(build, dtype):
    """A layer with every parameter moved off its initial value (biases are not zero)."""
    layer = build(jax.random.key(2))
    leaves, treedef = jax.tree.flatten(layer)
    keys = jax.random.split(jax.random.key(3), len(leaves))
    noisy = [
        x + 0.1 * jax.random.normal(k, x.shape, x.dtype) for x, k in zip(leaves, keys, strict=True)
    ]
    return jax.tree.unflatten(treedef, [leaf.astype(dtype) for leaf in noisy])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_its_paper(name, dtype):
    build, reference = MODELS[name]
    with jax.enable_x64(dtype == "float64"):
        layer = perturbed(build, jnp.dtype(dtype))
        xs = jnp.asarray(XS, dtype)
        _, ys = layer(layer.init_carry(), xs, jnp.asarray(START))
        wide = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), layer)
        bound = 1e-5 if dtype == "float32" else 1e-12
        np.testing.assert_allclose(ys, reference(wide, XS, START), atol=bound, rtol=bound)


@pytest.mark.parametrize("name", MODELS)
def test_the_gradient_is_that_of_the_reference(name):
    """Directional derivatives of the numpy recurrence by central differences, in float64."""
    build, reference = MODELS[name]
    with jax.enable_x64(True):
        layer = perturbed(build, jnp.dtype("float64"))

        def loss(layer):
            return jnp.sum(
                jnp.sin(layer(layer.init_carry(), jnp.asarray(XS), jnp.asarray(START))[1])
            )

        gradient = eqx.filter_grad(loss)(layer)
        rng = np.random.default_rng(0)
        direction = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), layer)
        h = 1e-6

        def moved(sign):
            shifted = jax.tree.map(lambda p, d: np.asarray(p) + sign * h * d, layer, direction)
            return np.sin(reference(shifted, XS, START)).sum()

        expected = (moved(1) - moved(-1)) / (2 * h)
        products = jax.tree.map(lambda g, d: np.sum(np.asarray(g) * d), gradient, direction)
        np.testing.assert_allclose(sum(jax.tree.leaves(products)), expected, rtol=1e-6)


def test_the_references_see_a_lost_normaliser_and_a_mirrored_key():
    """What public code gets wrong: the normaliser of the last key only; key and value axes swapped."""

    class LastKey(ma.AbstractMonoid):
        inner: ma.nn.NormalisedOuterSum

        def identity(self):
            return self.inner.identity()

        def combine(self, left, right):
            return left[0] + right[0], right[1]

        def expand(self, generator):
            return self.inner.expand(generator)

        def read(self, state, query):
            return self.inner.read(state, query)

    layer = perturbed(MODELS["linear_attention"][0], jnp.float32)
    wrong = ma.nn.Memoroid(LastKey(layer.monoid), layer.encode, layer.readout, query=layer.query)
    start, xs = jnp.asarray(START), jnp.asarray(XS, jnp.float32)
    right = layer(layer.init_carry(), xs, start)[1]
    assert np.max(np.abs(wrong(wrong.init_carry(), xs, start)[1] - right)) > 1e-2
    with pytest.raises(ma.laws.LawError, match="right_identity"):
        ma.laws.check(wrong.monoid, sample(layer.monoid, jax.random.key(0), 4))


def test_lru_starts_stable_with_its_eigenvalues_on_the_ring():
    layer = ma.nn.LRU(4, 4, 2000, r_min=0.5, r_max=0.9, key=jax.random.key(0))
    modulus = np.abs(layer.eigenvalues)
    assert 0.5 <= modulus.min() < 0.52
    assert 0.89 < modulus.max() <= 0.9
    # |λ|² is uniform on the ring, so its mean is the middle of the squares.
    np.testing.assert_allclose((modulus**2).mean(), (0.25 + 0.81) / 2, atol=0.01)
    np.testing.assert_allclose(np.exp(layer.gamma_log), np.sqrt(1 - modulus**2), rtol=1e-4)


def test_s6_starts_with_the_decays_and_step_widths_of_its_paper():
    layer = ma.nn.S6(4, 4, 3, channels=500, step_range=(0.01, 0.2), key=jax.random.key(0))
    np.testing.assert_allclose(-jnp.exp(layer.A_log), [[-1.0, -2.0, -3.0]] * 500, rtol=1e-6)
    decay, _ = layer.encode(jnp.zeros(4))
    step = -np.log(decay[:, 0])
    np.testing.assert_allclose([step.min(), step.max()], [0.01, 0.2], rtol=0.02)
    # log-uniform: half of the widths lie below the geometric mean of the ends.
    np.testing.assert_allclose((step < (0.01 * 0.2) ** 0.5).mean(), 0.5, atol=0.06)


def test_ffm_forgets_at_its_decays_and_returns_after_its_periods():
    layer = ma.nn.FFM(2, 2, 3, 3, max_decay=0.4, max_period=9.0, key=jax.random.key(0))
    modulus = np.exp([-1e-6, -0.2, -0.4])
    np.testing.assert_allclose(np.abs(layer.decay), np.tile(modulus[:, None], 3), rtol=1e-5)
    for k, period in enumerate([1, 5, 9]):
        turned = np.asarray(layer.decay[:, k], complex) ** period
        np.testing.assert_allclose(turned, modulus**period, atol=1e-5)


def test_linear_attention_weights_sum_to_one():
    """With all values equal the read is that value, at every step and after every start."""
    monoid = ma.nn.NormalisedOuterSum(3, 2)
    keys = jnp.abs(jax.random.normal(jax.random.key(0), (T, 3))) + 0.01
    values = jnp.broadcast_to(jnp.array([2.0, -5.0]), (T, 2))
    reads = ma.trajectory(
        monoid, monoid.identity(), (keys, values), jnp.asarray(START), queries=jnp.flip(keys, 0)
    )[1]
    np.testing.assert_allclose(reads, values, rtol=1e-5)


def test_positions_count_from_the_last_start():
    layer = ma.nn.PositionalEncoding(3, base=50.0)
    ys = layer(layer.init_carry(), jnp.asarray(XS, jnp.float32), jnp.asarray(START))[1]
    n, position = 0, []
    for begins in START:
        n = 1 if begins else n + 1
        position.append([np.sin(n), np.cos(n), np.sin(n / 50.0 ** (2 / 3))])
    np.testing.assert_allclose(ys, XS + np.array(position), atol=1e-5)


def test_an_empty_memory_reads_zero_with_zero_gradient():
    monoid = ma.nn.NormalisedOuterSum(3, 2)
    read = lambda query: monoid.read(monoid.identity(), query).sum()
    assert read(jnp.ones(3)) == 0
    np.testing.assert_array_equal(jax.grad(read)(jnp.ones(3)), 0)


def test_the_recurrent_weight_gets_one_product_outside_the_loop():
    """Inside the adjoint loop there is one product with the weight; its gradient is formed outside."""
    layer = ma.nn.GRU(3, 4, key=jax.random.key(0))
    xs = jnp.asarray(XS, jnp.float32)

    def loss(layer):
        return jnp.sum(layer(layer.init_carry(), xs, jnp.asarray(START))[1])

    loops = [e for e in jax.make_jaxpr(jax.grad(loss))(layer).eqns if e.primitive.name == "scan"]
    assert len(loops) == 2
    for loop in loops:
        text = str(loop.params["jaxpr"])
        assert text.count("dot_general") + text.count("memoalg_dense_product") == 1
