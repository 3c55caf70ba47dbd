"""What every wrapper keeps: types, restarts, hooks, vmap == loop, value equality, its place."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg as ma
import memoalg.envs as envs
from memoalg.envs import wrappers
from memoalg.envs.wrappers._order import ORDER, RULES, check_order

from .toys import Serial, innermost, rollout, rollouts

KEY = jax.random.key(5)


def everything(env):
    """All of them, in the order of `ORDER`."""
    env = wrappers.TimeLimit(wrappers.StickyAction(env, 0.25), 5)
    env = wrappers.ObservationNoise(wrappers.Markovian(env, full=True), 0.1)
    env = wrappers.EpisodeStart(wrappers.PreviousAction(wrappers.Mask(env, (1, 0, 4))))
    env = wrappers.NormaliseObservation(wrappers.Flatten(env), ma.Moments(3 + 5 + 2))
    env = wrappers.EpisodeStatistics(wrappers.DiscreteAction(env))
    return wrappers.NormaliseReward(env, ma.Moments(), discount=0.9)


WRAPPERS = {
    "StickyAction": lambda env: wrappers.StickyAction(env, 0.25),
    "TimeLimit": lambda env: wrappers.TimeLimit(env, 2),
    "Markovian": wrappers.Markovian,
    "ObservationNoise": lambda env: wrappers.ObservationNoise(env, 0.5),
    "Mask": lambda env: wrappers.Mask(env, (1,)),
    "PreviousAction": wrappers.PreviousAction,
    "EpisodeStart": wrappers.EpisodeStart,
    "Flatten": wrappers.Flatten,
    "NormaliseObservation": lambda env: wrappers.NormaliseObservation(env, ma.Moments(2)),
    "DiscreteAction": wrappers.DiscreteAction,
    "EpisodeStatistics": wrappers.EpisodeStatistics,
    "NormaliseReward": lambda env: wrappers.NormaliseReward(env, ma.Moments(), 0.9),
    "everything": everything,
}


def test_every_wrapper_is_tried():
    assert [*WRAPPERS][:-1] == list(ORDER)
    found = {
        name
        for name, value in vars(wrappers).items()
        if isinstance(value, type)
        and issubclass(value, wrappers.AbstractWrapper)
        and not name.startswith("Abstract")
    }
    assert found == set(ORDER)


@pytest.mark.parametrize("x64", [False, True], ids=["x32", "x64"])
@pytest.mark.parametrize("name", WRAPPERS)
def test_types_are_strong_and_the_same_after_reset_restart_and_transition(name, x64):
    with jax.enable_x64(x64):
        env = WRAPPERS[name](Serial())
        params = env.default_params()
        action = env.action_space(params).sample(KEY)
        begun = jax.eval_shape(env.reset, KEY, params)
        *later, reward, terminated, truncated = jax.eval_shape(
            env.transition, KEY, begun[1], action, params
        )
        again = jax.eval_shape(env.restart, KEY, later[1], truncated, params)
    default = np.dtype("float64" if x64 else "float32")
    for other in (tuple(later), again):
        assert jax.tree.structure(begun) == jax.tree.structure(other)
        for a, b in zip(jax.tree.leaves(begun), jax.tree.leaves(other), strict=True):
            assert (a.shape, a.dtype, a.weak_type) == (b.shape, b.dtype, b.weak_type)
            assert not a.weak_type
            assert a.dtype in (default, np.dtype("int32"), np.dtype(bool))
    assert (reward.shape, reward.dtype, reward.weak_type) == ((), default, False)
    assert {(flag.shape, flag.dtype) for flag in (terminated, truncated)} == {((), np.dtype(bool))}


@pytest.mark.parametrize("name", ["StickyAction", "everything"])
def test_vmap_equals_loop(name):
    env = WRAPPERS[name](Serial())
    params = env.default_params()
    keys = jax.random.split(KEY, 3)
    together = rollouts(env, params, keys)
    for i, key in enumerate(keys):
        alone = jax.tree.leaves(rollout(env, params, key))
        for a, b in zip(alone, jax.tree.leaves(together), strict=True):
            if not jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
                np.testing.assert_allclose(a, b[i], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", WRAPPERS)
def test_restarts_are_passed_on(name):
    """The innermost environment counts its restarts."""
    env = WRAPPERS[name](Serial())
    _, _, _, _, _, out = rollout(env, env.default_params(), KEY)
    over = np.asarray(out[3] | out[4])
    assert over.sum() >= 13
    np.testing.assert_array_equal(innermost(env, out[1]).episode, np.cumsum(over))


class Forgets(envs.AbstractWrapper):
    """Planted: begins the next episode by a reset."""

    env: envs.AbstractEnvironment

    def reset(self, key, params):
        return self.env.reset(key, params)

    def restart(self, key, state, over, params):
        return self.env.reset(key, params)

    def transition(self, key, state, action, params):
        return self.env.transition(key, state, action, params)


def test_a_restart_that_is_not_passed_on_is_seen():
    env = everything(Forgets(Serial()))
    _, _, _, _, _, out = rollout(env, env.default_params(), KEY)
    assert not innermost(env, out[1]).episode.any()


@pytest.mark.parametrize("name", WRAPPERS)
def test_the_boundary_shows_both_observations(name):
    """`final_observation` is transition's; at an end observation and state are restart's."""
    env = WRAPPERS[name](Serial())
    params = env.default_params()
    _, _, states, actions, keys, out = rollout(env, params, KEY)

    @jax.jit
    @jax.vmap
    def by_hand(state, action, key):
        key_transition, key_reset = jax.random.split(key)
        final, ended, *outcome = env.transition(key_transition, state, action, params)
        begun = env.restart(key_reset, ended, outcome[1] | outcome[2], params)
        return final, (final, ended), begun, outcome

    final, inside, begun, outcome = by_hand(states, actions, keys)
    over = np.asarray(outcome[1] | outcome[2])
    assert 0 < over.sum() < len(over)
    same(out[5]["final_observation"], final)
    same(out[2:5], tuple(outcome))
    for wanted, chosen in ((inside, ~over), (begun, over)):
        same(*(jax.tree.map(lambda leaf, c=chosen: leaf[c], tree) for tree in (out[:2], wanted)))


def same(got, wanted):
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", WRAPPERS)
def test_observations_are_in_the_space(name):
    env = WRAPPERS[name](Serial())
    params = env.default_params()
    first, _, _, actions, _, out = rollout(env, params, KEY)
    space = env.observation_space(params)
    assert space.contains(first)
    for observations in (out[0], out[5]["final_observation"]):
        assert jax.vmap(space.contains)(observations).all()
    assert jax.vmap(env.action_space(params).contains)(actions).all()


@pytest.mark.parametrize("name", WRAPPERS)
def test_hooks_ask_the_wrapped_environment(name):
    env = WRAPPERS[name](Serial())
    params = env.default_params()
    _, _, states, _, _, out = rollout(env, params, KEY)
    np.testing.assert_array_equal(out[5]["episode"], innermost(env, states).episode)
    state = jax.tree.map(lambda leaf: leaf[1], states)
    action = env.oracle(state, params)
    assert env.action_space(params).contains(action)
    assert np.array_equal(action, 5 if env.action_space(params) == envs.Discrete(6) else [1, 2])
    assert env.render(state).tolist() == Serial().render(innermost(env, state)).tolist()
    assert env.name == "toys/Serial"


@pytest.mark.parametrize("name", WRAPPERS)
def test_equal_arguments_give_equal_environments(name):
    one, other = WRAPPERS[name](Serial()), WRAPPERS[name](Serial())
    assert one == other
    assert hash(one) == hash(other)
    assert one != WRAPPERS[name](Serial(4))
    traces = []

    @jax.jit
    def begin(env, params):
        traces.append(env)
        return env.reset(KEY, params)

    for env in (one, other):
        begin(env, env.default_params())
    assert len(traces) == 1


def test_the_order_keeps_all_rules():
    for wrapper, others, _ in RULES:
        assert all(ORDER.index(wrapper) < ORDER.index(other) for other in others)


PAIRS = [(inner, outer) for inner, outers, _ in RULES for outer in outers]


@pytest.mark.parametrize(("inner", "outer"), PAIRS, ids=[f"{a}-{b}" for a, b in PAIRS])
def test_every_wrong_order_is_explained(inner, outer):
    message = rf"{inner} must be inside {outer}. Write {outer}\({inner}\(env\)\): \w+"
    with pytest.raises(ValueError, match=message):
        check_order(inner, (outer,))
    with pytest.raises(ValueError, match=message):
        check_order(inner, ("SomebodysOwn", outer))
    check_order(outer, (inner,))


def test_an_order_is_checked_through_wrappers_in_between():
    env = wrappers.TimeLimit(wrappers.EpisodeStart(Serial()), 5)
    with pytest.raises(ValueError, match="PreviousAction must be inside EpisodeStart"):
        wrappers.PreviousAction(env)


@pytest.mark.parametrize("name", ORDER)
def test_twice_is_refused(name):
    once = WRAPPERS[name](Serial())
    with pytest.raises(ValueError, match=f"{name} is applied twice; once is enough"):
        WRAPPERS[name](wrappers.EpisodeStatistics(once) if name == "TimeLimit" else once)
