"""Sensitivity of values to past observations, against memories whose gradients are known."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg as ma
from memoalg.rl._rollout import collect, init_rollout
from memoalg.rl._sensitivity import Sensitivity, _slopes, plot_sensitivity, pooled, sensitivity
from tests.rl.worlds import Ticker

DECAY = 0.5


def fading(in_size, key):
    """The discounted sum of all inputs of the episode: an input of age a has the weight 2^-a."""

    def encode(x):
        return jnp.full_like(x, DECAY), x

    return ma.nn.Memoroid(ma.Affine(in_size), encode, lambda h, x: h, in_size=in_size)


def _affine(dense):
    """x + 1 in every unit."""
    return eqx.tree_at(lambda d: (d.weight, d.bias), dense, (jnp.ones((1, 4)), jnp.ones(4)))


@pytest.fixture(scope="module")
def played():
    env = Ticker()
    agent = ma.rl.ActorCritic(fading, width=4)
    network = agent.init(jax.random.key(0), env.observation_space(None), env.action_space(None))
    # Everything but the memory passes on what it gets; the bias keeps a zero off the relu's kink.
    network = eqx.tree_at(
        lambda n: (n.torso.encoder, n.torso.output.weight, n.value.weight),
        network,
        (_affine(network.torso.encoder), jnp.eye(4), jnp.ones((4, 1))),
    )

    def act(key):
        state = init_rollout(network, env, None, 8, key)
        return collect(network, env, None, state, key, 14)[1]

    return network, jax.jit(act)(jax.random.key(0))


def lengths_by_hand(record):
    """Of each environment's last whole episode. Ticker shows the time: it ends where time restarts."""
    start = np.asarray(record.start)
    found = []
    for e in range(start.shape[1]):
        begun = np.flatnonzero(start[:, e])
        found.append(int(begun[-1] - begun[-2]))
    return found


def test_shares_are_those_of_a_known_memory(played):
    network, record = played
    shares = sensitivity(network, record).shares
    lengths = lengths_by_hand(record)
    assert len(set(lengths)) > 1
    assert shares.shape == (8, max(lengths))
    for row, length in zip(shares, lengths, strict=True):
        wanted = np.where(np.arange(row.size) < length, DECAY ** np.arange(row.size), 0)
        np.testing.assert_allclose(row, wanted / wanted.sum(), atol=1e-6)


def test_a_memory_that_does_not_forget_is_seen(played):
    """The planted fault: with no reset the episodes before have sensitivity, and shares shrink."""
    network, record = played
    slopes = _slopes(network, record, jnp.full(8, 13))
    deaf = eqx.tree_at(lambda r: r.start, record, jnp.zeros_like(record.start))
    leaking = _slopes(network, deaf, jnp.full(8, 13))
    first = np.argmax(np.asarray(record.start[:14])[::-1], axis=0)  # rows since the last start
    for e in range(8):
        before = 13 - first[e]
        assert before > 0
        assert (slopes[:before, e] == 0).all()
        assert (leaking[:before, e] > 0).all()


def test_older_is_cumulated_from_the_oldest():
    curve = Sensitivity(np.array([[0.5, 0.3, 0.2], [1.0, 0.0, 0.0]]))
    np.testing.assert_allclose(curve.older, [[1.0, 0.5, 0.2], [1.0, 0.0, 0.0]])
    assert curve.share_beyond(0) == pytest.approx(0.25)
    assert curve.share_beyond(2) == 0
    mean, low, high = curve.band()
    np.testing.assert_allclose(mean, [1, 0.25, 0.1])
    assert (low <= mean).all()
    assert (mean <= high).all()
    assert low[1] < high[1]


def test_seeds_count_once_each():
    one = Sensitivity(np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]))
    two = Sensitivity(np.array([[0.0, 0.0, 1.0]]))
    np.testing.assert_allclose(pooled([one, two]).shares, [[1, 0, 0], [0, 0, 1]])


def test_a_value_that_depends_on_nothing_is_refused(played):
    network, record = played
    deaf = eqx.tree_at(lambda n: n.value.weight, network, jnp.zeros((4, 1)))
    with pytest.raises(ValueError, match="no value depends on any observation"):
        sensitivity(deaf, record)


def test_a_trajectory_without_whole_episodes_is_refused(played):
    network, record = played
    never = jnp.zeros_like(record.terminated)
    endless = eqx.tree_at(lambda r: (r.terminated, r.truncated), record, (never, never))
    with pytest.raises(ValueError, match=r"within the 14 steps of the trajectory; collect"):
        sensitivity(network, endless)


def test_action_values_have_a_sensitivity_too(played):
    _, record = played
    env = Ticker()
    agent = ma.rl.QAgent("gru", width=4)
    network = agent.init(jax.random.key(0), env.observation_space(None), env.action_space(None))
    carry = jax.vmap(lambda _: network.init_carry())(jnp.arange(8))
    curve = sensitivity(network, eqx.tree_at(lambda r: r.carry, record, carry))
    np.testing.assert_allclose(curve.older[:, 0], 1)


def test_a_picture(tmp_path):
    pytest.importorskip("matplotlib")
    curve = Sensitivity(np.array([[0.5, 0.3, 0.2], [1.0, 0.0, 0.0]]))
    path = plot_sensitivity({"one": curve, "seeds": [curve, curve]}, tmp_path / "s.png", needed=1)
    assert path.stat().st_size > 5_000
