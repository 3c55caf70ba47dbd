"""Small systems: numpy's answers, their derivatives, and nothing that leaves the compiled program."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg as ma
from memoalg._solve import solve

BATCH = 5


def systems(n):
    """Matrices of every kind, some of whose pivots are not on the diagonal."""
    rng = np.random.default_rng(n)
    a = rng.normal(size=(BATCH, n, n))
    a[0] = np.roll(np.eye(n), 1, axis=1)
    a[1] *= np.geomspace(1e-3, 1e3, n)[:, None]
    return a, rng.normal(size=(BATCH, n, 3))


@pytest.mark.parametrize("n", [1, 2, 5, 12])
def test_solutions_and_gradients_are_those_of_the_inverse(n):
    a, b = systems(n)
    with jax.enable_x64(True):
        loss = lambda a, b: jnp.sum(jnp.sin(solve(a, b)))
        both = jax.jit(jax.vmap(lambda a, b: (solve(a, b), jax.grad(loss, (0, 1))(a, b))))
        x, (da, db) = both(jnp.asarray(a), jnp.asarray(b))
    wanted = np.linalg.solve(a, b)
    np.testing.assert_allclose(x, wanted, rtol=1e-9, atol=1e-9)
    # The solution moves by a⁻¹ (db - da x).
    of_b = np.linalg.solve(np.swapaxes(a, 1, 2), np.cos(wanted))
    np.testing.assert_allclose(db, of_b, rtol=1e-9, atol=1e-9)
    of_a = -of_b @ np.swapaxes(wanted, 1, 2)
    np.testing.assert_allclose(da, of_a, rtol=1e-8, atol=1e-8 * np.abs(of_a).max())


def test_a_singular_system_has_no_finite_solution():
    assert not np.any(np.isfinite(solve(jnp.zeros((2, 2)), jnp.ones((2, 1)))))


def test_filters_and_rotations_call_no_library_from_inside_a_program():
    """Batched LAPACK calls that run side by side can wait for each other for ever on a CPU."""
    for layer in (
        ma.nn.KalmanFilter(3, 2, 4, key=jax.random.key(0)),
        ma.nn.RotationRNN(3, 2, 4, key=jax.random.key(0)),
    ):

        def loss(layer, xs):
            ys = layer(layer.init_carry(), xs, None, method=ma.Associative())[1]
            return jnp.sum(ys)

        text = jax.jit(jax.grad(loss)).lower(layer, jnp.ones((4, 3))).as_text()
        assert "dot_general" in text
        assert "lapack" not in text
