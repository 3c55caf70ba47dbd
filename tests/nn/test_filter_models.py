"""Beliefs are exact: hidden Markov models and Kalman filters against Bayes' rule written out."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg as ma
from memoalg.algebra._hidden_markov import HiddenMarkov
from memoalg.nn.models._hmm import HMM
from memoalg.nn.models._kalman import KalmanFilter
from tests.nn.zoo.case import cast, perturbed, replaced

T = 6
START = np.zeros(T, bool)
START[[0, 2]] = True


def generators(layer, xs):
    """What the layer encodes, its fixed parts repeated."""
    is_fixed = lambda node: isinstance(node, ma.Fixed)
    plain = lambda node: node.value if is_fixed(node) else node
    return jax.vmap(lambda x: jax.tree.map(plain, layer.encode(x), is_leaf=is_fixed))(xs)


@functools.partial(jax.jit, static_argnums=3)
def states(layer, xs, start, method):
    """The state after every step."""
    return ma.trajectory(
        layer.monoid,
        layer.init_carry(),
        generators(layer, xs),
        start,
        initial_state=layer.initial_state(),
        method=method,
    )[1]


def small_hmm():
    return perturbed(HMM(3, 2, 3, heads=2, key=jax.random.key(0)), 0.5)


def inputs(length, seed=1):
    return jax.random.normal(jax.random.key(seed), (length, 3))


def model_of(layer, xs, head):
    """Prior, transition and likelihoods of one head, as probabilities."""
    prior = np.exp(np.asarray(layer.initial_logits[head], np.float64))
    a = np.exp(np.asarray(layer.transition_logits[head], np.float64))
    scores = np.asarray(xs, np.float64) @ np.asarray(layer.likelihood.weight, np.float64).T
    scores = (scores + np.asarray(layer.likelihood.bias, np.float64)).reshape(len(xs), 2, -1)
    return prior / prior.sum(), a / a.sum(1, keepdims=True), np.exp(scores[:, head])


def forward(prior, a, b, start):
    """The forward algorithm, on probabilities."""
    belief, found = prior, []
    for seen, begins in zip(b, start, strict=True):
        belief = seen * ((prior if begins else belief) @ a)
        belief = belief / belief.sum()
        found.append(belief)
    return np.array(found)


@pytest.mark.parametrize("method", [ma.Sequential(), ma.Associative()], ids=["loop", "tree"])
def test_the_hmm_is_the_forward_algorithm(method):
    layer, xs = small_hmm(), inputs(T)
    beliefs = np.exp(states(layer, xs, jnp.asarray(START), method))
    for head in range(2):
        wanted = forward(*model_of(layer, xs, head), START)
        np.testing.assert_allclose(beliefs[:, head], wanted, atol=1e-6)


def test_the_hmm_is_the_sum_over_all_paths():
    """Bayes' rule without a recursion: the weight of every path of hidden states, by its end."""
    layer, xs = small_hmm(), inputs(T)
    belief = np.exp(states(layer, xs, jnp.zeros(T, bool), ma.Sequential()))[-1, 0]
    prior, a, b = model_of(layer, xs, 0)
    wanted = np.zeros(3)
    for path in itertools.product(range(3), repeat=T + 1):
        weight = prior[path[0]]
        for t in range(T):
            weight *= a[path[t], path[t + 1]] * b[t, path[t + 1]]
        wanted[path[-1]] += weight
    np.testing.assert_allclose(belief, wanted / wanted.sum(), atol=1e-6)


def test_a_factor_of_all_likelihoods_changes_nothing():
    """Observations are known up to a factor: even one that no float holds."""
    layer, xs, start = small_hmm(), inputs(T), jnp.asarray(START)
    bias = layer.likelihood.bias + 200.0
    shifted = replaced(layer, likelihood=replaced(layer.likelihood, bias=bias))
    for method in (ma.Sequential(), ma.Associative()):
        one, other = states(layer, xs, start, method), states(shifted, xs, start, method)
        np.testing.assert_allclose(one, other, atol=2e-4)


def test_beliefs_do_not_drift_in_a_hundred_thousand_steps():
    """The likelihood of the data falls below exp(-1e5); the belief is that of the last steps."""
    layer, length = small_hmm(), 100_000
    bias = layer.likelihood.bias - 3.0
    layer = replaced(layer, likelihood=replaced(layer.likelihood, bias=bias))
    xs = inputs(length)
    found = states(layer, xs, jnp.zeros(length, bool), ma.Sequential())[-1]
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1, atol=1e-6)
    for head in range(2):
        prior, a, b = model_of(layer, xs[-500:], head)
        wanted = forward(prior, a, b, np.zeros(500, bool))[-1]
        np.testing.assert_allclose(np.exp(found[head]), wanted, atol=1e-6)
    product = jax.jit(_product)(layer, xs[:4096])
    np.testing.assert_array_equal(product.max(axis=(1, 2)), 0)


def _product(layer, xs):
    return ma.fold(layer.monoid, jax.vmap(layer.monoid.expand)(generators(layer, xs)))


def test_forbidden_transitions_have_finite_gradients():
    """A left-to-right model: what is impossible stays so, and moves nothing."""
    layer = HMM(3, 2, 3, key=jax.random.key(0))
    allowed = np.triu(np.ones((3, 3), bool))
    logits = jnp.where(allowed[None], layer.transition_logits, -jnp.inf)
    layer = replaced(
        layer, transition_logits=logits, initial_logits=jnp.array([[0, -jnp.inf, -jnp.inf]])
    )
    for method in (ma.Sequential(), ma.Associative()):

        @jax.jit
        @jax.value_and_grad
        def loss(layer, method=method):
            ys = layer(layer.init_carry(), inputs(T), jnp.asarray(START), method=method)[1]
            return jnp.sum(jnp.sin(ys))

        value, gradient = loss(layer)
        assert np.isfinite(value)
        for leaf in jax.tree.leaves(gradient):
            assert np.all(np.isfinite(leaf))
        np.testing.assert_array_equal(gradient.transition_logits[0][~allowed], 0)
        assert np.any(gradient.transition_logits[0][allowed] != 0)


def test_impossible_observations_leave_no_belief_and_no_nan():
    monoid = HiddenMarkov(3)
    step = jnp.log(jnp.eye(3)), jnp.full(3, -jnp.inf)
    state = monoid.advance(monoid.initial_state(), step)
    np.testing.assert_array_equal(state, -np.inf)
    np.testing.assert_array_equal(monoid.advance(state, (step[0], jnp.zeros(3))), -np.inf)
    np.testing.assert_array_equal(monoid.combine(monoid.expand(step), monoid.identity()), -np.inf)


def test_a_hidden_markov_model_follows_parity_for_a_thousand_steps():
    """States (parity, last bit): the bit is drawn, seen without noise, and toggles the parity."""
    layer = HMM(2, 4, 4, key=jax.random.key(0))
    pairs = list(itertools.product(range(2), range(2)))
    logits = np.array([[0 if s[0] ^ t[1] == t[0] else -np.inf for t in pairs] for s in pairs])
    seen = np.array([[200.0 if pair[1] == bit else -200.0 for bit in range(2)] for pair in pairs])
    layer = replaced(
        layer,
        transition_logits=jnp.asarray(logits[None], jnp.float32),
        initial_logits=jnp.array([[0, -jnp.inf, -jnp.inf, -jnp.inf]]),
        likelihood=replaced(layer.likelihood, weight=jnp.asarray(seen, jnp.float32)),
    )
    bits = np.random.default_rng(0).integers(0, 2, 1000)
    xs, start = jax.nn.one_hot(bits, 2), jnp.zeros(1000, bool)
    beliefs = np.exp(states(layer, xs, start, ma.Sequential()))[:, 0]
    np.testing.assert_allclose(beliefs[:, :2].sum(1), np.cumsum(bits) % 2 == 0, atol=1e-5)


def small_filter():
    """State of 3, sensors of 2, in double precision."""
    layer = KalmanFilter(3, 2, 3, observation_size=2, heads=2, key=jax.random.key(0))
    layer = perturbed(layer)
    with jax.enable_x64(True):
        return cast(layer, "float64")


def parameters(layer, xs, head):
    """(F, Q, H, R, observations, mean, covariance) of one head."""
    softplus = lambda raw: np.diag(np.log1p(np.exp(np.asarray(raw[head]))))
    seen = np.asarray(xs) @ np.asarray(layer.sensors.weight).T + np.asarray(layer.sensors.bias)
    return (
        np.asarray(layer.transition[head]),
        softplus(layer.process_noise),
        np.asarray(layer.observation[head]),
        softplus(layer.observation_noise) + 1e-4 * np.eye(2),
        seen.reshape(len(xs), 2, 2)[:, head],
        np.asarray(layer.initial_mean[head]),
        softplus(layer.initial_spread),
    )


@pytest.mark.parametrize("method", [ma.Sequential(), ma.Associative()], ids=["loop", "tree"])
def test_the_kalman_filter_is_the_textbook_one(method):
    """Predict and update, the covariance updated by inverses (the information form), with resets."""
    layer = small_filter()
    with jax.enable_x64(True):
        xs = jnp.asarray(np.random.default_rng(0).normal(size=(T, 3)))
        means, covariances = states(layer, xs, jnp.asarray(START), method)
    for head in range(2):
        f, q, h, r, seen, first, spread = parameters(layer, xs, head)
        mean, covariance = first, spread
        for t in range(T):
            mean, covariance = (first, spread) if START[t] else (mean, covariance)
            predicted, known = f @ mean, np.linalg.inv(f @ covariance @ f.T + q)
            covariance = np.linalg.inv(known + h.T @ np.linalg.inv(r) @ h)
            mean = covariance @ (known @ predicted + h.T @ np.linalg.inv(r) @ seen[t])
            np.testing.assert_allclose(means[t, head], mean, atol=1e-10)
            np.testing.assert_allclose(covariances[t, head], covariance, atol=1e-10)


def test_the_kalman_filter_is_a_conditional_gaussian():
    """Bayes' rule without a recursion: the last state given all observations, from their joint law."""
    layer = small_filter()
    with jax.enable_x64(True):
        xs = jnp.asarray(np.random.default_rng(0).normal(size=(T, 3)))
        means, covariances = states(layer, xs, jnp.zeros(T, bool), ma.Sequential())
    f, q, h, r, seen, mean, spread = parameters(layer, xs, 1)
    # z_t, as a linear map of what is drawn: z_0 and the noise of every step.
    rows, drawn = [np.eye(3, 3 * (T + 1))], np.kron(np.diag([0.0] + [1.0] * T), q)
    drawn[:3, :3] = spread
    for t in range(1, T + 1):
        rows.append(f @ rows[-1] + np.eye(3, 3 * (T + 1), 3 * t))
    expected = [np.linalg.matrix_power(f, t) @ mean for t in range(T + 1)]
    sensed = np.concatenate([h @ row for row in rows[1:]])
    of_seen = sensed @ drawn @ sensed.T + np.kron(np.eye(T), r)
    gain = rows[-1] @ drawn @ sensed.T @ np.linalg.inv(of_seen)
    surprise = seen.ravel() - np.concatenate([h @ m for m in expected[1:]])
    np.testing.assert_allclose(means[-1, 1], expected[-1] + gain @ surprise, atol=1e-10)
    wanted = rows[-1] @ drawn @ rows[-1].T - gain @ sensed @ drawn @ rows[-1].T
    np.testing.assert_allclose(covariances[-1, 1], wanted, atol=1e-10)


def test_covariances_settle_and_stay_positive():
    """In float32: after long the covariance repeats, whatever was seen, and is symmetric and positive."""
    layer = perturbed(KalmanFilter(3, 2, 4, observation_size=2, heads=2, key=jax.random.key(0)))
    start = jnp.zeros(5000, bool)
    means, covariances = states(layer, inputs(5000), start, ma.Sequential())
    others = states(layer, inputs(5000, seed=2), start, ma.Sequential())
    np.testing.assert_array_equal(covariances, others[1])
    assert np.max(np.abs(means - others[0])) > 0.1
    np.testing.assert_allclose(covariances[-1], covariances[-100], rtol=1e-5)
    np.testing.assert_array_equal(covariances, np.swapaxes(covariances, 2, 3))
    assert np.linalg.eigvalsh(np.asarray(covariances, np.float64)).min() > 0


def test_the_steps_of_a_filter_are_made_once():
    """All but what is seen is fixed: it has no time axis."""
    layer = KalmanFilter(3, 2, 4, observation_size=2, heads=2, key=jax.random.key(0))
    kinds = [isinstance(part, ma.Fixed) for part in layer.encode(jnp.zeros(3))]
    assert kinds == [True, False, True, False, True]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda key: HMM(3, 2, 0, key=key), "state_size=0"),
        (lambda key: HMM(3, 2, 4, stay=1.0, key=key), "0 < stay < 1"),
        (lambda key: KalmanFilter(3, 2, 4, observation_size=0, key=key), "observation_size=0"),
    ],
    ids=["states", "stay", "sensors"],
)
def test_bad_sizes_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make(jax.random.key(0))
