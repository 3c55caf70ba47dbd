"""Markovian, Mask and ObservationNoise: what they show, beside the reference where it has one."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg.envs as envs
from memoalg.envs import wrappers

from .toys import Serial, rollout

KEY = jax.random.key(3)


def test_the_state_is_shown_whole():
    env = wrappers.Markovian(wrappers.TimeLimit(Serial(), 2))
    _, _, _, _, _, out = rollout(env, env.default_params(), KEY)
    state = out[1]
    wanted = np.stack([state.inner.episode, state.inner.time, state.own], 1)
    np.testing.assert_array_equal(out[0]["state"], wanted)
    np.testing.assert_array_equal(out[0]["obs"], wanted[:, :2])
    # The last state of an episode is shown too, before the restart.
    over = np.asarray(out[4])
    np.testing.assert_array_equal(out[5]["final_observation"]["state"][over][:, 1], 2.0)


@pytest.mark.parametrize("full", [False, True])
def test_the_state_is_shown_as_by_the_reference(full):
    cartpole = pytest.importorskip("popgym.envs.position_only_cartpole", exc_type=ImportError)
    levels = pytest.importorskip("popgym.core.observability").Observability
    level = levels.FULL if full else levels.FULL_AND_PARTIAL
    reference = pytest.importorskip("popgym.wrappers").Markovian(
        cartpole.PositionOnlyCartPoleEasy(), level
    )
    observation, _ = reference.reset(seed=0)
    env = wrappers.Markovian(envs.PositionOnlyCartPole(), full=full)
    params = env.default_params()
    _, state = env.reset(KEY, params)
    physics = jnp.asarray(reference.unwrapped.state, float)
    state = eqx.tree_at(
        lambda s: [s.position, s.velocity, s.angle, s.angular_velocity], state, list(physics)
    )
    observation, *_ = reference.step(1)
    ours, *_ = env.transition(KEY, state, jnp.int32(1), params)
    if not full:
        assert set(ours) == set(observation) == {"obs", "state"}
        np.testing.assert_allclose(ours["obs"], observation["obs"], atol=1e-6)
        ours, observation = ours["state"], observation["state"]
    # The reference's state lacks the time.
    np.testing.assert_allclose(ours[:4], observation, atol=1e-6)
    assert ours[4:].tolist() == [1.0]


@pytest.mark.parametrize(
    "indices", [(0,), (1,), (0, 1), (1, 0), [0, 1]], ids=["0", "1", "01", "10", "list"]
)
def test_a_mask_keeps_entries(indices):
    env = wrappers.Mask(Serial(), indices)
    _, _, _, _, _, out = rollout(env, env.default_params(), KEY)
    wanted = np.stack([out[1].episode, out[1].time], 1)[:, list(indices)]
    np.testing.assert_array_equal(out[0], wanted)
    assert env.observation_space(env.default_params()) == envs.Box(0.0, 1000.0, (len(indices),))


def test_runs_of_a_mask():
    env = wrappers.Mask(Long(), (5, 6, 7, 2, 0, 1))
    params = env.default_params()
    assert env.reset(KEY, params)[0].tolist() == [5.0, 6.0, 7.0, 2.0, 0.0, 1.0]
    space = env.observation_space(params)
    assert space.high.tolist() == [5.0, 6.0, 7.0, 2.0, 0.0, 1.0]


class Long(envs.AbstractEnvironment):
    """Shows 0..7 and has no bounds below; the named space decides what is declared."""

    space: envs.AbstractSpace = eqx.field(
        static=True, default=envs.Box(np.full(8, -np.inf), np.arange(8.0))
    )
    key_in_state: bool = eqx.field(static=True, default=False)

    @property
    def name(self):
        return "toys/CartPoleLong"

    def default_params(self):
        return ()

    def reset(self, key, params):
        return jnp.arange(8.0), {"key": key} if self.key_in_state else {}

    def transition(self, key, state, action, params):
        no = jnp.zeros((), bool)
        return jnp.arange(8.0), state, jnp.zeros(()), no, no

    def observation_space(self, params):
        return self.space

    def action_space(self, params):
        return envs.Discrete(2)


PRESETS = {
    "CartPole-v1": ((0, 2), (1, 3)),
    "Pendulum-v1": ((0, 1), (2,)),
    "Acrobot-v1": ((0, 1, 2, 3), (4, 5)),
    "MountainCar-v0": ((0,), (1,)),
    "MountainCarContinuous-v0": ((0,), (1,)),
}


@pytest.mark.parametrize("name", PRESETS)
def test_presets_split_classic_control(name):
    """Positions keep within the bounds that the angles and places have, velocities do not."""
    pytest.importorskip("gymnax")
    env = envs.from_gymnax(name)
    positions, velocities = wrappers.positions_only(env), wrappers.velocities_only(env)
    assert (positions.indices, velocities.indices) == PRESETS[name]
    size = env.observation_space(env.default_params()).flat_size
    assert sorted(positions.indices + velocities.indices) == list(range(size))


def test_a_preset_hides_the_velocity():
    """CartPole's shown positions move by 0.02 s times the hidden velocities."""
    pytest.importorskip("gymnax")
    env = envs.from_gymnax("CartPole-v1")
    params = env.default_params()
    shown, hidden = wrappers.positions_only(env), wrappers.velocities_only(env)
    (x, state), (v, _) = (e.reset(KEY, params) for e in (shown, hidden))
    later, *_ = shown.transition(KEY, state, jnp.int32(1), params)
    np.testing.assert_allclose(later - x, 0.02 * v, atol=1e-6)


def test_noise_has_its_standard_deviation():
    env = wrappers.ObservationNoise(Wide(), 0.5)
    shown, _ = jax.vmap(env.reset, in_axes=(0, None))(jax.random.split(KEY, 4000), ())
    assert abs(float(shown.std()) - 0.5) < 0.02
    assert abs(float(shown.mean())) < 0.02
    later = jax.vmap(env.transition, in_axes=(0, None, None, None))(
        jax.random.split(KEY, 4000), (), jnp.int32(0), ()
    )[0]
    assert abs(float(later.std()) - 0.5) < 0.02


class Wide(envs.AbstractEnvironment):
    """Shows zeros in an unbounded box."""

    @property
    def name(self):
        return "toys/Wide"

    def default_params(self):
        return ()

    def reset(self, key, params):
        return jnp.zeros(2), ()

    def transition(self, key, state, action, params):
        no = jnp.zeros((), bool)
        return jnp.zeros(2), state, jnp.zeros(()), no, no

    def observation_space(self, params):
        return envs.Box(-np.inf, np.inf, (2,))

    def action_space(self, params):
        return envs.Discrete(2)


def test_noise_is_clipped_to_the_space():
    env = wrappers.ObservationNoise(envs.PositionOnlyCartPole(), 3.0)
    params = env.default_params()
    shown, _ = jax.vmap(env.reset, in_axes=(0, None))(jax.random.split(KEY, 500), params)
    high = env.observation_space(params).high.astype(np.float32)
    assert np.all(np.abs(shown) <= high)
    assert np.mean(np.abs(shown) == high) > 0.3


def test_noise_leaves_the_episode_alone():
    env = envs.PositionOnlyCartPole(12)
    noisy = wrappers.ObservationNoise(env, 0.1)
    plain, other = (rollout(e, env.default_params(), KEY) for e in (env, noisy))
    for a, b in zip(jax.tree.leaves(plain[5][1:5]), jax.tree.leaves(other[5][1:5]), strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.all(np.asarray(plain[5][0] != other[5][0]))


def correlation(env) -> float:
    """Of the noise with the hidden state that the same key drew, the largest over entries."""
    params = env.default_params()
    shown, state = jax.vmap(env.reset, in_axes=(0, None))(jax.random.split(KEY, 3000), params)
    noise = shown - jnp.stack([state.position, state.angle], 1)
    drawn = jnp.stack([state.position, state.velocity, state.angle, state.angular_velocity], 1)
    return float(np.abs(np.corrcoef(noise.T, drawn.T)[:2, 2:]).max())


def test_noise_does_not_depend_on_the_environment_s_keys():
    assert correlation(wrappers.ObservationNoise(envs.PositionOnlyCartPole(), 0.01)) < 0.08


class SameKey(envs.AbstractWrapper):
    """Planted: the noise comes from the key that the environment was given."""

    env: envs.AbstractEnvironment

    def reset(self, key, params):
        observation, state = self.env.reset(key, params)
        return observation + 0.01 * jax.random.normal(key, (4,))[:2], state

    def restart(self, key, state, over, params):
        return self.reset(key, params)

    def transition(self, key, state, action, params):
        return self.env.transition(key, state, action, params)


def test_noise_from_the_environment_s_key_is_seen():
    assert correlation(SameKey(envs.PositionOnlyCartPole())) > 0.9


BAD = {
    "noise on cards": (
        lambda: wrappers.ObservationNoise(envs.RepeatFirst(), 0.1),
        "ObservationNoise.* a Box of floats, got Discrete",
    ),
    "noise below 0": (lambda: wrappers.ObservationNoise(Wide(), -1.0), "from 0 to 1e.06, got -1"),
    "noise on integers": (
        lambda: wrappers.ObservationNoise(Long(envs.Box(0, 1, (8,), np.int32)), 0.1),
        "a Box of floats, got Box.*int32",
    ),
    "mask of cards": (lambda: wrappers.Mask(envs.RepeatFirst(), (0,)), "a Box of floats"),
    "mask of a picture": (
        lambda: wrappers.Mask(Long(envs.Box(0.0, 1.0, (2, 4))), (0,)),
        r"are vectors, got shape \(2, 4\)",
    ),
    "index": (lambda: wrappers.Mask(Serial(), (2,)), "every index must be an int from 0 to 1"),
    "below 0": (lambda: wrappers.Mask(Serial(), (-1,)), "got -1"),
    "no indices": (lambda: wrappers.Mask(Serial(), ()), r"each once, got \(\)"),
    "an index twice": (lambda: wrappers.Mask(Serial(), (0, 0)), r"each once, got \(0, 0\)"),
    "other task": (
        lambda: wrappers.positions_only(envs.PositionOnlyCartPole()),
        r"knows CartPole, .* got popgym/PositionOnlyCartPoleEasy .*Mask\(env, indices\)",
    ),
    "other size": (lambda: wrappers.velocities_only(Long()), "got toys/CartPoleLong"),
    "no environment": (
        lambda: wrappers.positions_only("CartPole"),  # pyright: ignore[reportArgumentType]
        r"positions_only\(env\) takes an environment, got 'CartPole'; write make",
    ),
    "a key in the state": (
        lambda: wrappers.Markovian(Long(key_in_state=True)),
        r"holds key<fry>\[\] at \['key'\]: a random key is no part",
    ),
    "no switch": (lambda: wrappers.Markovian(Serial(), "full"), "must be a bool, got 'full'"),  # pyright: ignore[reportArgumentType]
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_are_explained(case, without_hook):
    build, message = BAD[case]
    with pytest.raises((TypeError, ValueError), match=message):
        build()


def test_an_old_key_in_the_state_is_refused(without_hook):
    """A pair of uint32, as `jax.random.PRNGKey` makes them."""
    with pytest.raises(TypeError, match=r"holds uint32\[2\] at \['key'\]"):
        wrappers.Markovian(OldKey())


class OldKey(envs.AbstractWrapper):
    """Keeps an old key in its state."""

    env: envs.AbstractEnvironment = Long()

    def reset(self, key, params):
        return self.env.reset(key, params)[0], {"key": jax.random.key_data(key)}

    def restart(self, key, state, over, params):
        return self.reset(key, params)

    def transition(self, key, state, action, params):
        return self.env.transition(key, state, action, params)
