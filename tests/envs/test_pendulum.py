"""The tasks with a pendulum against the originals, one step at a time."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memoalg.envs.tasks import _pendulum as physics
from memoalg.envs.tasks._noisy_position_only_pendulum import NoisyPositionOnlyPendulum
from memoalg.envs.tasks._pendulum import PendulumState
from memoalg.envs.tasks._position_only_pendulum import PositionOnlyPendulum

from .injected import (
    Faulty,
    ScriptedNoise,
    check_picture,
    oracle_returns,
    truncation_as_termination,
)
from .replay import Episode, differences, stack

popgym_envs = pytest.importorskip("popgym.envs", exc_type=ImportError)

LEVELS = ("Easy", "Medium", "Hard")
STEPS: dict[str, int] = dict(zip(LEVELS, (200, 150, 100), strict=True))
SIGMAS: dict[str, float] = dict(zip(LEVELS, (0.1, 0.2, 0.3), strict=True))


def original(task: str, level: str):
    modules = {
        "PositionOnly": popgym_envs.position_only_pendulum,
        "NoisyPositionOnly": popgym_envs.noisy_position_only_pendulum,
    }
    return vars(modules[task])[f"{task}Pendulum{level}"]()


def ours(task: str, level: str) -> Any:
    if task == "PositionOnly":
        return PositionOnlyPendulum(STEPS[level])
    return NoisyPositionOnlyPendulum(SIGMAS[level])


def wrap(angle):
    return (angle + np.pi) % (2 * np.pi) - np.pi


def numbers_to_come(reference) -> np.ndarray:
    """The two normal numbers that the noisy original would draw next."""
    source = np.random.Generator(type(reference.np_random.bit_generator)())
    source.bit_generator.state = reference.np_random.bit_generator.state
    return source.standard_normal(2)


def record(reference, seed: int, policy) -> tuple[Episode, np.ndarray, np.ndarray]:
    """One episode of the original, its torques, and before each step: angle, velocity, time, noise."""
    first, _ = reference.reset(seed=seed)
    observation, over, steps, actions, hidden = first, False, [], [], []
    while not over:
        action = np.asarray([policy(reference, observation)], np.float32)
        angle, velocity = reference.state
        hidden.append([wrap(angle), velocity, reference.num_steps, *numbers_to_come(reference)])
        observation, reward, terminated, truncated, _ = reference.step(action)
        steps.append((observation, np.float64(reward), np.bool_(terminated), np.bool_(truncated)))
        actions.append(action)
        over = terminated or truncated
    return Episode(first, *stack(steps)), np.stack(actions), np.array(hidden)


@jax.jit
def _steps(env, params, rows, actions):
    def push(row, action):
        state = PendulumState(row[0], row[1], row[2].astype(jnp.int32))
        observation, _, *rest = _scripted(env, row[3:5]).transition(
            jax.random.key(0), state, action, params
        )
        return observation, *rest

    return jax.vmap(push)(rows, actions)


def _scripted(env, numbers):
    """The same environment with these numbers for noise."""
    if isinstance(env, Faulty):
        return Faulty(_scripted(env.env, numbers), env.change)
    if isinstance(env, PositionOnlyPendulum):
        return env
    return NoisyPositionOnlyPendulum(env.sigma, env.max_steps, ScriptedNoise(numbers))


def compare(task: str, level: str, env, seed: int, policy):
    """Differences of every step, each from the original's state; the first observation is its own."""
    episode, actions, hidden = record(original(task, level), seed, policy)
    length = len(actions)
    rows, padded = np.zeros((200, 5)), np.zeros((200, 1))
    rows[:length], padded[:length] = hidden, actions
    rows, padded = jnp.asarray(rows, float), jnp.asarray(padded, float)
    outcome = _steps(env, env.default_params(), rows, padded)
    cut = jax.tree.map(lambda leaf: np.asarray(leaf)[:length], outcome)
    return differences(episode, Episode(episode.first, *cut)), episode


def swing_up(env, observation) -> float:
    angle, velocity = wrap(env.state[0]), env.state[1]
    energy = 0.5 * velocity**2 + 15 * (np.cos(angle) - 1)
    if abs(angle + 0.15 * velocity) < 0.5:
        return float(np.clip(-16 * angle - 4 * velocity, -2, 2))
    return float(np.clip(np.copysign(2.0, velocity) * (0.5 - energy), -2, 2))


def spin(env, observation) -> float:
    """Turns over and over, to the largest speed, with more torque than there is."""
    return 5.0


def along(env, observation) -> float:
    return float(2 * observation[1])


class Random:
    def __init__(self, seed: int):
        self.generator = np.random.default_rng(seed)

    def __call__(self, env, observation) -> float:
        return float(self.generator.uniform(-2, 2))


POLICIES = {"swing up": swing_up, "spin": spin, "along": along, "random": Random(3)}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("task", ["PositionOnly", "NoisyPositionOnly"])
def test_every_step_equals_the_original(task, level, policy):
    env = ours(task, level)
    for seed in range(3):
        wrong, episode = compare(task, level, env, seed, POLICIES[policy])
        assert not wrong, (seed, wrong)
        assert len(episode.rewards) == int(env.default_params().max_steps)
        assert episode.truncated[-1]
        assert not episode.terminated.any()


def test_spinning_turns_over():
    _, _, hidden = record(original("PositionOnly", "Easy"), 0, spin)
    assert np.abs(hidden[:, 1]).max() == 8
    assert np.sum(np.abs(np.diff(hidden[:, 0])) > np.pi) > 5


# Means over starts: a dynamic program on a grid of angles and velocities, which sees the state, gets
# no more than the second column.
RETURNS = {"Easy": (0.908, 0.916), "Medium": (0.877, 0.888), "Hard": (0.816, 0.832)}


@pytest.mark.parametrize("level", LEVELS)
def test_the_oracle_swings_up_and_holds(level):
    params = PositionOnlyPendulum(STEPS[level]).default_params()
    keys = jax.random.split(jax.random.key(0), 4000)
    totals, lengths, ended = oracle_returns(PositionOnlyPendulum(), params, keys, 200)
    assert ended.all()
    assert (lengths == STEPS[level]).all()
    expected, best = RETURNS[level]
    assert abs(np.mean(totals) - expected) < 0.01
    assert np.mean(totals) < best + 4 * np.std(totals) / np.sqrt(4000)


def test_the_noisy_oracle_sees_the_state():
    env = NoisyPositionOnlyPendulum(0.3)
    keys = jax.random.split(jax.random.key(0), 1000)
    totals, _, _ = oracle_returns(env, env.default_params(), keys, 200)
    assert abs(np.mean(totals) - RETURNS["Easy"][0]) < 0.01


def test_the_start_is_uniform():
    env = PositionOnlyPendulum()
    reset = jax.jit(jax.vmap(env.reset, in_axes=(0, None)))
    observation, state = reset(jax.random.split(jax.random.key(0), 20_000), env.default_params())
    for numbers, high in ((state.angle, np.pi), (state.angular_velocity, 1.0)):
        counts, _ = np.histogram(np.asarray(numbers), bins=10, range=(-high, high))
        assert counts.sum() == 20_000
        assert np.sum((counts - 2000) ** 2 / 2000) < 33.7  # 9 degrees, once in 10,000
    expected = np.stack([np.cos(state.angle), np.sin(state.angle)], 1)
    np.testing.assert_allclose(observation, expected, atol=1e-6)
    # The original starts between the same bounds.
    theirs, starts = original("PositionOnly", "Easy"), []
    for seed in range(300):
        theirs.reset(seed=seed)
        starts.append(theirs.state)
    assert np.abs(starts).max(0) == pytest.approx([np.pi, 1.0], rel=0.03)


# Noise.


def test_the_first_observation_is_noisy_and_clipped():
    numbers = jnp.array([100.0, -100.0], float)
    env = NoisyPositionOnlyPendulum(0.3, noise=ScriptedNoise(numbers))
    observation, _ = env.reset(jax.random.key(0), env.default_params())
    assert observation.tolist() == [1, -1]
    env = NoisyPositionOnlyPendulum(0.1, noise=ScriptedNoise(numbers / 100))
    observation, state = env.reset(jax.random.key(0), env.default_params())
    expected = np.clip(np.asarray(physics.direction(state)) + np.array([0.1, -0.1]), -1, 1)
    np.testing.assert_allclose(observation, expected, atol=1e-6)


def start_and_noise(reset, env) -> np.ndarray:
    """Correlations of the noise of cos with both numbers of the start, where it was not clipped."""
    keys = jax.random.split(jax.random.key(8), 20_000)
    params = env.default_params()
    observation, state = jax.jit(jax.vmap(reset, in_axes=(0, None)))(keys, params)
    noise = np.asarray(observation[:, 0] - jnp.cos(state.angle))
    level = np.abs(np.cos(state.angle)) < 0.5
    inside = level & (np.abs(np.asarray(observation[:, 0])) < 1)
    start = (state.angle, state.angular_velocity)
    return np.array([np.corrcoef(noise[inside], np.asarray(x)[inside])[0, 1] for x in start])


def test_noise_is_independent_of_the_start():
    env = NoisyPositionOnlyPendulum(0.1)
    assert np.abs(start_and_noise(env.reset, env)).max() < 4.5 / np.sqrt(6000)


def test_one_key_for_state_and_noise_is_seen():
    env = NoisyPositionOnlyPendulum(0.1)

    def reset(key, params):
        state = physics.set_up(key)
        return physics.direction(state) + 0.1 * env.noise.draw(key, 2), state

    assert np.abs(start_and_noise(reset, env)).max() > 0.5


# Faults.


def unclipped(env, state, outcome, params):
    _, after, *rest = outcome
    return physics.direction(after) + params.sigma * env.noise.numbers, after, *rest


def cost_after(env, state, outcome, params):
    """The cost of the state that follows."""
    observation, after, _, *ends = outcome
    cost = after.angle**2 + 0.1 * after.angular_velocity**2
    return observation, after, physics.reward(cost, params.max_steps), *ends


def one_step_longer(env, state, outcome, params):
    *rest, terminated, _ = outcome
    return *rest, terminated, state.time >= params.max_steps


FAULTS = {
    "truncation as termination": ("PositionOnly", truncation_as_termination, "truncated"),
    "cost of the next state": ("PositionOnly", cost_after, "rewards"),
    "one step longer": ("PositionOnly", one_step_longer, "truncated"),
    "noise is not clipped": ("NoisyPositionOnly", unclipped, "observations"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_seen(fault):
    task, change, part = FAULTS[fault]
    found, _ = compare(task, "Hard", Faulty(ours(task, "Hard"), change), 0, POLICIES["random"])
    assert any(line.startswith(part) for line in found), found


BAD_ARGUMENTS = {
    "steps": (lambda: PositionOnlyPendulum(0), r"PositionOnlyPendulum\(max_steps=...\) .* got 0"),
    "sigma": (lambda: NoisyPositionOnlyPendulum(-1.0), r"sigma=.* from 0 to 1000, got -1"),
    "text": (lambda: NoisyPositionOnlyPendulum("0.1"), r"sigma=.* a number .* got '0.1'"),  # pyright: ignore[reportArgumentType]
    "noisy steps": (lambda: NoisyPositionOnlyPendulum(0.1, 0), r"max_steps=.* got 0"),
}


@pytest.mark.parametrize("case", BAD_ARGUMENTS)
def test_bad_arguments_are_explained(case, without_hook):
    build, message = BAD_ARGUMENTS[case]
    with pytest.raises((TypeError, ValueError), match=message):
        build()


@pytest.mark.parametrize("task", ["PositionOnly", "NoisyPositionOnly"])
def test_bad_actions_are_explained(task, without_hook):
    env, key = ours(task, "Easy"), jax.random.key(0)
    _, state = env.reset(key, env.default_params())
    with pytest.raises(ValueError, match=r"floats of shape \(1,\), got float32 of shape \(\)"):
        env.transition(key, state, jnp.zeros(()), env.default_params())
    with pytest.raises(ValueError, match=r"floats of shape \(1,\), got int32 of shape \(1,\)"):
        env.transition(key, state, jnp.zeros(1, jnp.int32), env.default_params())


def test_pictures():
    pytest.importorskip("PIL")
    for task in ("PositionOnly", "NoisyPositionOnly"):
        env = ours(task, "Easy")
        _, start = env.reset(jax.random.key(0), env.default_params())
        other = PendulumState(start.angle + 1, -start.angular_velocity, start.time)
        check_picture(env, [start, other])


def test_names():
    for task in ("PositionOnly", "NoisyPositionOnly"):
        assert [ours(task, level).name for level in LEVELS] == [
            f"popgym/{task}Pendulum{level}" for level in LEVELS
        ]
    assert NoisyPositionOnlyPendulum(0.5).name == "popgym/NoisyPositionOnlyPendulum(0.5, 200)"
