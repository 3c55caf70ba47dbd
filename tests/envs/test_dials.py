"""What all memory tasks with a dial have in common: levels, types, spaces, pictures."""

from typing import Any

import jax
import numpy as np
import pytest

from memoalg.envs.tasks._acrobot import Acrobot
from memoalg.envs.tasks._memory_chain import MemoryChain
from memoalg.envs.tasks._meta_bandit import MetaBandit
from memoalg.envs.tasks._mountain_car import MountainCar
from memoalg.envs.tasks._n_back import NBack
from memoalg.envs.tasks._room_memory import RoomMemory
from memoalg.envs.tasks._sighted_cart_pole import CartPole
from memoalg.envs.tasks._sighted_pendulum import Pendulum
from memoalg.envs.tasks._t_maze import TMaze
from memoalg.envs.tasks._trace_conditioning import TraceConditioning

FAMILIES: dict[str, Any] = {
    family.__name__: family
    for family in (
        *(MemoryChain, TMaze, NBack, TraceConditioning, MetaBandit, RoomMemory),
        *(MountainCar, Acrobot, CartPole, Pendulum),
    )
}
SETTINGS: dict[str, Any] = {
    f"{name}{level}": family(*arguments)
    for name, family in FAMILIES.items()
    for level, arguments in zip(("Easy", "Medium", "Hard"), family.levels, strict=True)
}
KEY = jax.random.key(9)


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_level_has_its_name(setting):
    assert SETTINGS[setting].name == f"memory/{setting}"


@pytest.mark.parametrize(
    ("env", "name"),
    [
        (MemoryChain(7), "memory/MemoryChain(7)"),
        (MemoryChain(10, 2), "memory/MemoryChain(10, 2, False)"),
        (TMaze(10, 50), "memory/TMaze(10, 50)"),
        (MetaBandit(2, 100, "gaussian"), "memory/MetaBandit(2, 100, 'gaussian')"),
        (RoomMemory(5, 5), "memory/RoomMemory(5, 5, None)"),
        (TraceConditioning(10, 0, 0), "memory/TraceConditioning(10, 0, 0, 10)"),
    ],
)
def test_another_setting_has_a_call_as_its_name(env, name):
    assert env.name == name


@pytest.mark.parametrize("wide", [False, True], ids=["x32", "x64"])
@pytest.mark.parametrize("setting", SETTINGS)
def test_types_are_strong_and_the_same_after_reset_and_transition(setting, wide):
    with jax.enable_x64(wide):
        env = SETTINGS[setting]
        params = env.default_params()
        action = env.action_space(params).sample(KEY)
        first, fresh = jax.eval_shape(env.reset, KEY, params)
        seen, after, reward, *flags = jax.eval_shape(env.transition, KEY, fresh, action, params)
        acted = jax.eval_shape(env.oracle, fresh, params)
        default = np.dtype("float64" if wide else "float32")
        before, behind = jax.tree.leaves((first, fresh)), jax.tree.leaves((seen, after))
        assert jax.tree.structure((first, fresh)) == jax.tree.structure((seen, after))
        assert [(a.shape, a.dtype) for a in before] == [(b.shape, b.dtype) for b in behind]
        assert not any(leaf.weak_type for leaf in (*before, *behind, reward, *flags))
        assert {leaf.dtype for leaf in before} <= {
            default,
            *map(np.dtype, ("int32", "int8", "bool")),
        }
        assert (reward.dtype, reward.shape) == (default, ())
        assert all((flag.dtype, flag.shape) == (np.dtype(bool), ()) for flag in flags)
        assert (acted.dtype, acted.shape) == (action.dtype, action.shape)
        assert not any(leaf.weak_type for leaf in jax.tree.leaves(params))


@pytest.mark.parametrize("name", FAMILIES)
def test_observations_and_actions_are_in_their_spaces(name):
    env = FAMILIES[name](*FAMILIES[name].levels[0])
    params = env.default_params()

    @jax.jit
    @jax.vmap
    def inside(key):
        def body(carry, key):
            state, fine = carry
            action = env.action_space(params).sample(key)
            seen, state, *_, info = env.step(key, state, action, params)
            space = env.observation_space(params)
            fine &= space.contains(seen) & space.contains(info["final_observation"])
            return (
                state,
                fine & env.action_space(params).contains(env.oracle(state, params)),
            ), None

        first, state = env.reset(key, params)
        start = state, env.observation_space(params).contains(first)
        return jax.lax.scan(body, start, jax.random.split(key, 120))[0][1]

    assert inside(jax.random.split(KEY, 32)).all()


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_picture_is_drawn(setting):
    pytest.importorskip("PIL")
    env = SETTINGS[setting]
    pictures = [env.render(env.reset(jax.random.key(i), env.default_params())[1]) for i in range(2)]
    assert pictures[0].shape == pictures[1].shape
    assert all(picture.dtype == np.uint8 and picture.std() > 5 for picture in pictures)


@pytest.mark.parametrize("name", FAMILIES)
def test_an_equal_instance_is_equal_and_another_setting_is_not(name):
    easy, hard = (FAMILIES[name](*FAMILIES[name].levels[i]) for i in (0, 2))
    assert easy == FAMILIES[name](*FAMILIES[name].levels[0])
    assert hash(easy) == hash(FAMILIES[name](*FAMILIES[name].levels[0]))
    assert easy != hard
