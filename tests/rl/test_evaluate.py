"""Evaluation counts complete episodes, all of them once, and touches nothing."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg as ma
from tests.rl.worlds import Ticker, TickerState, outspoken

CONFIG = ma.rl.PPOConfig(num_envs=4, num_steps=8, minibatches=2)


@pytest.fixture(scope="module")
def algo():
    return ma.rl.PPO(Ticker(), None, ma.rl.ActorCritic("gru", width=8), CONFIG)


@pytest.fixture(scope="module")
def state(algo):
    return jax.jit(algo.init)(jax.random.key(0))


@pytest.fixture(scope="module")
def evaluate(algo):
    return jax.jit(algo.evaluate, static_argnums=2, static_argnames=("greedy", "max_steps"))


def test_each_lane_plays_one_complete_episode(evaluate, state):
    result = evaluate(state, jax.random.key(1), 50)
    assert result.returns.shape == (50,)
    assert result.complete.all()
    lengths = np.asarray(result.lengths)
    assert set(lengths) == {3, 4, 5, 6}
    # Short episodes are not preferred: the four lengths are equally likely.
    assert 3.8 < lengths.mean() < 5.2
    np.testing.assert_array_equal(result.returns, lengths * (lengths + 1) / 2)


def test_the_key_is_evaluations_own(evaluate, state):
    first, again, other = (evaluate(state, jax.random.key(k), 50) for k in (1, 1, 2))
    np.testing.assert_array_equal(first.lengths, again.lengths)
    assert (first.lengths != other.lengths).any()
    trained = eqx.tree_at(lambda s: s.key, state, jax.random.key(9))
    np.testing.assert_array_equal(evaluate(trained, jax.random.key(1), 50).lengths, first.lengths)


class Endless(Ticker):
    def reset(self, key, params):
        obs, state = Ticker().reset(key, params)
        late = jnp.where(state.limit >= 5, 70, 1000)
        return obs, TickerState(state.time, late)


def test_what_does_not_end_within_the_bound_is_said():
    algo = ma.rl.PPO(Endless(), None, ma.rl.ActorCritic("mlp", width=8), CONFIG)
    state = jax.jit(algo.init)(jax.random.key(0))
    result = jax.jit(lambda s, k: algo.evaluate(s, k, 20, max_steps=100))(state, jax.random.key(0))
    complete = np.asarray(result.complete)
    assert complete.any()
    assert not complete.all()
    # 100 is rounded up to whole chunks of 64.
    np.testing.assert_array_equal(result.lengths, np.where(complete, 70, 128))


class Lever(Ticker):
    """Pays 1 for action 2, lasts one step."""

    def transition(self, key, state, action, params):
        observation, state, *_ = Ticker().transition(key, state, action, params)
        yes = jnp.ones((), bool)
        return observation, state, (action == 2).astype(float), yes, ~yes


def test_greedy_takes_the_likeliest_action_and_otherwise_samples():
    algo = ma.rl.PPO(Lever(), None, ma.rl.ActorCritic("mlp", width=8), CONFIG)
    state = jax.jit(algo.init)(jax.random.key(0))
    head = algo.network(state.agent).policy
    biased = eqx.tree_at(
        lambda s: s.agent.params.policy.bias, state, jnp.array([0.0, 0.0, 1.0], head.bias.dtype)
    )
    returns = {
        greedy: jax.jit(lambda s, k, g=greedy: algo.evaluate(s, k, 500, greedy=g).returns)(
            biased, jax.random.key(0)
        )
        for greedy in (True, False)
    }
    assert (returns[True] == 1).all()
    np.testing.assert_allclose(returns[False].mean(), np.e / (2 + np.e), atol=0.07)


def test_memory_is_reset_for_an_evaluation(algo, evaluate, state):
    """A carry left over from training must not reach the evaluation."""
    loud = eqx.tree_at(lambda s: s.agent.params, state, outspoken(state.agent.params))
    filled = eqx.tree_at(
        lambda s: s.rollout.memory, loud, jax.tree.map(lambda x: x + 7, loud.rollout.memory)
    )
    first, second = (evaluate(s, jax.random.key(3), 50) for s in (loud, filled))
    np.testing.assert_array_equal(first.returns, second.returns)
