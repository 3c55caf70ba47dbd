"""NormaliseObservation and NormaliseReward: frozen, exact, mergeable; beside gymnasium's."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg as ma
import memoalg.envs as envs
from memoalg.envs import wrappers

from .toys import Serial, rollout, rollouts

KEY = jax.random.key(13)
LANES = 6
KEYS = jax.random.split(KEY, LANES)
POLE = envs.PositionOnlyCartPole(12)


def observing(env=POLE, clip=10.0):
    return wrappers.NormaliseObservation(env, ma.Moments(2), clip)


def rewarding(env=None, clip=10.0):
    return wrappers.NormaliseReward(env or Serial(7), ma.Moments(), 0.9, clip)


def seen_observations() -> np.ndarray:
    """Every raw observation of the rollouts: first, final, and first of the next episodes."""
    first, _, _, _, _, out = rollouts(POLE, POLE.default_params(), KEYS)
    over = np.asarray(out[3] | out[4])
    parts = [np.asarray(first), np.asarray(out[5]["final_observation"]), np.asarray(out[0])[over]]
    return np.concatenate([part.reshape(-1, 2) for part in parts]).astype(np.float64)


def seen_returns() -> np.ndarray:
    """The running discounted return after each step, by a loop."""
    env = Serial(7)
    out = rollouts(env, env.default_params(), KEYS)[5]
    running = np.zeros((LANES, 40))
    for lane in range(LANES):
        total = 0.0
        for t in range(40):
            total = 0.9 * total + float(out[2][lane, t])
            running[lane, t] = total
            total = 0.0 if out[3][lane, t] else total
    return running


def last(states):
    """Each lane's state after the last step."""
    return jax.tree.map(lambda leaf: leaf[:, -1], states)


CASES = {"observation": (observing(), seen_observations), "reward": (rewarding(), seen_returns)}


def gathered(env):
    params = env.default_params()
    return params, last(rollouts(env, params, KEYS)[5][1])


@pytest.mark.parametrize("case", CASES)
def test_without_statistics_nothing_is_changed(case):
    env, _ = CASES[case]
    plain, other = (rollouts(e, e.default_params(), KEYS)[5] for e in (env.env, env))
    for i in (0, 2, 3, 4):
        np.testing.assert_array_equal(plain[i], other[i])


@pytest.mark.parametrize("case", CASES)
def test_absorbed_statistics_are_those_of_all_values(case):
    env, values = CASES[case]
    params, states = gathered(env)
    params, states = env.absorb(params, states)
    read = env.moments.read(params.statistics, None)
    wanted = values() if case == "observation" else values().ravel()
    assert int(read.count) == len(wanted)
    np.testing.assert_allclose(read.mean, wanted.mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(read.variance, wanted.var(0), rtol=1e-4)
    # The states are empty, in their shapes, and absorbing them again changes nothing.
    assert not any(leaf.any() for leaf in jax.tree.leaves(states.own.statistics))
    again, _ = env.absorb(params, states)
    assert eqx.tree_equal(again, params)


@pytest.mark.parametrize("case", CASES)
def test_absorbing_does_not_depend_on_order_or_devices(case):
    env, _ = CASES[case]
    params, states = gathered(env)
    whole, _ = env.absorb(params, states)
    turned, _ = env.absorb(params, jax.tree.map(lambda leaf: leaf[::-1], states))
    folded, emptied = env.absorb(
        params, jax.tree.map(lambda leaf: leaf.reshape(2, 3, *leaf.shape[1:]), states)
    )
    parts = params
    for piece in (slice(0, 1), slice(1, 5), slice(5, 6)):
        parts, _ = env.absorb(parts, jax.tree.map(lambda leaf, p=piece: leaf[p], states))
    single = params
    for lane in range(LANES):
        single, _ = env.absorb(single, jax.tree.map(lambda leaf, i=lane: leaf[i], states))
    for other in (turned, folded, parts, single):
        for a, b in zip(jax.tree.leaves(other), jax.tree.leaves(whole), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    assert jax.tree.leaves(emptied)[0].shape[:2] == (2, 3)


def test_observations_are_normalised_by_the_parameters_only():
    env = observing(clip=1.5)
    params, _ = env.absorb(*gathered(env))
    raw = rollouts(POLE, params.inner, KEYS)[5]
    ours = rollouts(env, params, KEYS)[5]
    read = jax.tree.map(np.asarray, env.moments.read(params.statistics, None))
    for a, b in ((ours[0], raw[0]), (ours[5]["final_observation"], raw[5]["final_observation"])):
        wanted = np.clip((np.asarray(b) - read.mean) / np.sqrt(read.variance + 1e-8), -1.5, 1.5)
        np.testing.assert_allclose(a, wanted, rtol=1e-4, atol=1e-5)
        assert np.any(np.abs(wanted) == 1.5)
    assert env.observation_space(params).contains(ours[0][0, 0])
    # What is gathered is raw, so a second batch adds the same numbers again.
    twice, _ = env.absorb(params, last(ours[1]))
    np.testing.assert_allclose(twice.statistics[1], params.statistics[1], rtol=1e-3, atol=1e-6)
    assert int(twice.statistics[0]) == 2 * int(params.statistics[0])


def test_rewards_are_divided_and_not_centred():
    env = rewarding(clip=0.6)
    params, _ = env.absorb(*gathered(env))
    raw = rollouts(env.env, params.inner, KEYS)[5][2]
    ours = rollouts(env, params, KEYS)[5][2]
    wanted = np.clip(raw / seen_returns().std(), -0.6, 0.6)
    np.testing.assert_allclose(ours, wanted, rtol=1e-4)
    assert np.any(np.isclose(wanted, 0.6))
    assert np.any((wanted > 0) & (wanted < 0.6))


def test_the_running_return_begins_anew_with_every_episode():
    env = rewarding()
    states = rollouts(env, env.default_params(), KEYS)[5][1]
    over = np.asarray(states.inner.time == 0)
    wanted = np.where(over, 0.0, seen_returns())
    np.testing.assert_allclose(states.own.running.discounted, wanted, rtol=1e-4)
    assert over.sum() == LANES * 5


class KeepsItsReturn(envs.AbstractWrapper):
    """Planted: the discounted return goes on over a restart."""

    env: wrappers.NormaliseReward

    def default_params(self):
        return self.env.default_params()

    def reset(self, key, params):
        return self.env.reset(key, params)

    def restart(self, key, state, over, params):
        observation, begun = self.env.restart(key, state, over, params)
        return observation, eqx.tree_at(lambda s: s.own.running, begun, state.own.running)

    def transition(self, key, state, action, params):
        return self.env.transition(key, state, action, params)


def test_a_return_that_goes_on_is_seen():
    env = KeepsItsReturn(rewarding())
    states = rollouts(env, env.default_params(), KEYS)[5][1]
    _, mean, _ = last(states).own.statistics
    assert not np.allclose(mean, seen_returns().mean(1), rtol=0.05)


def test_rewards_are_scaled_as_by_gymnasium():
    """One episode, its count set to nothing; then gymnasium's statistics are frozen as ours are."""
    gymnasium = pytest.importorskip("gymnasium")

    class Rewards(gymnasium.Env):
        observation_space = gymnasium.spaces.Discrete(2)
        action_space = gymnasium.spaces.Box(-10.0, 10.0)

        def reset(self, *, seed=None, options=None):
            return 0, {}

        def step(self, action):
            return 0, float(action), False, False, {}

    env = rewarding(Serial(1000), clip=1e6)
    params = env.default_params()
    out = rollout(env, params, KEY)[5]
    rewards = np.asarray(out[2])
    theirs = gymnasium.wrappers.NormalizeReward(Rewards(), gamma=0.9)
    theirs.return_rms.count = 0
    theirs.reset()
    for reward in rewards:
        theirs.step(reward)
    theirs.update_running_mean = False
    params, _ = env.absorb(params, jax.tree.map(lambda leaf: leaf[-1:], out[1]))
    np.testing.assert_allclose(
        rollout(env, params, KEY)[5][2], [theirs.step(r)[1] for r in rewards], rtol=1e-5
    )


def test_an_entry_that_never_varied_is_not_divided():
    env = wrappers.NormaliseObservation(Serial(3, counts=False), ma.Moments(2))
    params, _ = env.absorb(*gathered(env))
    shown = env.normalise(jnp.array([2.0, 1.5]), params.statistics, 10.0, centre=True)
    assert float(shown[0]) == 2.0
    scale = rewarding()
    nothing = scale.gather(scale.moments.identity(), jnp.zeros(()))
    assert float(scale.normalise(jnp.ones(()), nothing, 10.0, centre=False)) == 1.0


def test_statistics_outlive_the_range_of_a_plain_sum():
    """A mean of 1e4 with a deviation of 1: float32 sums of squares would lose it."""
    env = observing()
    values = 1e4 + np.random.default_rng(0).normal(size=(512, 2)).astype(np.float32)
    statistics = jax.vmap(env.moments.expand)(jnp.asarray(values))
    states: Any = wrappers.Wrapped((), wrappers.Gathered(statistics, None))
    params, _ = jax.jit(env.absorb)(env.default_params(), states)
    variance = env.moments.read(params.statistics, None).variance
    np.testing.assert_allclose(variance, values.astype(np.float64).var(0), rtol=1e-3)


def both():
    env = wrappers.TimeLimit(observing(envs.PositionOnlyCartPole(50)), 9)
    env = wrappers.NormaliseReward(wrappers.EpisodeStatistics(env), ma.Moments(), 0.9)
    return wrappers.EpisodeStart(env)


def test_all_are_absorbed_at_once():
    env = both()
    params, states = gathered(env)
    merged, emptied = jax.jit(wrappers.absorb)(env, params, states)
    rewards = env.env
    assert isinstance(rewards, wrappers.NormaliseReward)
    by_hand, _ = rewards.absorb(params, states)
    observations = observing(envs.PositionOnlyCartPole(50))
    inner, _ = observations.absorb(params.inner, states.inner.inner.inner)
    wanted = wrappers.Normalised(inner, by_hand.statistics)
    for a, b in zip(jax.tree.leaves(merged), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert int(merged.statistics[0]) == LANES * 40
    assert int(merged.inner.statistics[0]) > LANES * 41
    assert jax.tree.structure(emptied) == jax.tree.structure(states)
    assert not emptied.own.statistics[0].any()
    assert not emptied.inner.inner.inner.own.statistics[0].any()
    assert eqx.tree_equal(emptied.inner.own, states.inner.own)


def test_absorbing_without_a_normaliser_changes_nothing():
    env = wrappers.TimeLimit(Serial(), 5)
    params, states = gathered(env)
    assert eqx.tree_equal(wrappers.absorb(env, params, states), (params, states))


def test_raw_returns_are_reported_inside():
    env = both()
    params, states = gathered(env)
    params, _ = wrappers.absorb(env, params, states)
    out = rollout(env, params, KEY)[5]
    # Each step of the pole rewards 1/50.
    np.testing.assert_allclose(
        out[5]["episode_return"], np.asarray(out[5]["episode_length"]) / 50, rtol=1e-5
    )
    assert np.all(np.asarray(out[2]) > 2 / 50)


def test_narrow_moments_work_with_x64():
    narrow = observing()
    with jax.enable_x64(True):
        params = narrow.default_params()
        observation, state = narrow.reset(KEY, params)
        later = narrow.transition(KEY, state, jnp.int32(0), params)
    assert observation.dtype == later[0].dtype == np.float64
    assert state.own.statistics[1].dtype == later[1].own.statistics[1].dtype == np.float32


BAD = {
    "shape": (
        lambda: wrappers.NormaliseObservation(POLE, ma.Moments(3)),
        r"do not fit values of shape \(2,\) .*; write moments=memoalg.Moments\(\(2,\)\)",
    ),
    "vector rewards": (
        lambda: wrappers.NormaliseReward(POLE, ma.Moments(2), 0.9),
        r"do not fit values of shape \(\)",
    ),
    "no monoid": (
        lambda: wrappers.NormaliseObservation(POLE, "moments"),  # pyright: ignore[reportArgumentType]
        r"takes moments=memoalg.Moments\(\(2,\)\), got 'moments'",
    ),
    "the class": (
        lambda: wrappers.NormaliseReward(POLE, ma.Moments, 0.9),  # pyright: ignore[reportArgumentType]
        r"takes moments=memoalg.Moments\(\(\)\), got <class",
    ),
    "cards": (
        lambda: wrappers.NormaliseObservation(envs.RepeatFirst(), ma.Moments(4)),
        "a Box of floats, got Discrete",
    ),
    "discount": (lambda: wrappers.NormaliseReward(POLE, ma.Moments(), 1.1), "from 0 to 1, got 1.1"),
    "clip": (lambda: observing(clip=0.0), "from 1e-06 to 1e.06, got 0"),
    "reward clip": (lambda: rewarding(clip=-1.0), "from 1e-06 to 1e.06, got -1"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_are_explained(case, without_hook):
    build, message = BAD[case]
    with pytest.raises((TypeError, ValueError), match=message):
        build()
