"""PPO as a whole: state, determinism, metrics, seeds, continuous actions, errors."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg as ma
from memoalg.rl._rollout import bounded, collect
from tests.rl.worlds import Counter, Echo, Ticker

CONFIG = ma.rl.PPOConfig(num_envs=4, num_steps=8, minibatches=2, epochs=2, learning_rate=1e-3)
AGENT = ma.rl.ActorCritic("gru", width=8)
# What is compared bit for bit, with the emitters that the suite goes without for speed.
AS_USERS_COMPILE = {"xla_cpu_use_fusion_emitters": True}


@pytest.fixture(scope="module")
def algo():
    return ma.rl.PPO(Ticker(), None, AGENT, CONFIG)


@pytest.fixture(scope="module")
def update(algo):
    return jax.jit(algo.update, compiler_options=AS_USERS_COMPILE)


@pytest.fixture(scope="module")
def begun(algo):
    return jax.jit(algo.init, compiler_options=AS_USERS_COMPILE)(jax.random.key(0))


def after(update, state, updates):
    metrics = []
    for _ in range(updates):
        state, reported = update(state)
        metrics.append(reported)
    return state, jax.tree.map(lambda *x: jnp.stack(x), *metrics)


def raw(tree):
    """Leaves as numpy, keys as their data."""

    def data(x):
        typed = jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
        return np.asarray(jax.random.key_data(x) if typed else x)

    return jax.tree.map(data, tree)


def assert_equal(first, second):
    jax.tree.map(np.testing.assert_array_equal, raw(first), raw(second))


def test_a_state_is_arrays_of_fixed_type(algo, begun):
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(begun))
    following, _ = jax.eval_shape(algo.update, begun)
    assert jax.tree.structure(begun) == jax.tree.structure(following)
    for before, after in zip(jax.tree.leaves(begun), jax.tree.leaves(following), strict=True):
        assert jax.typeof(before) == jax.typeof(after)
        assert not getattr(before, "weak_type", False)


def test_train_is_the_loop_of_updates_bit_for_bit(algo, update, begun):
    train = jax.jit(algo.train, static_argnums=1, compiler_options=AS_USERS_COMPILE)
    state, metrics = train(jax.random.key(0), 4 * 32 - 5)
    loop_state, loop_metrics = after(update, begun, 4)
    assert_equal(state, loop_state)
    assert_equal(metrics, loop_metrics)
    assert int(state.shared.update) == 4
    assert int(state.shared.frames) == 128 == 4 * algo.frames_per_update


def test_updates_are_a_function_of_the_key(algo, update, begun):
    first, _ = after(update, begun, 2)
    assert_equal(first, after(update, begun, 2)[0])
    other, _ = after(update, eqx.tree_at(lambda s: s.key, begun, jax.random.key(1)), 2)
    weights = [np.asarray(s.agent.params.policy.weight) for s in (begun, first, other)]
    assert not np.array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[1], weights[2])


def test_old_keys_are_taken(algo, begun):
    assert_equal(jax.jit(algo.init)(jax.random.PRNGKey(0)), begun)


def test_metrics(update, begun):
    state, metrics = after(update, begun, 3)
    np.testing.assert_array_equal(metrics.update, [1, 2, 3])
    np.testing.assert_array_equal(metrics.frames, [32, 64, 96])
    assert (metrics.first_ratio_error <= 1e-6).all()
    assert (metrics.approx_kl >= -1e-6).all()
    assert (metrics.grad_norm > 0).all()
    np.testing.assert_allclose(metrics.entropy, np.log(3), atol=0.01)
    # An episode of n steps in Ticker returns 1 + 2 + ... + n, with n from 3 to 6.
    lengths, count = metrics.length_sum.sum(), metrics.episodes.sum()
    assert 3 * count <= lengths <= 6 * count
    running = state.rollout.episode_length
    assert int(lengths) + int(running.sum()) == 96
    np.testing.assert_array_equal(
        state.rollout.episode_return, (running * (running + 1) // 2).astype(float)
    )


def test_episode_sums_against_a_plain_loop(algo, begun):
    network = algo.network(begun.agent)
    run = jax.jit(lambda s, k: collect(network, algo.env, None, s, k, 20))
    _, record, sums = run(begun.rollout, jax.random.key(5))
    for e in range(4):
        returns, lengths, total, length = [], [], 0.0, 0
        for t in range(20):
            total, length = total + float(record.rewards[t, e]), length + 1
            if record.terminated[t, e] or record.truncated[t, e]:
                returns, lengths = [*returns, total], [*lengths, length]
                total, length = 0.0, 0
        assert int(sums.episodes[e]) == len(returns)
        assert float(sums.return_sum[e]) == sum(returns)
        assert int(sums.length_sum[e]) == sum(lengths)


def test_rate_zero_changes_nothing_and_every_ratio_is_one(begun):
    config = dataclasses.replace(CONFIG, learning_rate=0.0)
    algo = ma.rl.PPO(Ticker(), None, AGENT, config)
    state, metrics = after(jax.jit(algo.update), begun, 2)
    assert_equal(state.agent.params, begun.agent.params)
    assert metrics.first_ratio_error.max() <= 1e-6
    assert metrics.approx_kl.max() <= 1e-6
    assert metrics.clip_fraction.max() == 0


def test_annealing_ends_at_rate_zero_and_its_counter_is_in_the_state(begun):
    config = dataclasses.replace(CONFIG, anneal_frames=64)
    algo = ma.rl.PPO(Ticker(), None, AGENT, config)
    state = jax.jit(algo.init)(jax.random.key(0))
    update = jax.jit(algo.update)
    state, _ = after(update, state, 2)
    assert not np.array_equal(state.agent.params.value.weight, begun.agent.params.value.weight)
    assert_equal(after(update, state, 1)[0].agent.params, state.agent.params)


def test_seeds_by_vmap_share_the_counters(algo, update):
    keys = jax.random.split(jax.random.key(0), 2)
    states = jax.jit(jax.vmap(algo.init, out_axes=ma.rl.SEED_AXES))(keys)
    assert states.shared.update.shape == ()
    weights = states.agent.params.torso.encoder.weight
    assert weights.shape == (2, 1, 8)
    assert not np.array_equal(weights[0], weights[1])
    axes = ma.rl.SEED_AXES
    together = jax.vmap(algo.update, in_axes=(axes,), out_axes=(axes, 0))
    states, metrics = jax.jit(together)(states)
    assert states.shared.update.shape == ()
    for seed in range(2):
        alone, reported = update(jax.jit(algo.init)(keys[seed]))
        np.testing.assert_allclose(
            states.agent.params.policy.weight[seed], alone.agent.params.policy.weight, atol=1e-5
        )
        np.testing.assert_array_equal(metrics.return_sum[seed], reported.return_sum)


def test_a_branch_on_a_shared_counter_survives_the_map_over_seeds(algo):
    def sometimes(state):
        even = state.shared.update % 2 == 0
        return jax.lax.cond(even, lambda w: w, lambda w: 0 * w, state.agent.params.policy.weight)

    keys = jax.random.split(jax.random.key(0), 2)
    states = jax.eval_shape(jax.vmap(algo.init, out_axes=ma.rl.SEED_AXES), keys)
    program = jax.make_jaxpr(jax.vmap(sometimes, in_axes=(ma.rl.SEED_AXES,)))(states)
    assert "cond[" in str(program)


def test_truncation_is_valued_in_a_branch(algo, begun):
    program = jax.make_jaxpr(algo.update)(begun)
    assert "cond[" in str(program)


@pytest.fixture(scope="module")
def continuous():
    return ma.rl.PPO(Echo(), None, ma.rl.ActorCritic("gru", width=8), CONFIG)


def test_continuous_actions_are_clipped_for_the_environment_alone(continuous):
    state = jax.jit(continuous.init)(jax.random.key(0))
    network = continuous.network(state.agent)
    run = jax.jit(
        lambda s, k: collect(network, continuous.env, None, s, k, 15),
        compiler_options=AS_USERS_COMPILE,
    )
    _, record, _ = run(state.rollout, jax.random.key(1))
    assert (record.actions > 0.75).any()
    assert (record.actions < -0.5).any()
    shown, inside = record.observations[1:], ~record.start[1:]
    np.testing.assert_array_equal(
        jnp.where(inside[..., None], shown, 0.0),
        jnp.where(inside[..., None], jnp.clip(record.actions, -0.5, 0.75), 0.0),
    )
    # The log probability is that of what was sampled.
    _, policy, _ = network(record.carry, record.observations[:-1], record.start[:-1])
    np.testing.assert_allclose(policy.log_prob(record.actions), record.log_probs, atol=1e-6)


def test_continuous_control_learns(continuous):
    state, metrics = jax.jit(continuous.train, static_argnums=1)(jax.random.key(0), 32 * 150)
    assert metrics.first_ratio_error.max() <= 1e-5
    mean = metrics.return_sum / metrics.episodes.astype(float)
    assert mean[-20:].mean() > mean[:20].mean() + 0.5
    assert not np.array_equal(state.agent.params.log_std, jnp.zeros(2))


def test_bounded_leaves_discrete_actions_alone():
    action = jnp.array([7, -3])
    assert bounded(action, ma.envs.Discrete(3)) is action


def test_several_actions_become_one():
    env = ma.envs.MineSweeper()
    algo = ma.rl.PPO(env, env.default_params(), AGENT, CONFIG)
    assert algo.env.action_space(algo.params) == ma.envs.Discrete(16)
    state = jax.eval_shape(algo.init, jax.random.key(0))
    jax.eval_shape(algo.update, state)


def test_an_index_observation_is_flattened():
    env, params = ma.envs.make("popgym/RepeatPreviousEasy")
    algo = ma.rl.PPO(env, params, AGENT, CONFIG)
    assert isinstance(algo.env, ma.envs.Flatten)
    assert algo.env.observation_space(params).shape == (4,)
    assert ma.rl.PPO(Ticker(), None, AGENT, CONFIG).env == Ticker()


def test_a_memory_of_ones_own_with_lambdas(update):
    def memory(in_size, key):
        layer = ma.nn.Memoroid(ma.Max(in_size), lambda x: x, lambda largest, x: largest - x)
        return ma.nn.Residual(layer)

    algo = ma.rl.PPO(Ticker(), None, ma.rl.ActorCritic(memory, width=8), CONFIG)
    _, metrics = jax.jit(algo.update)(jax.jit(algo.init)(jax.random.key(0)))
    assert metrics.first_ratio_error <= 1e-6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"minibatches": 3},
            r"num_envs=4 cannot be split into minibatches=3 .* one of \[1, 2, 4\]",
        ),
        ({"num_envs": 0}, "num_envs must be an int of at least 1, not 0"),
        ({"epochs": True}, "epochs must be an int of at least 1, not True"),
        ({"anneal_frames": -1}, "anneal_frames must be an int of at least 1, not -1"),
        ({"discount": 1.5}, r"discount must lie in \[0, 1\], not 1.5"),
        ({"learning_rate": -1e-3}, r"learning_rate must lie in \[0, inf\], not -0.001"),
        ({"clip": float("nan")}, r"clip must lie in \[0, inf\], not nan"),
        ({"value_clip": -0.2}, r"value_clip must lie in \[0, inf\], not -0.2"),
    ],
)
def test_an_impossible_configuration(change, message, without_hook):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(CONFIG, **change)


class NotALayer(eqx.Module):
    pass


class Pair(Counter):
    def step(self, carry, x, start):
        return carry, (x, x)


@pytest.mark.parametrize(
    ("agent", "error", "message"),
    [
        (lambda: ma.rl.ActorCritic("lruu"), ValueError, "unknown model 'lruu'; nearest: lru"),
        (lambda: ma.rl.ActorCritic(3), TypeError, "memory must be a name such as 'lru'.*not int"),
        (
            lambda: ma.rl.ActorCritic(width=0),
            ValueError,
            "width must be an int of at least 1, not 0",
        ),
        (
            lambda: ma.rl.ActorCritic(lambda n, k: NotALayer()),
            TypeError,
            "return a ma.nn.AbstractL",
        ),
        (
            lambda: ma.rl.ActorCritic(lambda n, k: Pair(n, n)),
            TypeError,
            "one vector per step, Pair",
        ),
    ],
)
def test_an_impossible_agent(agent, error, message, without_hook):
    with pytest.raises(error, match=message):
        ma.rl.PPO(Ticker(), None, agent(), CONFIG)


def test_arguments_in_the_wrong_place(without_hook):
    with pytest.raises(TypeError, match="agent must be ActorCritic, not PPOConfig"):
        ma.rl.PPO(Ticker(), None, CONFIG, AGENT)
    with pytest.raises(
        TypeError, match=r"PPO\(env, \.\.\.\) takes an environment, got a tuple; make"
    ):
        ma.rl.PPO((Ticker(), None), None)


def test_an_action_space_that_is_not_supported():
    class Grid(Ticker):
        def action_space(self, params):
            return ma.envs.Tuple((ma.envs.Discrete(2), ma.envs.Box(0.0, 1.0)))

    with pytest.raises(TypeError, match="must be Discrete or Box, not Tuple"):
        ma.rl.PPO(Grid(), None, AGENT, CONFIG)
