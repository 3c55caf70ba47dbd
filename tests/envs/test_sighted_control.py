"""MountainCar, Acrobot, CartPole, Pendulum: gymnasium's step, and what is hidden of it."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memoalg.envs.tasks._acrobot import Acrobot, AcrobotState
from memoalg.envs.tasks._cart_pole import CartPoleState
from memoalg.envs.tasks._mountain_car import MountainCar, MountainCarState
from memoalg.envs.tasks._pendulum import PendulumState
from memoalg.envs.tasks._sighted_cart_pole import CartPole
from memoalg.envs.tasks._sighted_pendulum import Pendulum

from .dial_play import play
from .task_kit import Faulty

classic = pytest.importorskip("gymnasium.envs.classic_control", exc_type=ImportError)

CLASSES: dict[str, Any] = {
    "MountainCar": MountainCar,
    "Acrobot": Acrobot,
    "CartPole": CartPole,
    "Pendulum": Pendulum,
}
POSITIONS = {"MountainCar": 1, "Acrobot": 4, "CartPole": 2, "Pendulum": 2}
# Where states are drawn from: to the bounds and, where the walls or limits are, beyond the middle.
RANGES = {
    "MountainCar": np.array([[-1.2, 0.6], [-0.07, 0.07]]),
    "Acrobot": np.array([[-np.pi, np.pi]] * 2 + [[-4 * np.pi, 4 * np.pi], [-9 * np.pi, 9 * np.pi]]),
    "CartPole": np.array([[-2.5, 2.5], [-2.0, 2.0], [-0.22, 0.22], [-2.0, 2.0]]),
    "Pendulum": np.array([[-np.pi, np.pi], [-8.0, 8.0]]),
}
LIMIT = 100


def state_of(name: str, row) -> Any:
    clock = jnp.zeros((), jnp.int32)
    if name == "Acrobot":
        return AcrobotState(row[:2], row[2:], clock)
    if name == "CartPole":
        return CartPoleState(row[0], row[1], row[2], row[3], clock)
    return {"MountainCar": MountainCarState, "Pendulum": PendulumState}[name](row[0], row[1], clock)


def our_reward(name: str, reward: float) -> float:
    """Gymnasium's on our scale."""
    return {"Pendulum": (1 + reward / 8.1368022), "MountainCar": reward, "Acrobot": reward}.get(
        name, 1.0
    ) / LIMIT


def gymnasium_steps(name: str, states: np.ndarray, actions: np.ndarray) -> tuple:
    """Observations, rewards on our scale and ends, each from a state of its own."""
    original = vars(classic)[f"{name}Env"]()
    original.reset(seed=0)
    found = []
    for state, action in zip(states, actions, strict=True):
        original.state = tuple(state) if name != "Acrobot" else state.copy()
        if name == "CartPole":
            original.steps_beyond_terminated = None
        seen, reward, terminated, *_ = original.step(action)
        # Ours has the positions first.
        seen = seen[[0, 2, 1, 3]] if name == "CartPole" else seen
        found.append((seen, our_reward(name, float(reward)), terminated))
    return tuple(np.array(part) for part in zip(*found, strict=True))


def compare(env, name: str, count: int = 400) -> list[str]:
    """Which parts of a step differ from gymnasium's, over states and actions drawn at random."""
    generator = np.random.default_rng(8)
    low, high = RANGES[name].T
    states = generator.uniform(low, high, (count, len(low)))
    states[: count // 4, 0] = np.where(np.arange(count // 4) % 2, low[0], high[0])
    discrete = name != "Pendulum"
    sizes = {"CartPole": 2}.get(name, 3)
    actions = (
        generator.integers(sizes, size=count) if discrete else generator.uniform(-3, 3, (count, 1))
    )
    wanted = gymnasium_steps(name, states, actions)
    with jax.enable_x64(True):
        params = env.default_params()

        def one(row, action):
            return env.transition(jax.random.key(0), state_of(name, row), action, params)

        ours = actions.astype(np.int32) if discrete else actions
        seen, _, reward, terminated, truncated = jax.jit(jax.vmap(one))(states, ours)
        assert not truncated.any()
    return [
        part
        for part, a, b in zip(
            ("observation", "reward", "terminated"), wanted, (seen, reward, terminated), strict=True
        )
        if not np.allclose(a, b, rtol=2e-6, atol=2e-6)
    ]


def full(name: str):
    return CLASSES[name]("none", 0.0, LIMIT)


@pytest.mark.parametrize("name", CLASSES)
def test_every_step_is_gymnasiums(name):
    assert not compare(full(name), name)


@pytest.mark.parametrize("name", CLASSES)
def test_hidden_velocities_are_hidden_and_nothing_else(name):
    with jax.enable_x64(True):
        params, rows = full(name).default_params(), jnp.asarray(RANGES[name].mean(1) + 0.01)
        action = jnp.zeros((1,)) if name == "Pendulum" else jnp.zeros((), jnp.int32)
        state, key = state_of(name, rows), jax.random.key(0)
        everything, *rest = full(name).transition(key, state, action, params)
        part, *other = CLASSES[name]("velocities", 0.0, LIMIT).transition(
            key, state, action, params
        )
    assert np.array_equal(part, everything[: POSITIONS[name]])
    assert len(everything) > len(part)
    assert jax.tree.all(jax.tree.map(np.array_equal, rest, other))


def doubled(env, key, state, action, params):
    """Everything is seen a little too large."""
    seen, *rest = env.transition(key, state, action, params)
    return seen * 1.0001, *rest


def paid_at_the_end(env, key, state, action, params):
    """The last step costs as well."""
    seen, state, reward, *ends = env.transition(key, state, action, params)
    return seen, state, jnp.where(ends[0], -1 / LIMIT, reward), *ends


def through_the_wall(env, key, state, action, params):
    """The velocity survives the left wall."""
    seen, after, *rest = env.transition(key, state, action, params)
    velocity = state.velocity + (action - 1) * 0.001 - 0.0025 * jnp.cos(3 * state.position)
    kept = jnp.where(after.position == -1.2, jnp.clip(velocity, -0.07, 0.07), after.velocity)
    return seen.at[1].set(kept), after, *rest


def never_over(env, key, state, action, params):
    *rest, terminated, truncated = env.transition(key, state, action, params)
    return *rest, jnp.zeros_like(terminated), truncated


FAULTS = {
    "Acrobot sees too much": ("Acrobot", doubled, "observation"),
    "Acrobot's last step costs": ("Acrobot", paid_at_the_end, "reward"),
    "MountainCar passes the wall": ("MountainCar", through_the_wall, "observation"),
    "MountainCar never arrives": ("MountainCar", never_over, "terminated"),
    "CartPole never falls": ("CartPole", never_over, "terminated"),
    "Pendulum sees too much": ("Pendulum", doubled, "observation"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_seen(fault):
    name, change, part = FAULTS[fault]
    with jax.numpy_dtype_promotion("standard"):
        assert part in compare(Faulty(full(name), change), name)


@pytest.mark.parametrize("name", CLASSES)
def test_noise_has_its_size_and_stays_in_the_space(name):
    env = CLASSES[name]("velocities", 0.05, LIMIT)
    params = env.default_params()
    space = env.observation_space(params)
    # States from reset: near the middle, so that clipping takes little.
    noisy, state = jax.vmap(env.reset, in_axes=(0, None))(
        jax.random.split(jax.random.key(1), 4096), params
    )
    assert jax.vmap(space.contains)(noisy).all()
    if name in ("MountainCar", "CartPole"):
        error = (
            (np.asarray(noisy)[:, 0] - np.asarray(state.position)) / (space.high - space.low)[0] * 2
        )
        assert abs(error.mean()) < 4 * 0.05 / 64
        assert abs(error.std() / 0.05 - 1) < 0.05


STARTS = {
    "MountainCar": lambda s: (s.position + 0.5) / 0.1,
    "Acrobot": lambda s: np.concatenate([s.angles, s.velocities], 1) / 0.1,
    "CartPole": lambda s: np.stack([s.position, s.velocity, s.angle, s.angular_velocity]) / 0.05,
    "Pendulum": lambda s: np.stack([s.angle / np.pi, s.angular_velocity]),
}


@pytest.mark.parametrize("name", CLASSES)
def test_starts_are_uniform(name):
    env = full(name)
    _, state = jax.vmap(env.reset, in_axes=(0, None))(
        jax.random.split(jax.random.key(2), 2048), env.default_params()
    )
    scaled = np.ravel(STARTS[name](jax.tree.map(np.asarray, state)))
    counts, _ = np.histogram(scaled, 10, (-1, 1))
    assert counts.sum() == scaled.size
    expected = scaled.size / 10
    assert np.sum((counts - expected) ** 2 / expected) < 33.7  # 9 degrees, p = 1e-4


@pytest.mark.parametrize("name", CLASSES)
def test_a_time_limit_truncates(name):
    random, oracle = play(CLASSES[name]("velocities", 0.0, 30), 30, 64)
    ended = oracle.terminated.any(1)
    assert np.all(oracle.truncated[:, 29])
    assert not oracle.truncated[:, :29].any()
    assert not ended.any()
    assert np.all(random.lengths <= 30)


def test_the_mountain_cars_oracle_arrives():
    _, oracle = play(MountainCar("velocities", 0.0, 200), 200, 64)
    assert oracle.terminated.any(1).all()
    assert -0.75 < oracle.returns.min() < oracle.returns.max() < -0.4


BAD = {
    "hidden": (
        lambda: MountainCar("all"),
        'MountainCar.hidden=.* "velocities" or "none", got \'all\'',
    ),
    "noise": (lambda: Acrobot("none", -0.1), "noise=.* from 0 to 10, got -0.1"),
    "no number": (lambda: CartPole("none", "much"), "noise=.* number from 0 to 10"),  # pyright: ignore[reportArgumentType]
    "no steps": (lambda: Pendulum("none", 0.0, 0), "max_steps=.* got 0"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_are_explained(case, without_hook):
    build, message = BAD[case]
    with pytest.raises((TypeError, ValueError), match=message):
        build()
