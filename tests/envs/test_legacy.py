"""Environments with gymnax's old step of five values."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg.envs as envs
from memoalg.envs._legacy import from_legacy

from .toys import rollout

gymnax = pytest.importorskip("gymnax")
spaces = pytest.importorskip("gymnax.environments.spaces")
struct = pytest.importorskip("flax.struct")

KEY = jax.random.key(8)


class OldCartPole:
    """gymnax's CartPole as it was: one `done`, with the time limit inside."""

    def __init__(self):
        self.new, self.default_params = gymnax.make("CartPole-v1")

    def reset_env(self, key, params):
        return self.new.reset_env(key, params)

    def step_env(self, key, state, action, params):
        observation, state, reward, _, info = self.new.step_env(key, state, action, params)
        return observation, state, reward, self.is_terminal(state, params), info

    def is_terminal(self, state, params):
        return self.new.is_terminated(state, params) | (state.time >= params.max_steps_in_episode)

    def get_obs(self, state):
        return self.new.get_obs(state)

    def observation_space(self, params):
        return self.new.observation_space(params)

    def action_space(self, params):
        return self.new.action_space(params)


@pytest.mark.parametrize("limit", [12, 500])
def test_an_old_environment_equals_the_new_one(limit):
    """Both flags too, where gymnax 1.x has two."""
    new = envs.from_gymnax("CartPole-v1")
    old = OldCartPole()
    params = old.default_params.replace(max_steps_in_episode=limit)
    old = from_legacy(old, params)
    ours = rollout(old, old.default_params(), KEY)
    wanted = rollout(new, new.default_params().replace(max_steps_in_episode=limit), KEY)
    for a, b in zip(jax.tree.leaves(ours[5]), jax.tree.leaves(wanted[5]), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    assert (bool(ours[5][3].any()), bool(ours[5][4].any())) == (limit == 500, limit == 12)


@struct.dataclass
class State:
    left: jax.Array
    time: int


@struct.dataclass
class Params:
    start: int = 10
    max_steps_in_episode: int = 4


@dataclasses.dataclass(frozen=True)
class Countdown:
    """Ends when nothing is left or, `early` steps before its limit, because of the time."""

    early: int = 0
    values: int = 5
    drift: str = ""

    def reset_env(self, key, params):
        state = State(jnp.asarray(params.start, jnp.int32), 0)
        return jnp.zeros(1), state

    def step_env(self, key, state, action, params):
        left = state.left - action
        if self.drift:
            left = left.astype(self.drift)
        state = State(left, state.time + 1)
        done = (left <= 0) | (state.time >= params.max_steps_in_episode - self.early)
        return jnp.ones(1) * left, state, 1, done, *({},) * (self.values - 4)

    def observation_space(self, params):
        return spaces.Box(0.0, 100.0, (1,))

    def action_space(self, params):
        return spaces.Discrete(2)


def flags(env, params, action: int) -> list[tuple[bool, bool]]:
    """(terminated, truncated) until an episode ends."""
    _, state = env.reset(KEY, params)
    found = []
    while not found or found[-1] == (False, False):
        out = env.transition(KEY, state, jnp.asarray(action, jnp.int32), params)
        state, found = out[1], [*found, (bool(out[3]), bool(out[4]))]
    return found


NEITHER = (False, False)
ENDS = {
    "limit": (Countdown(), Params(), 1, [*[NEITHER] * 3, (False, True)]),
    "own end": (Countdown(), Params(start=2), 1, [NEITHER, (True, False)]),
    "both at once": (Countdown(), Params(start=4), 1, [*[NEITHER] * 3, (True, True)]),
    "limit one early": (Countdown(early=1), Params(), 0, [*[NEITHER] * 2, (False, True)]),
    "own end in an early limit": (
        Countdown(early=1),
        Params(start=3),
        1,
        [*[NEITHER] * 2, (True, False)],
    ),
}


@pytest.mark.parametrize("case", ENDS)
def test_done_is_taken_apart(case):
    legacy, params, action, wanted = ENDS[case]
    env = from_legacy(legacy, params)
    assert flags(env, env.default_params(), action) == wanted


def test_the_limit_is_read_from_the_parameters():
    env = from_legacy(Countdown(), Params())
    params = env.default_params().replace(max_steps_in_episode=jnp.asarray(2, jnp.int32))
    assert flags(env, params, 0) == [NEITHER, (False, True)]


class NoLimit(struct.PyTreeNode):
    start: int = 2


@dataclasses.dataclass(frozen=True)
class Unlimited:
    """Parameters without a time limit: every `done` is an end."""

    def reset_env(self, key, params):
        return jnp.zeros(1), {"left": jnp.asarray(params.start, jnp.int32)}

    def step_env(self, key, state, action, params):
        left = state["left"] - 1
        return jnp.zeros(1), {"left": left}, 0.0, left <= 0, {}

    def observation_space(self, params):
        return spaces.Box(0.0, 1.0, (1,))

    def action_space(self, params):
        return spaces.Discrete(2)


def test_without_a_limit_every_done_is_an_end():
    env = from_legacy(Unlimited(), NoLimit())
    assert flags(env, env.default_params(), 0) == [NEITHER, (True, False)]


def test_types_are_strong_with_x64():
    with jax.enable_x64(True):
        env = from_legacy(Countdown(), Params())
        params = env.default_params()
        first, state = env.reset(KEY, params)
        out = env.step(KEY, state, jnp.int32(1), params)
    assert first.dtype == out[0].dtype == out[2].dtype == np.float64
    assert jax.tree.map(lambda x: (x.dtype, x.weak_type), out[1]) == jax.tree.map(
        lambda x: (x.dtype, x.weak_type), state
    )
    assert state.time.dtype == params.start.dtype == np.int32


def test_vmap_and_wrappers_and_value_equality():
    env = envs.EpisodeStart(from_legacy(Countdown(), Params()))
    params = env.default_params()
    out = jax.vmap(rollout, in_axes=(None, None, 0))(env, params, jax.random.split(KEY, 2))[5]
    assert out[4][:, 3::4].all()
    assert np.asarray(out[0][1]).sum() == 2 * 10
    assert from_legacy(Countdown(), Params()) == from_legacy(Countdown(), Params())
    assert hash(from_legacy(Countdown(), Params())) == hash(from_legacy(Countdown(), Params()))
    assert from_legacy(Countdown(), Params()) != from_legacy(Countdown(), Params(start=9))
    assert env.name == "legacy/Countdown"


def test_default_parameters_are_the_object_s():
    env = from_legacy(OldCartPole())
    assert int(env.default_params().max_steps_in_episode) == 500


THE_CLASS: Any = Countdown
BAD = {
    "a class": (
        lambda: from_legacy(THE_CLASS, Params()),
        "takes an object with step_env.*got <class",
    ),  # pyright: ignore[reportArgumentType]
    "no methods": (lambda: from_legacy(3, Params()), "takes an object with step_env.*got 3"),  # pyright: ignore[reportArgumentType]
    "six values": (
        lambda: flags(from_legacy(Countdown(values=6), Params()), Params(), 0),
        "legacy/Countdown: .* the five values .*, got 6",
    ),
    "drift": (
        lambda: flags(from_legacy(Countdown(drift="float32"), Params()), Params(), 0),
        r"step_env changes the state .*\.left: expected int32\[\], got float32\[\]; make both",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_environments_are_explained(case, without_hook):
    build, message = BAD[case]
    with pytest.raises(TypeError, match=message):
        build()
