"""PPO's losses against loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memoalg.rl import explained_variance, normalize, policy_loss, value_loss

RATIO = np.array([0.5, 0.9, 1.0, 1.1, 1.5] * 2)
ADVANTAGE = np.array([1.0] * 5 + [-2.0] * 5)


def test_policy_loss_by_hand():
    terms = [min(r * a, min(max(r, 0.8), 1.2) * a) for r, a in zip(RATIO, ADVANTAGE, strict=True)]
    loss = policy_loss(jnp.array(RATIO), jnp.array(ADVANTAGE), 0.2)
    np.testing.assert_allclose(loss, -np.mean(terms), rtol=1e-6)


@pytest.mark.parametrize(("ratio", "advantage", "moves"), [(1.5, 1, False), (1.5, -1, True)])
def test_policy_gradient_stops_only_where_the_step_has_gone_far_enough(ratio, advantage, moves):
    gradient = jax.grad(lambda r: policy_loss(r, jnp.array([float(advantage)]), 0.2))
    assert (float(gradient(jnp.array([ratio]))[0]) != 0) == moves


def test_value_loss_by_hand():
    new, old, target = np.array([1.0, 2.0, -1.0]), np.zeros(3), np.array([3.0, 0.0, -1.0])
    moved = old + np.clip(new - old, -0.5, 0.5)
    worse = np.maximum((new - target) ** 2, (moved - target) ** 2)
    arrays = jnp.array(new), jnp.array(old), jnp.array(target)
    np.testing.assert_allclose(value_loss(*arrays, 0.5), 0.5 * worse.mean(), rtol=1e-6)
    plain = 0.5 * ((new - target) ** 2).mean()
    np.testing.assert_allclose(value_loss(*arrays, None), plain, rtol=1e-6)


def test_normalize():
    x = normalize(jnp.array(ADVANTAGE))
    np.testing.assert_allclose([x.mean(), x.std()], [0, 1], atol=1e-6)
    assert (normalize(jnp.ones(4)) == 0).all()


def test_explained_variance():
    target = jnp.array([0.0, 1.0, 2.0, 5.0])
    np.testing.assert_allclose(explained_variance(target, target), 1)
    np.testing.assert_allclose(explained_variance(target + 3, target), 1)
    np.testing.assert_allclose(explained_variance(jnp.zeros(4), target), 0, atol=1e-6)
    assert explained_variance(-target, target) < 0
    assert explained_variance(target, jnp.ones(4)) == 0
