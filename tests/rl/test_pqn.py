"""PQN: targets against a loop, replay, burn-in, schedules, errors."""

import dataclasses
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg as ma
from memoalg.rl import _pqn
from memoalg.rl._pqn import QBatch, lambda_returns
from memoalg.rl._rollout import collect, init_rollout
from tests.rl.worlds import Counter, Echo, Ticker, counter

CONFIG = ma.rl.PQNConfig(
    num_envs=4, num_steps=8, minibatches=2, epochs=2, discount=0.9, trace_decay=0.8
)
AGENT = ma.rl.QAgent("gru", width=8)


@pytest.fixture(scope="module")
def algo():
    return ma.rl.PQN(Ticker(), None, AGENT, CONFIG)


@pytest.fixture(scope="module")
def begun(algo):
    return jax.jit(algo.init)(jax.random.key(0))


@pytest.fixture(scope="module")
def update(algo):
    return jax.jit(algo.update)


def test_a_state_is_arrays_of_fixed_type(algo, begun):
    following, _ = jax.eval_shape(algo.update, begun)
    assert jax.tree.structure(begun) == jax.tree.structure(following)
    for before, after in zip(jax.tree.leaves(begun), jax.tree.leaves(following), strict=True):
        assert jax.typeof(before) == jax.typeof(after)


def test_metrics(update, begun):
    state, metrics = update(begun)
    for number in range(2, 4):
        state, metrics = update(state)
        assert int(metrics.update) == number
        assert metrics.first_value_error <= 1e-5
        assert metrics.grad_norm > 0
    assert 0.99 < float(metrics.epsilon) < 1
    before, after = (s.agent.params.torso.output.weight for s in (begun, state))
    assert not np.array_equal(before, after)


def counting_values(width: int = 4) -> ma.rl.QNetwork:
    """A Q-network whose best value is the number of steps of the episode."""
    env = Ticker()
    agent = ma.rl.QAgent(counter, width=width, normalise=False)
    network = agent.init(jax.random.key(0), env.observation_space(None), env.action_space(None))
    best = jnp.zeros((width, 3)).at[0, 1].set(1.0)
    where = (lambda n: (n.torso.output.weight, n.advantage.weight), network)
    return eqx.tree_at(*where, (jnp.eye(width), best))


@pytest.fixture(scope="module")
def counted():
    network, env = counting_values(), Ticker()

    def act(key):
        actor = ma.rl.Exploring(network, jnp.float32(0.5))
        rollout = init_rollout(actor, env, None, 4, key)
        return collect(actor, env, None, rollout, key, 16)[1]

    return jax.jit(act)(jax.random.key(0))


def targets_by_hand(record) -> np.ndarray:
    """After the step at time t the observation shows t + 1, and its best value is t + 2."""
    times = np.asarray(record.observations)[..., 0]
    terminated, truncated = np.asarray(record.terminated), np.asarray(record.truncated)
    steps, lanes = terminated.shape
    wanted = np.zeros((steps, lanes))
    for e in range(lanes):
        for t in reversed(range(steps)):
            after = times[t, e] + 2
            cut = truncated[t, e] or t == steps - 1
            traced = after if cut else (1 - 0.8) * after + 0.8 * wanted[min(t + 1, steps - 1), e]
            wanted[t, e] = times[t, e] + 1 + (0.0 if terminated[t, e] else 0.9 * traced)
    return wanted


def test_targets_are_those_of_a_loop_over_episodes(counted):
    for flag in (counted.terminated, counted.truncated):
        assert flag[:-1].any(), "an ending is missing inside the rollout: the test is blind"
    np.testing.assert_allclose(lambda_returns(counted, CONFIG), targets_by_hand(counted), rtol=1e-6)


def test_fresh_targets_are_those_of_the_rollout_while_nothing_was_learned(counted):
    network = counting_values()
    wrong = jnp.full(counted.rewards.shape, 1e6)  # what the rollout's targets are is not read
    config = dataclasses.replace(CONFIG, target_refresh="minibatch", num_steps=16)
    fresh, parts = jax.jit(partial(_pqn.loss, config=config))(
        network, QBatch(counted.carry, counted, wrong)
    )
    once = dataclasses.replace(CONFIG, num_steps=16)
    batch = QBatch(counted.carry, counted, lambda_returns(counted, once))
    wanted, _ = jax.jit(partial(_pqn.loss, config=once))(network, batch)
    np.testing.assert_allclose(fresh, wanted, rtol=1e-6)
    assert float(parts.value_error) <= 1e-5


def test_fresh_targets_have_no_gradient(counted):
    config = dataclasses.replace(CONFIG, target_refresh="minibatch", num_steps=16)
    network = counting_values()
    batch = QBatch(counted.carry, counted, lambda_returns(counted, CONFIG))

    def value(bias, config):
        moved = eqx.tree_at(lambda n: n.advantage.bias, network, bias)
        return _pqn.loss(moved, batch, config)[0]

    slope = jax.jit(jax.grad(value), static_argnums=1)
    # The bias of an action that is never the best moves no target, whether they are fresh or not.
    bias = network.advantage.bias
    fresh, once = (
        slope(bias, config),
        slope(bias, dataclasses.replace(config, target_refresh="rollout")),
    )
    np.testing.assert_allclose(fresh, once, rtol=1e-5)


@pytest.mark.parametrize("refresh", ["rollout", "minibatch"])
def test_a_burn_in_is_not_learned_from(counted, refresh):
    config = dataclasses.replace(CONFIG, target_refresh=refresh, num_steps=16, burn_in=5)
    network = counting_values()
    batch = QBatch(counted.carry, counted, lambda_returns(counted, CONFIG))
    spoiled = eqx.tree_at(
        lambda b: (b.targets, b.record.rewards),
        batch,
        (batch.targets.at[:5].add(1e3), batch.record.rewards.at[:5].add(1e3)),
    )
    compute = jax.jit(lambda b: _pqn.loss(network, b, config)[0])
    np.testing.assert_array_equal(compute(batch), compute(spoiled))
    later = eqx.tree_at(lambda b: b.record.rewards, batch, batch.record.rewards.at[6:].add(1e3))
    later = eqx.tree_at(lambda b: b.targets, later, later.targets.at[6:].add(1e3))
    assert compute(later) > 10 * compute(batch)


def test_a_memory_that_resets_late_in_learning_is_seen():
    class Late(Counter):
        def __call__(self, carry, xs, start, *, method=None):
            return super().__call__(carry, xs, jnp.roll(start, 1))

    # Without a layer norm: it would take the size of the count away.
    agent = ma.rl.QAgent(lambda n, k: Late(n, n), width=4, dueling=True, normalise=False)
    broken = ma.rl.PQN(Ticker(), None, agent, CONFIG)
    _, metrics = jax.jit(broken.train, static_argnums=1)(jax.random.key(0), 64)
    assert metrics.first_value_error.max() > 1e-4


def test_exploration_falls_and_its_branch_is_the_actors(algo, begun):
    def epsilon(frames):
        shared = ma.rl.SharedState(update=jnp.int32(0), frames=jnp.uint32(frames))
        return float(algo.actor(begun.agent, shared).epsilon)

    assert epsilon(0) == 1.0
    np.testing.assert_allclose(epsilon(50_000), 0.51, rtol=1e-6)
    np.testing.assert_allclose([epsilon(100_000), epsilon(10**6)], 0.02, rtol=1e-6)


def test_epsilon_greedy_draws_as_it_says():
    values = jnp.broadcast_to(jnp.array([0.0, 2.0, 1.0]), (4000, 3))
    policy = ma.rl.EpsilonGreedy(values, jnp.full(4000, 0.3))
    drawn = np.bincount(np.asarray(policy.sample(jax.random.key(0))), minlength=3) / 4000
    wanted = np.exp(
        np.asarray(jax.vmap(lambda p, a: p.log_prob(a), (None, 0))(policy, jnp.arange(3)))
    )
    np.testing.assert_allclose(wanted[:, 0], [0.1, 0.8, 0.1], rtol=1e-5)
    np.testing.assert_allclose(drawn, [0.1, 0.8, 0.1], atol=0.03)
    np.testing.assert_allclose(
        policy.entropy(), -(0.8 * np.log(0.8) + 0.2 * np.log(0.1)), rtol=1e-5
    )


def test_dueling_heads_add_up():
    agent = ma.rl.QAgent("mlp", width=8, dueling=True)
    network = agent.init(jax.random.key(0), ma.envs.Box(-1, 1, (2,)), ma.envs.Discrete(3))
    _, features = network.torso.step(network.torso.init_carry(), jnp.ones(2), jnp.array(True))
    _, policy, best = network.step(network.init_carry(), jnp.ones(2), jnp.array(True))
    np.testing.assert_allclose(
        jnp.mean(policy.action_values), network.value(features)[0], rtol=1e-5
    )
    np.testing.assert_array_equal(best, policy.action_values.max())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"minibatches": 3}, "PQNConfig: num_envs=4 cannot be split into minibatches=3"),
        ({"burn_in": 8}, "burn_in=8 leaves none of num_steps=8 to learn from"),
        ({"target_refresh": "never"}, "target_refresh must be 'rollout' or 'minibatch'"),
        ({"epsilon": 2.0}, r"epsilon must lie in \[0, 1\], not 2.0"),
        ({"epsilon_frames": 0}, "epsilon_frames must be an int of at least 1, not 0"),
    ],
)
def test_an_impossible_configuration(change, message, without_hook):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(CONFIG, **change)


def test_continuous_actions_are_refused(without_hook):
    with pytest.raises(TypeError, match=r"finitely many actions, the action space is Box; use"):
        ma.rl.PQN(Echo(), None, AGENT, CONFIG)


def test_arguments_in_the_wrong_place(without_hook):
    with pytest.raises(TypeError, match=r"PQN: agent must be QAgent, not ActorCritic; write"):
        ma.rl.PQN(Ticker(), None, ma.rl.ActorCritic("gru"), CONFIG)
