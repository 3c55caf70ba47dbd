"""gymnax's environments through the adapter, beside gymnax's own step."""

import builtins
import importlib.metadata

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg.envs as envs

gymnax = pytest.importorskip("gymnax")

TRIED = ["MemoryChain-bsuite", "CartPole-v1", "Pendulum-v1", "MountainCarContinuous-v0"]
OTHERS = [
    name.removeprefix("gymnax/")
    for name in envs.names()
    if name.startswith("gymnax/") and name.removeprefix("gymnax/") not in TRIED
]
ALL = [*TRIED, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)]
KEY = jax.random.key(11)


def rollout(reset, step, sample, steps: int = 200):
    """A jitted rollout with a random policy, over either library's functions."""

    @jax.jit
    def run(key, params):
        key_reset, key = jax.random.split(key)
        observation, state = reset(key_reset, params)

        def body(state, key):
            key_action, key_step = jax.random.split(key)
            out = step(key_step, state, sample(key_action), params)
            return out[1], (out[0], *out[2:5], out[5]["final_observation"])

        _, outs = jax.lax.scan(body, state, jax.random.split(key, steps))
        return observation, outs

    return run


def gymnax_rules():
    return jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow")


@pytest.mark.parametrize("name", ALL)
def test_200_random_steps_equal_gymnax(name):
    env, params = envs.make(f"gymnax/{name}")
    sample = env.action_space(params).sample
    first, ours = rollout(env.reset, env.step, sample)(KEY, params)
    own, own_params = gymnax.make(name)
    promotion, rank = gymnax_rules()
    with promotion, rank:
        # gymnax's step does not scan where a weak type changes: one step at a time.
        step, reset = jax.jit(own.step), jax.jit(own.reset)
        key_reset, key = jax.random.split(KEY)
        observation, state = reset(key_reset, own_params)
        assert np.allclose(observation, first)
        theirs = []
        for key_t in jax.random.split(key, 200):
            key_action, key_step = jax.random.split(key_t)
            out = step(key_step, state, sample(key_action), own_params)
            state = out[1]
            theirs.append((out[0], *out[2:5], out[5]["final_observation"]))
    for got, *want in zip(ours, *theirs, strict=True):
        np.testing.assert_allclose(got, np.stack(want), atol=2e-5)


@pytest.mark.parametrize("x64", [False, True], ids=["x32", "x64"])
@pytest.mark.parametrize("name", ALL)
def test_types_are_strong_and_do_not_change(name, x64):
    with jax.enable_x64(x64):
        env, params = envs.make(f"gymnax/{name}")
        action = env.action_space(params).sample(KEY)
        first, fresh = jax.eval_shape(env.reset, KEY, params)
        final, ended, reward, terminated, truncated = jax.eval_shape(
            env.transition, KEY, fresh, action, params
        )
        default = jnp.result_type(float)
    assert jax.tree.structure((first, fresh)) == jax.tree.structure((final, ended))
    for before, after in zip(
        jax.tree.leaves((first, fresh)), jax.tree.leaves((final, ended)), strict=True
    ):
        assert (before.shape, before.dtype) == (after.shape, after.dtype)
        assert not before.weak_type
        assert not after.weak_type
    for leaf in jax.tree.leaves(first):
        assert leaf.dtype in (default, jnp.int32)
    assert (reward.shape, reward.dtype, reward.weak_type) == ((), default, False)
    assert (terminated.dtype, truncated.dtype) == (bool, bool)
    assert all(not leaf.weak_type for leaf in jax.tree.leaves(params))


@pytest.mark.parametrize("name", TRIED)
def test_x64_changes_no_number(name):
    """gymnax fails by itself with x64 on (Pendulum); the adapter computes in 32 bits."""
    env, params = envs.make(f"gymnax/{name}")
    _, narrow = rollout(env.reset, env.step, env.action_space(params).sample, 20)(KEY, params)
    with jax.enable_x64(True):
        sample = lambda key: env.action_space(params).sample(key)
        actions_32 = jax.random.split(KEY)  # the same keys
        assert actions_32.shape == (2,)
        wide_run = rollout(env.reset, env.step, sample, 20)
        _, wide = wide_run(KEY, params)
    if name in ("MemoryChain-bsuite", "CartPole-v1"):  # integer actions are the same draws
        for a, b in zip(narrow, wide, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)
    assert wide[0].dtype == np.float64


@pytest.mark.parametrize("name", ["MemoryChain-bsuite", "CartPole-v1", "MountainCarContinuous-v0"])
def test_observations_are_in_the_space(name):
    env, params = envs.make(f"gymnax/{name}")
    space = env.observation_space(params)
    run = rollout(env.reset, env.step, env.action_space(params).sample)
    first, (observations, *_) = run(KEY, params)
    assert space.contains(first)
    assert jax.vmap(space.contains)(observations).all()


def test_spaces_are_converted():
    env, params = envs.make("gymnax/CartPole-v1")
    assert env.action_space(params) == envs.Discrete(2)
    assert env.observation_space(params).flat_size == 4
    env, params = envs.make("gymnax/Pendulum-v1")
    assert env.action_space(params) == envs.Box(-2.0, 2.0, (1,))
    env, params = envs.make("gymnax/FrozenLake-misc")
    assert env.observation_space(params) == envs.Discrete(16)


def test_spaces_follow_concrete_parameters():
    env, params = envs.make("gymnax/Pendulum-v1")
    assert env.action_space(params.replace(max_torque=3.0)) == envs.Box(-3.0, 3.0, (1,))
    traced = jax.jit(lambda p: env.action_space(p).null())(params)
    assert traced.shape == (1,)


def test_wrappers_go_around():
    env, params = envs.make("gymnax/MountainCarContinuous-v0")
    env = envs.Flatten(envs.EpisodeStart(envs.PreviousAction(env)))
    assert env.observation_space(params).shape == (2 + 1 + 2,)
    run = rollout(env.reset, env.step, env.action_space(params).sample, 20)
    first, (observations, *_) = run(KEY, params)
    assert first[2:].tolist() == [0.0, 0.0, 1.0]
    assert observations.shape == (20, 5)
    assert np.all(observations[:, 3:] == np.array([1.0, 0.0]))


@pytest.mark.parametrize(("length", "limit", "rewarded"), [(5, 1000, True), (20, 22, True)])
def test_memory_chain_ends_with_a_reward(length, limit, rewarded):
    env, params = envs.make("gymnax/MemoryChain-bsuite")
    params = params.replace(memory_length=length, max_steps_in_episode=limit)
    run = rollout(env.reset, env.step, env.action_space(params).sample, length + 1)
    _, (_, rewards, terminated, truncated, _) = run(KEY, params)
    assert np.flatnonzero(rewards).tolist() == [length] if rewarded else not rewards.any()
    assert np.flatnonzero(terminated).tolist() == [length]
    assert not truncated.any()


@pytest.mark.parametrize("length", [1000, 1200])
def test_a_memory_chain_without_rewards_is_explained(length):
    env, params = envs.make("gymnax/MemoryChain-bsuite")
    params = params.replace(memory_length=length)
    for use in (env.observation_space, env.action_space, lambda p: env.reset(KEY, p)):
        with pytest.raises(ValueError, match=f"memory_length={length} .* every reward would be 0"):
            use(params)


def test_names_are_gymnax_s():
    ours = {name.removeprefix("gymnax/") for name in envs.names() if name.startswith("gymnax/")}
    assert ours == set(gymnax.registered_envs) - {"MNISTBandit-bsuite"}


def test_an_unknown_name_lists_the_nearest():
    with pytest.raises(
        ValueError, match="unknown gymnax environment 'CartPole'; nearest: CartPole"
    ):
        envs.make("gymnax/CartPole")


@pytest.mark.parametrize("missing", ["gymnax", "six"])
def test_a_missing_package_is_explained(missing, monkeypatch):
    original = builtins.__import__

    def refuse(name, *args):
        if name == "gymnax":
            raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)
        return original(name, *args)

    monkeypatch.setattr(builtins, "__import__", refuse)
    message = rf'missing: {missing}\); pip install "memoalg\[gymnax\]"'
    with pytest.raises(ModuleNotFoundError, match=message):
        envs.make("gymnax/CartPole-v1")


def test_an_old_gymnax_is_explained(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.0.9")
    with pytest.raises(ImportError, match=r'gymnax 0.0.9 .* pip install "memoalg\[gymnax\]"'):
        envs.make("gymnax/CartPole-v1")
