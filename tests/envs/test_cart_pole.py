"""The tasks with a pole on a cart against the originals, one step at a time."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memoalg.envs.tasks import _cart_pole as physics
from memoalg.envs.tasks._cart_pole import CartPoleState
from memoalg.envs.tasks._noisy_position_only_cart_pole import HIGH, NoisyPositionOnlyCartPole
from memoalg.envs.tasks._position_only_cart_pole import PositionOnlyCartPole
from memoalg.envs.tasks._velocity_only_cart_pole import VelocityOnlyCartPole

from .injected import (
    Faulty,
    ScriptedNoise,
    check_picture,
    oracle_returns,
    truncation_as_termination,
)
from .replay import Episode, cart_pole_state, differences, record, replay_physics

popgym_envs = pytest.importorskip("popgym.envs", exc_type=ImportError)

LEVELS = ("Easy", "Medium", "Hard")
STEPS: dict[str, int] = dict(zip(LEVELS, (200, 400, 600), strict=True))
SIGMAS: dict[str, float] = dict(zip(LEVELS, (0.1, 0.2, 0.3), strict=True))


def velocity_original(level: str):
    return vars(popgym_envs.velocity_only_cartpole)[f"VelocityOnlyCartPole{level}"]()


class Clean:
    """The noisy original, with the normal numbers behind its noise beside its state."""

    def __init__(self, level: str):
        module = popgym_envs.noisy_position_only_cartpole
        self.env = vars(module)[f"NoisyPositionOnlyCartPole{level}"]()
        self.action_space = self.env.action_space

    def reset(self, seed):
        clean = popgym_envs.position_only_cartpole.PositionOnlyCartPole()
        self.clean_first, _ = clean.reset(seed=seed)
        self.first_numbers = clean.np_random.standard_normal(2)
        return self.env.reset(seed=seed)

    @property
    def state(self):
        return self.env.state

    def step(self, action):
        return self.env.step(action)


def noisy_state(original: Clean) -> np.ndarray:
    """Physics, time, and the two numbers that the coming step will draw."""
    source = np.random.Generator(type(original.env.np_random.bit_generator)())
    source.bit_generator.state = original.env.np_random.bit_generator.state
    return np.r_[original.state, original.env.num_steps, source.standard_normal(2)]


@jax.jit
def _noisy_steps(env, params, rows, actions):
    def push(row, action):
        state = CartPoleState(row[0], row[1], row[2], row[3], row[4].astype(jnp.int32))
        scripted = NoisyPositionOnlyCartPole(noise=ScriptedNoise(row[5:7]))
        observation, _, *rest = _with_change(env, scripted).transition(
            jax.random.key(0), state, action, params
        )
        return observation, *rest

    return jax.vmap(push)(rows, actions)


def _with_change(env, scripted):
    return Faulty(scripted, env.change) if isinstance(env, Faulty) else scripted


def replay_noisy(env, first, hidden: np.ndarray, actions: np.ndarray) -> Episode:
    """Our outcome of every step from the original's state and numbers."""
    length = len(actions)
    rows, padded = np.zeros((200, 7)), np.zeros(200, np.int32)
    rows[:length], padded[:length] = hidden, actions
    outcome = _noisy_steps(env, env.default_params(), jnp.asarray(rows, float), padded)
    return Episode(first, *jax.tree.map(lambda leaf: np.asarray(leaf)[:length], outcome))


def balanced(env, observation) -> int:
    x, x_dot, theta, theta_dot = env.state
    return int(0.05 * x + 0.1 * x_dot + theta + 0.3 * theta_dot > 0)


def right(env, observation) -> int:
    return 1


def lean(env, observation) -> int:
    return int(observation[1] > 0)


class Random:
    def __init__(self, seed: int):
        self.generator = np.random.default_rng(seed)

    def __call__(self, env, observation) -> int:
        return int(self.generator.integers(2))


POLICIES = {"balanced": balanced, "right": right, "lean": lean, "random": Random(3)}


def compare_velocity(level: str, env, seed: int, policy):
    episode, actions, hidden = record(velocity_original(level), seed, policy, cart_pole_state)
    return differences(episode, replay_physics(env, hidden, actions)), episode


def compare_noisy(level: str, env, seed: int, policy):
    reference = Clean(level)
    episode, actions, hidden = record(reference, seed, policy, noisy_state)
    noise = (SIGMAS[level] * reference.first_numbers).astype(np.float32)
    first = np.clip(reference.clean_first + noise, -HIGH, HIGH)
    return differences(episode, replay_noisy(env, first, hidden, actions)), episode


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("level", LEVELS)
def test_every_step_of_velocity_only_equals_the_original(level, policy):
    env = VelocityOnlyCartPole(STEPS[level])
    for seed in range(3):
        wrong, _ = compare_velocity(level, env, seed, POLICIES[policy])
        assert not wrong, (seed, wrong)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("level", LEVELS)
def test_every_step_of_noisy_equals_the_original(level, policy):
    env = NoisyPositionOnlyCartPole(SIGMAS[level])
    for seed in range(3):
        wrong, _ = compare_noisy(level, env, seed, POLICIES[policy])
        assert not wrong, (seed, wrong)


@pytest.mark.parametrize("level", LEVELS)
def test_the_balanced_pole_reaches_the_limit(level):
    _, episode = compare_velocity(level, VelocityOnlyCartPole(STEPS[level]), 0, balanced)
    assert len(episode.rewards) == STEPS[level]
    assert episode.truncated[-1]
    assert not episode.terminated[-1]


def test_the_first_observation_is_of_positions_or_of_velocities():
    key = jax.random.key(4)
    for env, expected in (
        (VelocityOnlyCartPole(), physics.positions),
        (VelocityOnlyCartPole(positions_first=True), physics.positions),
        (VelocityOnlyCartPole(positions_first=False), physics.velocities),
    ):
        observation, state = env.reset(key, env.default_params())
        assert np.array_equal(observation, expected(state))
    # The original's: `replay_physics` took (x, theta) for it, above; here in the open.
    reference = velocity_original("Easy")
    first, _ = reference.reset(seed=0)
    np.testing.assert_allclose(first, np.array(reference.state)[[0, 2]], atol=1e-7)


@pytest.mark.parametrize(
    "task", [PositionOnlyCartPole, VelocityOnlyCartPole, NoisyPositionOnlyCartPole]
)
def test_the_oracle_returns_one(task):
    keys = jax.random.split(jax.random.key(0), 256)
    for arguments in task.levels:
        params = task(*arguments).default_params()
        # One program for three levels: the time limit and the noise are parameters.
        totals, lengths, ended = oracle_returns(task(), params, keys, 600)
        assert ended.all()
        assert (lengths == params.max_steps).all()
        np.testing.assert_allclose(totals, 1.0, atol=2e-5)


# Noise.


def noise_and_start(reset, env) -> tuple[np.ndarray, np.ndarray]:
    """The first observation's noise on x in units of sigma, and the four numbers of the start."""
    keys = jax.random.split(jax.random.key(8), 20_000)
    params = env.default_params()
    observation, state = jax.jit(jax.vmap(reset, in_axes=(0, None)))(keys, params)
    start = [state.position, state.velocity, state.angle, state.angular_velocity]
    noise = np.asarray(observation[:, 0] - state.position) / env.sigma
    return noise, np.stack(start)


def rank_correlations(noise: np.ndarray, start: np.ndarray) -> np.ndarray:
    rank = lambda x: np.argsort(np.argsort(x))
    return np.array([np.corrcoef(rank(noise), rank(number))[0, 1] for number in start])


def test_noise_is_normal_and_independent_of_the_start():
    env = NoisyPositionOnlyCartPole(0.3)
    noise, start = noise_and_start(env.reset, env)
    cuts = np.array([-1.2816, -0.8416, -0.5244, -0.2533, 0, 0.2533, 0.5244, 0.8416, 1.2816])
    counts = np.bincount(np.searchsorted(cuts, noise), minlength=10)
    assert np.sum((counts - 2000) ** 2 / 2000) < 33.7  # 9 degrees, once in 10,000
    assert np.abs(rank_correlations(noise, start)).max() < 4.5 / np.sqrt(20_000)


def test_one_key_for_state_and_noise_is_seen():
    env = NoisyPositionOnlyCartPole(0.3)

    def reset(key, params):
        state = physics.set_up(key)
        return physics.positions(state) + 0.3 * env.noise.draw(key, 2), state

    noise, start = noise_and_start(reset, env)
    assert np.abs(rank_correlations(noise, start)).max() > 0.5


def test_the_first_observation_is_noisy_and_clipped():
    numbers = jnp.array([100.0, -100.0], float)
    env = NoisyPositionOnlyCartPole(0.2, noise=ScriptedNoise(numbers))
    observation, _ = env.reset(jax.random.key(0), env.default_params())
    np.testing.assert_allclose(observation, [4.8, -24 * np.pi / 180], rtol=1e-6)
    env = NoisyPositionOnlyCartPole(0.2, noise=ScriptedNoise(numbers / 100))
    observation, state = env.reset(jax.random.key(0), env.default_params())
    expected = np.asarray(physics.positions(state)) + np.array([0.2, -0.2])
    np.testing.assert_allclose(observation, expected, atol=1e-6)


def test_the_noise_is_a_parameter():
    env = NoisyPositionOnlyCartPole(noise=ScriptedNoise(jnp.ones(2)))
    many = [NoisyPositionOnlyCartPole(sigma).default_params() for sigma in (0.0, 0.1, 0.3)]
    params = jax.tree.map(lambda *leaves: jnp.stack(leaves), *many)
    observation, state = jax.vmap(env.reset, in_axes=(None, 0))(jax.random.key(0), params)
    np.testing.assert_allclose(observation[:, 0] - state.position, [0, 0.1, 0.3], atol=1e-6)


# Faults.


def positions_shown(env, state, outcome, params):
    _, after, *rest = outcome
    return physics.positions(after), after, *rest


def no_reward_for_the_fall(env, state, outcome, params):
    observation, after, reward, terminated, truncated = outcome
    return observation, after, jnp.where(terminated, 0, reward), terminated, truncated


def semi_implicit(env, state, outcome, params):
    """Positions that move with the new velocities."""
    observation, after, *rest = outcome
    shift = physics.TIME_STEP * (physics.velocities(after) - physics.velocities(state))
    return observation + shift, after, *rest


def unclipped(env, state, outcome, params):
    _, after, *rest = outcome
    return physics.positions(after) + params.sigma * env.noise.numbers, after, *rest


VELOCITY_FAULTS = {
    "truncation as termination": (truncation_as_termination, balanced, "truncated"),
    "positions are shown": (positions_shown, right, "observations"),
    "no reward for the fall": (no_reward_for_the_fall, right, "rewards"),
}
NOISY_FAULTS = {
    "truncation as termination": (truncation_as_termination, balanced, "truncated"),
    "noise is not clipped": (unclipped, balanced, "observations"),
    "semi-implicit physics": (semi_implicit, right, "observations"),
}


@pytest.mark.parametrize("fault", VELOCITY_FAULTS)
def test_a_fault_of_velocity_only_is_seen(fault):
    change, policy, part = VELOCITY_FAULTS[fault]
    env = Faulty(VelocityOnlyCartPole(), change)
    found, _ = compare_velocity("Easy", env, 0, policy)
    assert any(line.startswith(part) for line in found), found


@pytest.mark.parametrize("fault", NOISY_FAULTS)
def test_a_fault_of_noisy_is_seen(fault):
    change, policy, part = NOISY_FAULTS[fault]
    env = Faulty(NoisyPositionOnlyCartPole(0.3), change)
    found, _ = compare_noisy("Hard", env, 0, policy)
    assert any(line.startswith(part) for line in found), found


BAD_ARGUMENTS = {
    "steps": (lambda: VelocityOnlyCartPole(0), r"VelocityOnlyCartPole\(max_steps=...\) .* got 0"),
    "switch": (lambda: VelocityOnlyCartPole(200, 1), r"positions_first=.* True or False, got 1"),  # pyright: ignore[reportArgumentType]
    "sigma": (lambda: NoisyPositionOnlyCartPole(-0.1), r"sigma=.* from 0 to 1000, got -0.1"),
    "nan": (lambda: NoisyPositionOnlyCartPole(float("nan")), r"sigma=.* got nan"),
    "noisy steps": (lambda: NoisyPositionOnlyCartPole(0.1, 0), r"max_steps=.* got 0"),
}


@pytest.mark.parametrize("case", BAD_ARGUMENTS)
def test_bad_arguments_are_explained(case, without_hook):
    build, message = BAD_ARGUMENTS[case]
    with pytest.raises((TypeError, ValueError), match=message):
        build()


def rest(state: CartPoleState):
    return state.angular_velocity, state.time


def test_pictures():
    pytest.importorskip("PIL")
    task: Any
    for task in (PositionOnlyCartPole, VelocityOnlyCartPole, NoisyPositionOnlyCartPole):
        env = task()
        _, start = env.reset(jax.random.key(0), env.default_params())
        far = CartPoleState(start.position + 2, start.velocity, start.angle - 0.2, *rest(start))
        check_picture(env, [start, far])


def test_names():
    names = [VelocityOnlyCartPole(STEPS[level]).name for level in LEVELS]
    assert names == [f"popgym/VelocityOnlyCartPole{level}" for level in LEVELS]
    names = [NoisyPositionOnlyCartPole(SIGMAS[level]).name for level in LEVELS]
    assert names == [f"popgym/NoisyPositionOnlyCartPole{level}" for level in LEVELS]
    assert VelocityOnlyCartPole(200, False).name == "popgym/VelocityOnlyCartPole(200, False)"
    assert NoisyPositionOnlyCartPole(0.5).name == "popgym/NoisyPositionOnlyCartPole(0.5, 200)"
