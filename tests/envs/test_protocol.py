"""What every environment keeps: dtypes, restarts, vmap == loop, scan == loop, one compilation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg.envs as envs

IDS = [name for name in envs.names() if name.split("/")[0] in ("popgym", "memory")]
# One of every family, with episodes that end within a rollout.
FAMILIES = {
    "Acrobot": envs.Acrobot(max_steps=12),
    "Autoencode": envs.Autoencode(),
    "Battleship": envs.Battleship(4, (2, 2)),
    "CartPole": envs.CartPole(max_steps=12),
    "Concentration": envs.Concentration(),
    "CountRecall": envs.CountRecall(),
    "HigherLower": envs.HigherLower(),
    "LabyrinthEscape": envs.LabyrinthEscape(6, 40),
    "LabyrinthExplore": envs.LabyrinthExplore(6, 40),
    "MemoryChain": envs.MemoryChain(5),
    "MetaBandit": envs.MetaBandit(2, 10),
    "MineSweeper": envs.MineSweeper(),
    "MountainCar": envs.MountainCar(max_steps=12),
    "MultiarmedBandit": envs.MultiarmedBandit(3, 12),
    "NBack": envs.NBack(2, 3, 10),
    "NoisyPositionOnlyCartPole": envs.NoisyPositionOnlyCartPole(max_steps=12),
    "NoisyPositionOnlyPendulum": envs.NoisyPositionOnlyPendulum(max_steps=12),
    "Pendulum": envs.Pendulum(max_steps=12),
    "PositionOnlyCartPole": envs.PositionOnlyCartPole(max_steps=12),
    "PositionOnlyPendulum": envs.PositionOnlyPendulum(max_steps=12),
    "RepeatFirst": envs.RepeatFirst(),
    "RepeatPrevious": envs.RepeatPrevious(),
    "RoomMemory": envs.RoomMemory(2, max_steps=15),
    "TMaze": envs.TMaze(3, max_steps=10),
    "TraceConditioning": envs.TraceConditioning(8, 1, trials=1),
    "VelocityOnlyCartPole": envs.VelocityOnlyCartPole(max_steps=12),
    "wrapped": envs.Flatten(envs.EpisodeStart(envs.PreviousAction(envs.RepeatPrevious()))),
}
KEY = jax.random.key(7)
LENGTH, LANES = 140, 2


def one_rollout(env, params, key):
    """Steps in a scan, with actions and everything that `step` returned."""
    key_reset, key = jax.random.split(key)
    observation, state = env.reset(key_reset, params)

    def body(state, key):
        key_action, key_step = jax.random.split(key)
        action = env.action_space(params).sample(key_action)
        out = env.step(key_step, state, action, params)
        return out[1], (action, out)

    _, (actions, outs) = jax.lax.scan(body, state, jax.random.split(key, LENGTH))
    return observation, actions, outs


@jax.jit
def rollouts(env, params, keys):
    """Lanes side by side: vmap of a scan."""
    return jax.vmap(one_rollout, in_axes=(None, None, 0))(env, params, keys)


def rollout(env, params, key):
    """The first of the lanes."""
    lanes = rollouts(env, params, jax.random.split(key, LANES))
    return jax.tree.map(lambda leaf: leaf[0], lanes)


def lane_key(key):
    return jax.random.split(key, LANES)[0]


one_reset = jax.jit(lambda env, params, key: env.reset(key, params))
one_step = jax.jit(lambda env, params, key, state, action: env.step(key, state, action, params))


def equal(a, b, tolerance: float = 0.0) -> bool:
    """Same structure, shapes, dtypes and values."""
    assert jax.tree.structure(a) == jax.tree.structure(b)
    pairs = list(zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))
    assert all(x.dtype == y.dtype and x.shape == y.shape for x, y in pairs)
    return all(np.allclose(x, y, rtol=0, atol=tolerance) for x, y in pairs)


@pytest.fixture(params=[False, True], ids=["x32", "x64"])
def x64(request):
    with jax.enable_x64(request.param):
        yield request.param


@pytest.mark.parametrize("name", [*IDS, "wrapped"])
def test_types_are_strong_and_the_same_after_reset_and_step(name, x64):
    env = FAMILIES[name] if name in FAMILIES else envs.make(name)[0]
    params = env.default_params()
    action = env.action_space(params).sample(KEY)
    first, fresh = jax.eval_shape(env.reset, KEY, params)
    final, ended, reward, terminated, truncated = jax.eval_shape(
        env.transition, KEY, fresh, action, params
    )
    default = np.dtype("float64" if x64 else "float32")
    assert jax.tree.structure((first, fresh)) == jax.tree.structure((final, ended))
    for before, after in zip(
        jax.tree.leaves((first, fresh)), jax.tree.leaves((final, ended)), strict=True
    ):
        assert (before.shape, before.dtype) == (after.shape, after.dtype)
        assert not before.weak_type
        assert not after.weak_type
        kinds = ("int32", "int8", "uint32", "bool")
        assert before.dtype in (default, *map(np.dtype, kinds)), before
    assert (reward.shape, reward.dtype, reward.weak_type) == ((), default, False)
    for flag in (terminated, truncated):
        assert (flag.shape, flag.dtype) == ((), np.dtype(bool))
    assert all(not leaf.weak_type for leaf in jax.tree.leaves(params))


@pytest.mark.parametrize("name", FAMILIES)
def test_observations_are_in_the_space(name):
    check_space(FAMILIES[name])


@pytest.mark.parametrize("name", ["RepeatPrevious", "PositionOnlyPendulum"])
def test_observations_are_in_the_space_with_x64(name):
    with jax.enable_x64(True):
        check_space(FAMILIES[name])


def check_space(env):
    params = env.default_params()
    first, actions, out = rollout(env, params, KEY)
    space = env.observation_space(params)
    observations = [out[0], out[5]["final_observation"]]
    together = jax.tree.map(
        lambda a, *rest: jnp.concatenate([a[None], *rest]), first, *observations
    )
    assert jax.vmap(space.contains)(together).all()
    assert jax.vmap(env.action_space(params).contains)(actions).all()


@pytest.mark.parametrize("name", FAMILIES)
def test_vmap_of_a_scan_equals_a_loop(name):
    """From the scan's own state before each step: physics would drift apart."""
    env = FAMILIES[name]
    params = env.default_params()
    first, actions, outs = rollout(env, params, KEY)
    key_reset, key = jax.random.split(lane_key(KEY))
    observation, state = one_reset(env, params, key_reset)
    assert equal(observation, first, 1e-6)
    keys = jax.random.split(key, LENGTH)
    over = np.asarray(outs[3] | outs[4])
    assert over.any()
    # The first steps, and those around the ends of episodes.
    for t in np.flatnonzero((np.arange(LENGTH) < 9) | over | np.roll(over, 1)):
        before = state if t == 0 else jax.tree.map(lambda leaf, t=t: leaf[t - 1], outs[1])
        out = one_step(env, params, jax.random.split(keys[t])[1], before, actions[t])
        assert equal(out, jax.tree.map(lambda leaf, t=t: leaf[t], outs), 1e-5), t


@pytest.mark.parametrize("name", FAMILIES)
def test_the_boundary_shows_both_observations(name):
    """At an episode's end: `final_observation` is transition's, the observation is reset's."""
    env = FAMILIES[name]
    params = env.default_params()
    _, actions, (observations, states, _, terminated, truncated, info) = rollout(env, params, KEY)
    over = np.asarray(terminated | truncated)
    assert over.any()
    t = int(np.flatnonzero(over)[0])
    _, key = jax.random.split(lane_key(KEY))
    _, key_step = jax.random.split(jax.random.split(key, LENGTH)[t])
    key_transition, key_reset = jax.random.split(key_step)
    before, at = (jax.tree.map(lambda leaf, i=i: leaf[i], states) for i in (t - 1, t))
    final, *_ = env.transition(key_transition, before, actions[t], params)
    shown = jax.tree.map(lambda leaf: leaf[t], info["final_observation"])
    assert equal(shown, final, 1e-6)
    ended = env.transition(key_transition, before, actions[t], params)[1]
    first, fresh = env.restart(key_reset, ended, jnp.asarray(True), params)
    observation = jax.tree.map(lambda leaf: leaf[t], observations)
    assert equal(observation, first, 1e-6)
    assert equal(at, fresh, 1e-6)
    # Inside an episode both are the same.
    inside = jax.tree.map(lambda leaf: leaf[~over], (observations, info["final_observation"]))
    assert equal(*inside)


def test_episodes_have_their_length():
    env = envs.RepeatPrevious()
    _, _, (_, _, _, terminated, truncated, _) = rollout(env, env.default_params(), KEY)
    assert np.flatnonzero(terminated).tolist() == [50, 101]
    assert not truncated.any()


def test_a_time_limit_truncates():
    env = envs.PositionOnlyCartPole(max_steps=3)
    _, _, (_, _, _, terminated, truncated, _) = rollout(env, env.default_params(), KEY)
    assert np.flatnonzero(truncated).tolist() == list(range(2, LENGTH, 3))
    assert not terminated.any()


@pytest.mark.parametrize("make", [envs.RepeatFirst, envs.RepeatPrevious, envs.PositionOnlyCartPole])
def test_an_equal_instance_does_not_compile_again(make):
    traces = []

    def begin(env, key, params):
        traces.append(env)
        return env.reset(key, params)

    static, traced = jax.jit(begin, static_argnums=0), jax.jit(begin)
    assert make() == make()
    assert hash(make()) == hash(make())
    for _ in range(2):
        static(make(), KEY, make().default_params())
    assert len(traces) == 1
    for _ in range(2):
        traced(envs.Flatten(envs.PreviousAction(make())), KEY, make().default_params())
    assert len(traces) == 2
    other = make(2)
    assert other != make()
    static(other, KEY, other.default_params())
    assert len(traces) == 3


def test_an_equal_gymnax_instance_does_not_compile_again():
    pytest.importorskip("gymnax")
    first, second = envs.from_gymnax("CartPole-v1"), envs.from_gymnax("CartPole-v1")
    assert first == second
    assert hash(first) == hash(second)
    assert first != envs.from_gymnax("Pendulum-v1")


def test_cards_do_not_depend_on_x64():
    env = envs.RepeatPrevious()
    with jax.enable_x64(True):
        wide = rollout(env, env.default_params(), KEY)
    narrow = rollout(env, env.default_params(), KEY)
    assert np.array_equal(wide[2][0], narrow[2][0])


def test_old_keys_are_accepted():
    env = envs.RepeatFirst()
    old, params = jax.random.PRNGKey(0), env.default_params()
    _, state = env.reset(old, params)
    observation, *_ = env.step(old, state, jnp.zeros((), jnp.int32), params)
    assert env.observation_space(params).contains(observation)


def test_parameters_vary_without_a_new_program():
    """vmap over the deck count: within 140 steps one deck ends twice, two decks once."""
    env = envs.RepeatFirst()
    one, two = envs.RepeatFirst(1).default_params(), envs.RepeatFirst(2).default_params()
    params = jax.tree.map(lambda *leaves: jnp.stack(leaves), one, two)
    _, _, out = jax.vmap(rollout, in_axes=(None, 0, None))(env, params, KEY)
    assert out[3].sum(1).tolist() == [2, 1]


BAD_ARGUMENTS = {
    "no decks": (lambda: envs.RepeatFirst(0), "num_decks=.* from 1 to 1000, got 0"),
    "a float": (lambda: envs.RepeatFirst(1.5), "num_decks=.* int from 1 to 1000, got 1.5"),  # pyright: ignore[reportArgumentType]
    "a bool": (lambda: envs.RepeatPrevious(True), "num_decks=.* got True"),
    "lag 0": (lambda: envs.RepeatPrevious(1, 0), "lag=.* from 1 to 51, got 0"),
    "lag too long": (lambda: envs.RepeatPrevious(1, 52), "lag=.* from 1 to 51, got 52"),
    "no steps": (lambda: envs.PositionOnlyCartPole(0), "max_steps=.* got 0"),
}


@pytest.mark.parametrize("case", BAD_ARGUMENTS)
def test_bad_arguments_are_explained(case, without_hook):
    build, message = BAD_ARGUMENTS[case]
    with pytest.raises((TypeError, ValueError), match=message):
        build()


@pytest.mark.parametrize("name", ["RepeatFirst", "RepeatPrevious", "PositionOnlyCartPole"])
def test_bad_actions_are_explained(name, without_hook):
    env = FAMILIES[name]
    params = env.default_params()
    _, state = env.reset(KEY, params)
    with pytest.raises(TypeError, match="takes an integer action, got dtype float32"):
        env.step(KEY, state, jnp.zeros(()), params)
    with pytest.raises(ValueError, match=r"one action of shape \(\), got shape \(3,\).*vmap"):
        env.step(KEY, state, jnp.zeros(3, jnp.int32), params)
