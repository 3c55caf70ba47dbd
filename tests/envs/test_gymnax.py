"""gymnax's environments through the adapter, beside gymnax's own step."""

import builtins
import contextlib
import functools
import importlib.metadata

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg.envs as envs
from memoalg.envs._gymnax import GYMNAX_EXCLUDED, GYMNAX_NAMES
from memoalg.envs._gymnax_table import COLUMNS, gymnax_table

gymnax = pytest.importorskip("gymnax")

TRIED = [
    *("MemoryChain-bsuite", "CartPole-v1", "Pendulum-v1", "MountainCarContinuous-v0"),
    "FrozenLake-misc",
]
OTHERS = [
    name.removeprefix("gymnax/")
    for name in envs.names()
    if name.startswith("gymnax/") and name.removeprefix("gymnax/") not in TRIED
]
ALL = [*TRIED, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)]
KEY = jax.random.key(11)


@functools.partial(jax.jit, static_argnums=(0, 3))
def rollout(env, params, key, steps: int = 200):
    """A random policy in a scan; the states before each step, the actions, what `step` returned."""
    key_reset, key = jax.random.split(key)
    first, state = env.reset(key_reset, params)

    def body(state, key):
        key_action, key_step = jax.random.split(key)
        action = env.action_space(params).sample(key_action)
        out = env.step(key_step, state, action, params)
        return out[1], (state, action, key_step, out)

    return first, jax.lax.scan(body, state, jax.random.split(key, steps))[1]


@contextlib.contextmanager
def gymnax_rules():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def forget_counters(out):
    """DeepSea's own step keeps two counters over a restart, which nothing in the game reads."""
    if "denoised_return" not in vars(out[1]):
        return out
    return out[0], out[1].replace(total_bad_episodes=0, denoised_return=0), *out[2:]


@pytest.mark.parametrize("name", ALL)
def test_200_random_steps_equal_gymnax(name):
    """From each of our states one step of gymnax's own, restart included, with the same key."""
    env, params = envs.make(f"gymnax/{name}")
    first, (states, actions, keys, ours) = rollout(env, params, KEY)
    with gymnax_rules():
        own, own_params = gymnax.make(name)
        observation, _ = own.reset(jax.random.split(KEY)[0], own_params)
        step = jax.vmap(own.step, in_axes=(0, 0, 0, None))
        theirs = jax.jit(step)(keys, states, actions, own_params)
    np.testing.assert_allclose(first, observation, atol=1e-5)
    wanted, got = (
        (forget_counters(out[:5]), out[5]["final_observation"]) for out in (theirs, ours)
    )
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


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


@pytest.mark.parametrize("name", ["MemoryChain-bsuite", "Pendulum-v1"])
def test_x64_changes_no_number(name):
    """gymnax by itself fails with x64 on (Pendulum); the adapter has it compute in 32 bits."""
    env, params = envs.make(f"gymnax/{name}")
    _, (states, actions, keys, narrow) = rollout(env, params, KEY)
    with jax.enable_x64(True):
        step = jax.jit(jax.vmap(env.step, in_axes=(0, 0, 0, None)))
        wide = step(keys, states, actions, params)
    assert (wide[0].dtype, wide[2].dtype) == (np.float64, np.float64)
    for a, b in zip(jax.tree.leaves(narrow), jax.tree.leaves(wide), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["MemoryChain-bsuite", "CartPole-v1", "MountainCarContinuous-v0"])
def test_observations_are_in_the_space(name):
    env, params = envs.make(f"gymnax/{name}")
    space = env.observation_space(params)
    first, (_, _, _, out) = rollout(env, params, KEY)
    assert space.contains(first)
    assert jax.vmap(space.contains)(out[0]).all()


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
    first, (_, actions, _, out) = rollout(env, params, KEY, 20)
    assert first[2:].tolist() == [0.0, 0.0, 1.0]  # null action, one-hot of flag 1
    np.testing.assert_array_equal(out[0][:, 2], actions[:, 0])
    np.testing.assert_array_equal(out[0][:, 3:], np.tile([1.0, 0.0], (20, 1)))


def test_memory_chain_ends_with_a_reward():
    env, params = envs.make("gymnax/MemoryChain-bsuite")
    params = params.replace(memory_length=20, max_steps_in_episode=22)
    _, (_, _, _, (_, _, rewards, terminated, truncated, _)) = rollout(env, params, KEY)
    ends = list(range(20, 200, 21))
    assert np.flatnonzero(rewards).tolist() == ends
    assert np.flatnonzero(terminated).tolist() == ends
    assert not truncated.any()


def test_a_time_limit_truncates():
    env, params = envs.make("gymnax/Pendulum-v1")
    _, (_, _, _, (_, _, _, terminated, truncated, _)) = rollout(env, params, KEY)
    assert np.flatnonzero(truncated).tolist() == [199]
    assert not terminated.any()


@pytest.mark.parametrize("length", [1000, 1200])
def test_a_memory_chain_without_rewards_is_explained(length):
    env, params = envs.make("gymnax/MemoryChain-bsuite")
    params = params.replace(memory_length=length)
    for use in (env.observation_space, env.action_space, lambda p: env.reset(KEY, p)):
        with pytest.raises(ValueError, match=f"memory_length={length} .* every reward would be 0"):
            use(params)


def test_names_are_gymnax_s():
    ours = {name.removeprefix("gymnax/") for name in envs.names() if name.startswith("gymnax/")}
    assert ours == set(gymnax.registered_envs) - set(GYMNAX_EXCLUDED)
    assert set(GYMNAX_EXCLUDED) <= set(gymnax.registered_envs)


def rows(table: str) -> list[list[str]]:
    return [line.strip("| ").split(" | ") for line in table.splitlines()]


def test_the_table_says_what_runs():
    head, _, pole, images, broken = rows(
        gymnax_table(["CartPole-v1", "MNISTBandit-bsuite", "NoSuch-v0"])
    )
    assert tuple(head) == COLUMNS
    assert pole[:2] == ["CartPole-v1", "yes"]
    assert pole[3] == "Discrete(n=2)"
    assert int(pole[4]) > 3
    assert images[:2] == ["MNISTBandit-bsuite", "no"]
    assert "downloads the MNIST images" in images[-1]
    assert "ValueError: unknown gymnax environment 'NoSuch-v0'" in broken[-1]


@pytest.mark.slow
def test_the_whole_table():
    _, _, *found = rows(gymnax_table())
    assert [row[0] for row in found] == [*GYMNAX_NAMES, *GYMNAX_EXCLUDED]
    assert {row[0] for row in found if row[1] != "yes"} == set(GYMNAX_EXCLUDED)


def test_mnist_runs_where_its_images_are(monkeypatch, tmp_path):
    """With random images in the place of the download; one step, so it only ends."""
    from gymnax.environments.bsuite import mnist

    images = np.random.default_rng(0).integers(0, 128, (20, 28, 28)).astype(np.int8)
    data = (images, np.arange(20) % 10), (images, np.arange(20) % 10)
    monkeypatch.setattr(mnist.load_mnist, "load_mnist", lambda: data)
    monkeypatch.setitem(gymnax.registration._registry, "FakeMNIST-tests", mnist.MNISTBandit)
    monkeypatch.setattr(
        gymnax.registration, "registered_envs", [*gymnax.registered_envs, "FakeMNIST-tests"]
    )
    monkeypatch.setattr(gymnax, "registered_envs", gymnax.registration.registered_envs)
    env = envs.from_gymnax("FakeMNIST-tests")
    _, (_, _, _, out) = rollout(env, env.default_params(), KEY)
    assert set(np.unique(out[2])) == {-1.0, 1.0}
    assert out[3].all() or out[4].all()


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
