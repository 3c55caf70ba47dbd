"""The policies' distributions against formulas written out in numpy."""

import jax
import jax.numpy as jnp
import numpy as np

from memoalg.rl import Categorical, DiagonalNormal

LOGITS = np.array([[0.3, -1.0, 2.0], [0.0, 0.0, 0.0]])
MEAN, LOG_STD = np.array([[0.5, -1.0], [2.0, 0.0]]), np.array([[0.1, -0.7], [0.0, 0.4]])


def softmax(logits):
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def test_categorical_formulas():
    policy, probs = Categorical(jnp.array(LOGITS)), softmax(LOGITS)
    log_prob = policy.log_prob(jnp.array([2, 1]))
    np.testing.assert_allclose(log_prob, np.log([probs[0, 2], probs[1, 1]]), rtol=1e-5)
    np.testing.assert_allclose(policy.entropy(), -(probs * np.log(probs)).sum(-1), rtol=1e-5)
    np.testing.assert_array_equal(policy.mode(), [2, 0])


def test_categorical_samples_follow_the_probabilities():
    policy = Categorical(jnp.broadcast_to(jnp.array(LOGITS[0]), (20_000, 3)))
    share = np.bincount(np.asarray(policy.sample(jax.random.key(0))), minlength=3) / 20_000
    np.testing.assert_allclose(share, softmax(LOGITS[0]), atol=0.02)


def test_an_action_that_is_ruled_out_leaves_entropy_and_gradient_finite():
    def entropy(logits):
        return jnp.sum(Categorical(logits).entropy())

    value, gradient = jax.value_and_grad(entropy)(jnp.array([0.0, 0.0, -jnp.inf]))
    np.testing.assert_allclose(value, np.log(2), rtol=1e-6)
    assert np.isfinite(gradient[:2]).all()


def test_categorical_log_prob_gradient_is_one_hot_minus_probabilities():
    gradient = jax.grad(lambda x: Categorical(x).log_prob(jnp.array(1)))(jnp.array(LOGITS[0]))
    np.testing.assert_allclose(gradient, np.eye(3)[1] - softmax(LOGITS[0]), rtol=1e-5)


def test_normal_formulas():
    policy, std = DiagonalNormal(jnp.array(MEAN), jnp.array(LOG_STD)), np.exp(LOG_STD)
    action = np.array([[0.0, 0.0], [1.0, -1.0]])
    density = np.exp(-0.5 * ((action - MEAN) / std) ** 2) / (std * np.sqrt(2 * np.pi))
    log_prob = policy.log_prob(jnp.array(action))
    np.testing.assert_allclose(log_prob, np.log(density).sum(-1), rtol=1e-5)
    entropy = 0.5 * np.log(2 * np.pi * np.e * std**2)
    np.testing.assert_allclose(policy.entropy(), entropy.sum(-1), rtol=1e-5)
    np.testing.assert_allclose(policy.mode(), MEAN, rtol=1e-6)


def test_normal_samples_have_the_mean_and_deviation():
    shape = (20_000, 2)
    policy = DiagonalNormal(
        jnp.broadcast_to(jnp.array(MEAN[0]), shape), jnp.broadcast_to(jnp.array(LOG_STD[0]), shape)
    )
    sample = np.asarray(policy.sample(jax.random.key(0)))
    np.testing.assert_allclose(sample.mean(0), MEAN[0], atol=0.03)
    np.testing.assert_allclose(sample.std(0), np.exp(LOG_STD[0]), atol=0.03)


def test_entropy_is_the_mean_of_minus_log_prob():
    logits = jnp.broadcast_to(jnp.array(LOGITS[0]), (50_000, 3))
    for policy in (Categorical(logits), DiagonalNormal(logits, 0.1 * logits)):
        drawn = policy.log_prob(policy.sample(jax.random.key(1)))
        np.testing.assert_allclose(-jnp.mean(drawn), policy.entropy()[0], rtol=0.02)
