"""PPO's options, each against what it claims; the plain algorithm is in `test_ppo`."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg as ma
from memoalg.rl import _learn
from memoalg.rl._learn import make_batch
from memoalg.rl._rollout import collect
from tests.rl.worlds import Echo, Ticker

CONFIG = ma.rl.PPOConfig(num_envs=4, num_steps=8, minibatches=2, epochs=3, learning_rate=1e-2)
AGENT = ma.rl.ActorCritic("gru", width=8)


def made(agent=AGENT, env=None, **changes):
    return ma.rl.PPO(env or Ticker(), None, agent, dataclasses.replace(CONFIG, **changes))


def trained(algo, updates=2):
    return jax.jit(algo.train, static_argnums=1)(jax.random.key(0), updates * 32)


@pytest.fixture(scope="module")
def begun():
    return jax.jit(made().init)(jax.random.key(0))


@pytest.fixture(scope="module")
def acted(begun):
    algo = made()
    network = algo.network(begun.agent)
    run = jax.jit(lambda s, k: collect(network, algo.env, None, s, k, 8))
    state, _, _ = run(begun.rollout, jax.random.key(1))
    return network, run(state, jax.random.key(2))[1]


def test_separate_torsos_share_nothing():
    agent = ma.rl.ActorCritic("gru", width=8, separate=True)
    algo = made(agent)
    state, metrics = trained(algo)
    assert metrics.first_ratio_error.max() <= 1e-6
    network = algo.network(state.agent)
    carry = jax.tree.map(lambda x: x[None], network.init_carry())

    def value(torso):
        moved = eqx.tree_at(lambda n: n.torso, network, torso)
        return moved(carry, jnp.ones((3, 1, 1)), jnp.zeros((3, 1), bool))[2].sum()

    slopes = eqx.filter_grad(value)(network.torso)
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(slopes))
    first, second = network.torso.encoder.weight, network.critic.encoder.weight
    assert not np.array_equal(first, second)


def test_advantages_normalised_over_the_batch_or_not_at_all(acted):
    _, record = acted
    plain = make_batch(record, dataclasses.replace(CONFIG, normalize_advantages="none"))
    batch = make_batch(record, dataclasses.replace(CONFIG, normalize_advantages="batch"))
    wanted = np.asarray(plain.advantages)
    wanted = (wanted - wanted.mean()) / (wanted.std() + 1e-8)
    np.testing.assert_allclose(batch.advantages, wanted, rtol=1e-4)
    np.testing.assert_array_equal(batch.targets, plain.targets)


def policy_loss_of(acted, advantages, **changes):
    network, record = acted
    config = dataclasses.replace(CONFIG, **changes)
    batch = eqx.tree_at(lambda b: b.advantages, make_batch(record, config), advantages)
    return float(jax.jit(lambda n: _learn.loss(n, batch, config)[1].policy_loss)(network))


def test_only_minibatch_normalises_within_the_loss(acted):
    advantages = jnp.full((8, 4), 3.0)
    assert abs(policy_loss_of(acted, advantages, normalize_advantages="none") + 3) < 1e-4
    assert abs(policy_loss_of(acted, advantages, normalize_advantages="batch") + 3) < 1e-4
    assert abs(policy_loss_of(acted, advantages)) < 1e-4


def test_a_burn_in_is_not_learned_from(acted):
    changes = {"burn_in": 3, "normalize_advantages": "none"}
    advantages = jnp.ones((8, 4))
    plain = policy_loss_of(acted, advantages, **changes)
    assert policy_loss_of(acted, advantages.at[:3].set(100.0), **changes) == plain
    assert policy_loss_of(acted, advantages.at[3:].set(100.0), **changes) != plain


def test_a_burn_in_stops_the_gradient_through_the_carry(acted):
    network, record = acted
    config = dataclasses.replace(CONFIG, burn_in=3)
    batch = make_batch(record, config)

    def loss(first):
        moved = batch.observations.at[:3].set(first)
        return _learn.loss(network, eqx.tree_at(lambda b: b.observations, batch, moved), config)[0]

    observations = batch.observations[:3]
    value, slope = jax.jit(jax.value_and_grad(loss))(observations)
    assert (slope == 0).all()
    assert float(jax.jit(loss)(observations + 1)) != float(value)  # the memory is warmed up by them


def test_a_tiny_target_kl_ends_the_update_after_one_epoch():
    algo = made(target_kl=0.0)
    state, metrics = trained(algo, 1)
    np.testing.assert_allclose(metrics.active_share, 1 / 3)
    alone, single = trained(made(epochs=1), 1)
    # The first epoch shuffles alike: what was masked afterwards left no trace.
    order = jax.jit(lambda k: _learn.environment_order(k, 4, 3, 2))(jax.random.key(3))
    assert order.shape == (6, 2)
    assert metrics.policy_loss.shape == single.policy_loss.shape
    assert np.isfinite(metrics.grad_norm).all()
    count = [s.agent.optimizer[1][0].count for s in (state, alone)]
    np.testing.assert_array_equal(*count)


def test_a_wide_target_kl_changes_nothing():
    state, metrics = trained(made(target_kl=1e9))
    np.testing.assert_array_equal(metrics.active_share, 1.0)
    plain, _ = trained(made())
    for a, b in zip(*map(jax.tree.leaves, (state.agent, plain.agent)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_refreshed_values_are_those_of_the_present_parameters(acted):
    network, record = acted
    same = jax.jit(_learn.refreshed_values)(network, record)
    np.testing.assert_allclose(same.values, record.values, atol=1e-6)
    other = eqx.tree_at(lambda n: n.value.bias, network, network.value.bias + 1.0)
    moved = jax.jit(_learn.refreshed_values)(other, record)
    np.testing.assert_allclose(moved.values, record.values + 1.0, atol=1e-5)
    np.testing.assert_array_equal(moved.log_probs, record.log_probs)


def test_a_refreshed_memory_is_what_the_new_parameters_remember():
    algo = made(refresh="epoch")
    begun = jax.jit(algo.init)(jax.random.key(0))
    state, metrics = jax.jit(algo.update)(begun)
    assert metrics.first_ratio_error <= 1e-6
    plain = made()
    kept, _ = jax.jit(plain.update)(jax.jit(plain.init)(jax.random.key(0)))
    # Acting was the same, what was learned is not, and neither is the memory that goes on.
    np.testing.assert_array_equal(state.rollout.observation, kept.rollout.observation)
    assert not np.array_equal(state.rollout.memory, kept.rollout.memory)
    state, metrics = jax.jit(algo.update)(state)
    assert metrics.first_ratio_error <= 1e-6


def test_entropy_weight_and_learning_rate_go_to_their_ends():
    from memoalg.rl._optimizer import linear

    at = [float(linear(0.1, 0.02, jnp.uint32(n), 64)) for n in (0, 32, 64, 999)]
    np.testing.assert_allclose(at, [0.1, 0.06, 0.02, 0.02], rtol=1e-6)
    assert float(linear(0.1, 0.02, jnp.uint32(999), None)) == np.float32(0.1)
    # At rate 0 from the beginning nothing is learned; with an end above 0 learning goes on.
    state, _ = trained(made(anneal_frames=32, learning_rate_end=1e-2), 2)
    constant, _ = trained(made(), 2)
    np.testing.assert_array_equal(
        state.agent.params.value.weight, constant.agent.params.value.weight
    )


def test_the_entropy_weight_is_scheduled_in_training():
    weighty = made(entropy=5.0, entropy_end=0.0, anneal_frames=32, learning_rate_end=1e-2)
    begun = jax.jit(weighty.init)(jax.random.key(0))
    late = eqx.tree_at(lambda s: s.shared.frames, begun, jnp.uint32(32))
    update = jax.jit(weighty.update)
    none = jax.jit(made(entropy=0.0).update)(begun)[0].agent.params.policy.weight
    np.testing.assert_allclose(update(late)[0].agent.params.policy.weight, none, atol=1e-6)
    assert not np.allclose(update(begun)[0].agent.params.policy.weight, none, atol=1e-4)


class Loud(Echo):
    """Shows numbers around 100, and pays a hundredfold."""

    def transition(self, key, state, action, params):
        observation, state, reward, terminated, truncated = Echo().transition(
            key, state, action, params
        )
        return 100 + 10 * observation, state, 100 * reward, terminated, truncated


@pytest.fixture(scope="module")
def normalised():
    env = ma.envs.NormaliseObservation(Loud(), ma.Moments(2))
    env = ma.envs.NormaliseReward(env, ma.Moments(), discount=0.99)
    algo = ma.rl.PPO(env, env.default_params(), AGENT, CONFIG)
    begun = jax.jit(algo.init)(jax.random.key(0))
    update = jax.jit(algo.update)
    state, _ = update(begun)
    state, metrics = update(state)
    return algo, begun, state, metrics


def test_statistics_are_gathered_in_the_state_and_used(normalised):
    _, begun, state, metrics = normalised
    count = [int(s.agent.env_params.inner.statistics[0]) for s in (begun, state)]
    assert count[0] >= 4
    assert count[1] - count[0] >= 2 * 32  # every observation, those of new episodes included
    assert int(state.agent.env_params.statistics[0]) == 2 * 32
    assert metrics.first_ratio_error <= 1e-5
    shown = np.asarray(state.rollout.observation)
    assert np.abs(shown).max() < 20
    # The gathered numbers were absorbed: none is counted twice.
    assert int(np.asarray(state.rollout.env_state.own.statistics[0]).sum()) == 0


def test_returns_are_reported_in_the_tasks_units(normalised):
    algo, _, state, metrics = normalised
    mean = float(metrics.return_sum) / int(metrics.episodes)
    assert mean < -30  # four steps of -100 (0.5 ± 1)^2, and not of size 1
    result = jax.jit(lambda s, k: algo.evaluate(s, k, 16))(state, jax.random.key(0))
    assert result.returns.mean() < -30


def test_evaluation_leaves_the_statistics_alone(normalised):
    algo, _, state, _ = normalised
    evaluate = jax.jit(lambda s, k: algo.evaluate(s, k, 16))
    first = evaluate(state, jax.random.key(0))
    np.testing.assert_array_equal(evaluate(state, jax.random.key(0)).returns, first.returns)
    # It reads them, frozen: other statistics, other actions.
    changed = eqx.tree_at(
        lambda s: s.agent.env_params.inner.statistics[1],
        state,
        state.agent.env_params.inner.statistics[1] + 50.0,
    )
    assert not np.array_equal(evaluate(changed, jax.random.key(0)).returns, first.returns)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"refresh": "always"}, "refresh must be 'never' or 'epoch', not 'always'"),
        ({"normalize_advantages": True}, "normalize_advantages must be 'minibatch' or 'batch' or"),
        ({"burn_in": 8}, "burn_in=8 leaves none of num_steps=8 to learn from; write a burn_in be"),
        ({"burn_in": -1}, "burn_in must be an int of at least 0, not -1"),
        ({"target_kl": -0.1}, "target_kl must lie in"),
    ],
)
def test_an_impossible_option(change, message, without_hook):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(CONFIG, **change)
