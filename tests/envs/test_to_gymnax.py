"""Our environments in the hands of gymnax's own tools."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg.envs as envs
from memoalg.envs import wrappers
from memoalg.envs._to_gymnax import ToGymnaxState, to_gymnax

from .toys import Serial, rollout

gymnax = pytest.importorskip("gymnax")
registration = pytest.importorskip("gymnax.registration")
experimental = pytest.importorskip("gymnax.experimental")
environment = pytest.importorskip("gymnax.environments.environment")
spaces = pytest.importorskip("gymnax.environments.spaces")
tools = pytest.importorskip("gymnax.wrappers")

KEY = jax.random.key(21)
SUBJECTS = {
    "vector": envs.PositionOnlyCartPole(12),
    "multi": Serial(7, counts=False),
    "tuple": envs.EpisodeStart(envs.PreviousAction(envs.RepeatFirst())),
    "dict": wrappers.Markovian(envs.PositionOnlyCartPole(12)),
    "carries": wrappers.TimeLimit(envs.RepeatFirst(), 9),
}


@contextlib.contextmanager
def gymnax_rules():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


@pytest.fixture
def register():
    """Registers for one test only: gymnax's registry is the process's."""
    taken = []

    def register(env, name):
        taken.append(name)
        return to_gymnax(env, name)

    yield register
    for name in taken:
        del registration._registry[name]
        gymnax.registered_envs.remove(name)


def same(got, wanted, **tolerance):
    got, wanted = jax.tree.leaves(got), jax.tree.leaves(wanted)
    for a, b in zip(got, wanted, strict=True):
        np.testing.assert_allclose(a, b, **tolerance)


def drive(adapter, step, actions, keys):
    """The adapter's outcomes for given actions; `step` is its own or gymnax's."""
    params = adapter.default_params
    first, state = adapter.reset(jax.random.split(KEY)[0], params)

    def body(state, inputs):
        key, action = inputs
        out = step(key, state, action, params)
        return out[1], out

    with gymnax_rules():
        return first, jax.lax.scan(body, state, (keys, actions))[1]


@pytest.mark.parametrize("name", SUBJECTS)
def test_there_and_back_gives_the_same_numbers(name, register):
    env = SUBJECTS[name]
    register(env, f"memoalg-tests/{name}")
    back = envs.from_gymnax(f"memoalg-tests/{name}")
    first, _, _, actions, _, ours = rollout(env, env.default_params(), KEY)
    again, _, _, others, _, theirs = rollout(back, back.default_params(), KEY)
    if name != "multi":  # a Tuple draws its parts from other keys than a MultiDiscrete
        same(others, actions)
        same(again, first)
        same(theirs[0], ours[0])
        same(theirs[1].inner, ours[1])
        same(theirs[2:5], ours[2:5])
        same(theirs[5]["final_observation"], ours[5]["final_observation"])
    else:
        assert back.action_space(back.default_params()) == envs.Tuple(
            (envs.Discrete(2), envs.Discrete(3))
        )
        same(theirs[2], 3 * others[0] + others[1])
        same(theirs[3], ours[3])


@pytest.mark.parametrize("name", SUBJECTS)
def test_gymnax_s_own_step_gives_the_same_numbers(name):
    """Its auto-reset over our `step_env` and `reset_env`, beside our `step`."""
    env = SUBJECTS[name]
    first, _, _, actions, keys, ours = rollout(env, env.default_params(), KEY)
    adapter = to_gymnax(env)

    def own(*arguments):
        return environment.Environment.step(adapter, *arguments)

    for step in (adapter.step, own):
        again, theirs = drive(adapter, step, actions, keys)
        same(again, first)
        same(theirs[0], ours[0])
        same(theirs[1].inner, ours[1])
        same(theirs[2:5], ours[2:5])
        same(theirs[5]["final_observation"], ours[5]["final_observation"])
        same((theirs[5]["terminated"], theirs[5]["truncated"]), ours[3:5])
    # A deck is longer than these 40 steps.
    assert np.asarray(ours[3] | ours[4])[:-1].any() == (name != "tuple")


def test_a_prepared_episode_is_not_lost():
    """gymnax's own step would begin by a reset: the count of episodes would stay 0."""
    env = Serial(7)
    _, _, _, actions, keys, ours = rollout(env, env.default_params(), KEY)
    adapter = to_gymnax(env)
    _, theirs = drive(adapter, adapter.step, actions, keys)
    same(theirs[1].inner, ours[1])
    same(theirs[5]["episode"], ours[5]["episode"])
    assert int(theirs[1].inner.episode[-1]) == 5


def test_a_limit_of_gymnax_s_parameters_truncates():
    env = Serial(7)
    _, _, _, actions, keys, _ = rollout(env, env.default_params(), KEY)
    adapter = to_gymnax(env, max_steps=5)
    _, theirs = drive(adapter, adapter.step, actions, keys)
    assert np.flatnonzero(theirs[4]).tolist() == list(range(4, 40, 5))
    assert not theirs[3].any()
    assert adapter.default_params.replace(max_steps_in_episode=3).max_steps_in_episode == 3


def test_registered_environments_are_made(register):
    adapter = register(Serial(), "memoalg-tests/made")
    made, params = gymnax.make("memoalg-tests/made")
    assert isinstance(made, environment.Environment)
    assert made == adapter
    assert hash(made) == hash(adapter)
    assert made != to_gymnax(Serial(4))
    assert params.max_steps_in_episode == 2**31 - 1
    with pytest.raises(ValueError, match="memoalg-tests/made is already registered"):
        to_gymnax(Serial(), "memoalg-tests/made")


def test_nothing_is_registered_unasked():
    before = list(gymnax.registered_envs)
    to_gymnax(Serial())
    assert gymnax.registered_envs == before


def test_an_equal_adapter_does_not_compile_again():
    reset = environment.Environment.reset
    to_gymnax(Serial(5)).reset(KEY)
    size = reset._cache_size()
    to_gymnax(Serial(5)).reset(KEY)
    assert reset._cache_size() == size


def test_the_log_wrapper_counts_as_episode_statistics_does():
    env = wrappers.EpisodeStatistics(envs.PositionOnlyCartPole(12))
    _, _, _, actions, keys, ours = rollout(env, env.default_params(), KEY)
    with gymnax_rules():
        _, theirs = drive_wrapped(tools.LogWrapper(to_gymnax(env)), actions, keys)
    over = np.asarray(ours[3] | ours[4])
    assert over.sum() >= 3
    info = theirs[5]
    np.testing.assert_array_equal(info["returned_episode"], over)
    for new, old in (
        ("return", "returned_episode_returns"),
        ("length", "returned_episode_lengths"),
    ):
        np.testing.assert_allclose(ours[5][f"episode_{new}"][over], info[old][over], rtol=1e-6)


def drive_wrapped(wrapper, actions, keys):
    params = wrapper.default_params

    def body(state, inputs):
        key, action = inputs
        out = wrapper.step(key, state, action, params)
        return out[1], out

    # The first episode begins as the rollout's.
    key_reset = jax.random.split(KEY)[0]
    first, state = wrapper.reset(key_reset, params)
    return first, jax.lax.scan(body, state, (keys, actions))[1]


WRAPPERS = {
    "flatten": tools.FlattenObservationWrapper,
    "sticky": lambda env: tools.StickyActionWrapper(env, 0.0),
    "legacy": tools.LegacyStepAPIWrapper,
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_gymnax_s_wrappers_go_around(name):
    env = envs.PositionOnlyCartPole(12)
    first, _, _, actions, keys, ours = rollout(env, env.default_params(), KEY)
    with gymnax_rules():
        again, theirs = drive_wrapped(WRAPPERS[name](to_gymnax(env)), actions, keys)
    same(again, first)
    same(theirs[0], ours[0])
    same(theirs[2], ours[2])
    done = theirs[3] if name == "legacy" else theirs[3] | theirs[4]
    same(done, ours[3] | ours[4])


def test_gymnax_s_rollout():
    with gymnax_rules():
        roll = experimental.RolloutWrapper(
            env=to_gymnax(envs.PositionOnlyCartPole(12)),
            num_env_steps=15,
            env_params={"max_steps_in_episode": 4},
        )
        out = roll.batch_rollout(jax.random.split(KEY, 3), None)
    observation, _, _, _, done, returns = out
    assert observation.shape == (3, 15, 2)
    assert [np.flatnonzero(row).tolist() for row in done] == [[3, 7, 11]] * 3
    # Its return is that of the first episode.
    np.testing.assert_allclose(returns, np.full((3, 1), 4 / 12), rtol=1e-6)


def test_gymnasium_s_interface():
    gymnasium = pytest.importorskip("gymnasium")
    adapter = to_gymnax(Serial(3))
    with gymnax_rules():
        env = tools.GymnaxToGymWrapper(adapter, seed=0)
        observation, _ = env.reset()
        wanted = gymnasium.spaces.Tuple([gymnasium.spaces.Discrete(n) for n in (2, 3)])
        assert env.action_space == wanted
        assert env.observation_space.contains(np.asarray(observation))
        steps = [env.step((1, 2)) for _ in range(3)]
        assert env.render().shape == (4, 4, 3)
    assert [float(step[1]) for step in steps] == [5.0] * 3
    assert [bool(step[2]) for step in steps] == [False, False, True]


def test_gymnasium_s_vector_interface():
    with gymnax_rules():
        env = tools.GymnaxToVectorGymWrapper(to_gymnax(envs.RepeatFirst()), 4, seed=0)
        observation, _ = env.reset()
        step = env.step(np.zeros(4, np.int32))
    assert observation.shape == step[0].shape == step[1].shape == (4,)


SPACES = [
    envs.Discrete(3),
    envs.Box(-1.0, np.array([1.0, 2.0])),
    envs.Tuple((envs.Discrete(3), envs.Box(0.0, 1.0, (2, 2)))),
    envs.Dict({"b": envs.Discrete(3), "a": envs.Tuple((envs.Discrete(2),))}),
]


@pytest.mark.parametrize("space", SPACES, ids=["discrete", "box", "tuple", "dict"])
def test_spaces_there_and_back(space):
    from memoalg.envs._gymnax_spaces import from_gymnax_space, to_gymnax_space

    theirs = to_gymnax_space(space)
    assert from_gymnax_space(theirs) == space
    assert space.contains(jax.tree.map(lambda x: x, dict_of(theirs.sample(KEY))))


def dict_of(value):
    return {k: dict_of(v) for k, v in value.items()} if isinstance(value, dict) else value


def test_a_vector_of_indices_becomes_a_tuple_and_back():
    from memoalg.envs._gymnax_spaces import from_gymnax_value, to_gymnax_value

    space = envs.Dict({"at": envs.MultiDiscrete((2, 3)), "x": envs.Tuple((envs.Discrete(2),))})
    value = {"at": jnp.array([1, 2], jnp.int32), "x": (jnp.int32(1),)}
    theirs = to_gymnax_value(space, value)
    assert jax.tree.map(int, theirs) == {"at": (1, 2), "x": (1,)}
    same(from_gymnax_value(space, theirs), value)
    same(from_gymnax_value(space, value), value)


def test_types_with_x64():
    with jax.enable_x64(True):
        adapter = to_gymnax(envs.PositionOnlyCartPole(12))
        params = adapter.default_params
        first, state = adapter.reset(KEY, params)
        out = adapter.step(KEY, state, jnp.int32(1), params)
        theirs = environment.Environment.step(adapter, KEY, state, jnp.int32(1), params)
    assert first.dtype == out[0].dtype == np.float64
    same(theirs, out)


def test_actions_are_numbered():
    assert to_gymnax(envs.RepeatFirst()).num_actions == 4
    assert to_gymnax(Serial()).num_actions == 6
    assert to_gymnax(Serial(actions=envs.Box(0.0, 1.0, (2,)))).num_actions == 2
    with pytest.raises(NotImplementedError, match=r"toys/Serial: actions of Tuple.*not numbered"):
        _ = to_gymnax(Serial(actions=envs.Tuple((envs.Discrete(2),)))).num_actions


def test_the_end_is_in_the_state():
    adapter = to_gymnax(Serial(1))
    params = adapter.default_params
    _, state = adapter.reset(KEY)
    assert isinstance(state, ToGymnaxState)
    assert not adapter.is_terminated(state, params)
    _, state, _, _, info = adapter.step_env(KEY, state, (jnp.int32(0), jnp.int32(1)), params)
    assert adapter.is_terminal(state, params)
    assert not adapter.is_truncated(state, params)
    assert float(adapter.discount(state, params)) == 0.0
    assert int(info["episode"]) == 0


BAD = {
    "a pair": (lambda: to_gymnax(envs.make("popgym/RepeatFirstEasy")), "environment, got a tuple"),  # pyright: ignore[reportArgumentType]
    "no steps": (lambda: to_gymnax(Serial(), max_steps=0), "max_steps=.* from 1 to 2147483647"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_are_explained(case, without_hook):
    build, message = BAD[case]
    with pytest.raises((TypeError, ValueError), match=message):
        build()
