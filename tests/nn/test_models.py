"""What single models promise beside their recurrence; see also the files of the families."""

import jax
import jax.numpy as jnp
import numpy as np

import memoalg as ma

T = 12
START = np.zeros(T, bool)
START[[0, 5, 9]] = True
XS = np.asarray(jax.random.normal(jax.random.key(1), (T, 3)), np.float64)


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


def test_positions_count_from_the_last_start():
    layer = ma.nn.PositionalEncoding(3, base=50.0)
    ys = layer(layer.init_carry(), jnp.asarray(XS, jnp.float32), jnp.asarray(START))[1]
    n, position = 0, []
    for begins in START:
        n = 1 if begins else n + 1
        position.append([np.sin(n), np.cos(n), np.sin(n / 50.0 ** (2 / 3))])
    np.testing.assert_allclose(ys, XS + np.array(position), atol=1e-5)


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
