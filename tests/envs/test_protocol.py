"""What every environment keeps: dtypes, restarts, vmap == loop, scan == loop, one compilation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg.envs as envs

POPGYM_IDS = [name for name in envs.names() if name.startswith("popgym/")]
FAMILIES = {
    "first": envs.RepeatFirst(),
    "previous": envs.RepeatPrevious(),
    "cart pole": envs.PositionOnlyCartPole(max_steps=12),
    "wrapped": envs.Flatten(envs.EpisodeStart(envs.PreviousAction(envs.RepeatPrevious()))),
    "wrapped cart pole": envs.EpisodeStart(envs.PreviousAction(envs.PositionOnlyCartPole(12))),
}
KEY = jax.random.key(7)


@jax.jit
def rollout(env, params, key):
    """60 steps in a scan, with actions and everything that `step` returned."""
    key_reset, key = jax.random.split(key)
    observation, state = env.reset(key_reset, params)

    def body(state, key):
        key_action, key_step = jax.random.split(key)
        action = env.action_space(params).sample(key_action)
        out = env.step(key_step, state, action, params)
        return out[1], (action, out)

    _, (actions, outs) = jax.lax.scan(body, state, jax.random.split(key, 60))
    return observation, actions, outs


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


@pytest.mark.parametrize("name", [*POPGYM_IDS, "wrapped", "wrapped cart pole"])
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
        assert before.dtype in (default, np.dtype("int32"), np.dtype("int8"))
    assert (reward.shape, reward.dtype, reward.weak_type) == ((), default, False)
    for flag in (terminated, truncated):
        assert (flag.shape, flag.dtype) == ((), np.dtype(bool))
    assert all(not leaf.weak_type for leaf in jax.tree.leaves(params))


@pytest.mark.parametrize("name", FAMILIES)
def test_observations_are_in_the_space(name):
    check_space(FAMILIES[name])


@pytest.mark.parametrize("name", ["previous", "wrapped cart pole"])
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
def test_scan_equals_loop(name):
    env = FAMILIES[name]
    params = env.default_params()
    first, actions, outs = rollout(env, params, KEY)
    key_reset, key = jax.random.split(KEY)
    observation, state = one_reset(env, params, key_reset)
    assert equal(observation, first)
    for t, key_t in enumerate(jax.random.split(key, 60)):
        _, key_step = jax.random.split(key_t)
        out = one_step(env, params, key_step, state, actions[t])
        assert equal(out, jax.tree.map(lambda leaf, t=t: leaf[t], outs), 1e-6), t
        state = out[1]


@pytest.mark.parametrize("name", FAMILIES)
def test_vmap_equals_loop(name):
    env = FAMILIES[name]
    params = env.default_params()
    keys = jax.random.split(KEY, 5)
    together = jax.vmap(rollout, in_axes=(None, None, 0))(env, params, keys)
    for i, key in enumerate(keys):
        alone = rollout(env, params, key)
        assert equal(alone, jax.tree.map(lambda leaf, i=i: leaf[i], together), 1e-5)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_boundary_shows_both_observations(name):
    """At an episode's end: `final_observation` is transition's, the observation is reset's."""
    env = FAMILIES[name]
    params = env.default_params()
    _, actions, (observations, states, _, terminated, truncated, info) = rollout(env, params, KEY)
    over = np.asarray(terminated | truncated)
    assert over.any()
    t = int(np.flatnonzero(over)[0])
    _, key = jax.random.split(KEY)
    _, key_step = jax.random.split(jax.random.split(key, 60)[t])
    key_transition, key_reset = jax.random.split(key_step)
    before, at = (jax.tree.map(lambda leaf, i=i: leaf[i], states) for i in (t - 1, t))
    final, *_ = env.transition(key_transition, before, actions[t], params)
    shown = jax.tree.map(lambda leaf: leaf[t], info["final_observation"])
    assert equal(shown, final, 1e-6)
    first, fresh = one_reset(env, params, key_reset)
    observation = jax.tree.map(lambda leaf: leaf[t], observations)
    assert equal(observation, first)
    assert equal(at, fresh)
    # Inside an episode both are the same.
    inside = jax.tree.map(lambda leaf: leaf[~over], (observations, info["final_observation"]))
    assert equal(*inside)


def test_episodes_have_their_length():
    env = envs.RepeatPrevious()
    _, _, (_, _, _, terminated, truncated, _) = rollout(env, env.default_params(), KEY)
    assert np.flatnonzero(terminated).tolist() == [50]
    assert not truncated.any()


def test_a_time_limit_truncates():
    env = envs.PositionOnlyCartPole(max_steps=3)
    _, _, (_, _, _, terminated, truncated, _) = rollout(env, env.default_params(), KEY)
    assert np.flatnonzero(truncated).tolist() == list(range(2, 60, 3))
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
    """vmap over the deck count: within 60 steps one deck ends once, two decks do not end."""
    env = envs.RepeatFirst()
    one, two = envs.RepeatFirst(1).default_params(), envs.RepeatFirst(2).default_params()
    params = jax.tree.map(lambda *leaves: jnp.stack(leaves), one, two)
    _, _, out = jax.vmap(rollout, in_axes=(None, 0, None))(env, params, KEY)
    assert out[3].sum(1).tolist() == [1, 0]


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


@pytest.mark.parametrize("name", ["first", "previous", "cart pole"])
def test_bad_actions_are_explained(name, without_hook):
    env = FAMILIES[name]
    params = env.default_params()
    _, state = env.reset(KEY, params)
    with pytest.raises(TypeError, match="takes an integer action, got dtype float32"):
        env.step(KEY, state, jnp.zeros(()), params)
    with pytest.raises(ValueError, match=r"one action of shape \(\), got shape \(3,\).*vmap"):
        env.step(KEY, state, jnp.zeros(3, jnp.int32), params)
