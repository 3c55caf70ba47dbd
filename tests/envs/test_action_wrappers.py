"""DiscreteAction, StickyAction, TimeLimit and EpisodeStatistics beside their originals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg.envs as envs
from memoalg.envs import wrappers

from .replay import Episode, deck_order, differences, play, record, with_order
from .toys import PAIR, Serial, rollout, rollouts

KEY = jax.random.key(9)


@pytest.mark.parametrize("actions", [envs.MultiDiscrete((2, 3)), PAIR], ids=["multi", "tuple"])
def test_a_discrete_action_is_ravelled(actions):
    env = wrappers.DiscreteAction(Serial(actions=actions))
    params = env.default_params()
    assert env.action_space(params) == envs.Discrete(6)
    _, state = env.reset(KEY, params)
    rewards = [float(env.transition(KEY, state, jnp.int32(i), params)[2]) for i in range(6)]
    assert rewards == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert int(env.oracle(state, params)) == 5


def test_a_discrete_action_is_ravelled_as_by_the_reference():
    battleship = pytest.importorskip("popgym.envs.battleship", exc_type=ImportError)
    reference = pytest.importorskip("popgym.wrappers").DiscreteAction(battleship.BattleshipEasy())
    carried_out = []
    reference.env.step = lambda action: carried_out.append(tuple(map(int, action))) or (0,) * 5
    for index in range(64):
        reference.step(index)
    sizes = tuple(int(n) for n in battleship.BattleshipEasy().action_space.nvec)
    ours = envs.MultiDiscrete(sizes)
    assert reference.action_space.n == 64
    env = wrappers.DiscreteAction(Keep(actions=ours))
    params = env.default_params()
    _, state = env.reset(KEY, params)
    step = jax.vmap(env.transition, in_axes=(None, None, 0, None))
    shown = step(KEY, state, jnp.arange(64), params)[0]
    assert [tuple(map(int, row)) for row in shown] == carried_out


class Keep(envs.AbstractEnvironment):
    """Shows the action."""

    actions: envs.AbstractSpace

    @property
    def name(self):
        return "toys/Keep"

    def default_params(self):
        return ()

    def reset(self, key, params):
        return self.actions.null(), ()

    def transition(self, key, state, action, params):
        no = jnp.zeros((), bool)
        return action, state, jnp.zeros(()), no, no

    def observation_space(self, params):
        return self.actions

    def action_space(self, params):
        return self.actions


def test_a_discrete_action_stays():
    env = wrappers.DiscreteAction(envs.RepeatFirst())
    params = env.default_params()
    wrapped = rollout(env, params, KEY)
    plain = rollout(envs.RepeatFirst(), params, KEY)
    assert env.action_space(params) == envs.Discrete(4)
    for a, b in zip(jax.tree.leaves(wrapped[5]), jax.tree.leaves(plain[5]), strict=True):
        np.testing.assert_array_equal(a, b)


def carried_out(probability: float, lanes: int = 1):
    """Chosen and carried-out actions as indices, and which steps begin an episode."""
    env = wrappers.DiscreteAction(wrappers.StickyAction(Serial(10), probability))
    _, _, states, actions, _, out = rollouts(env, env.default_params(), keys(lanes))
    return (np.asarray(x).ravel() for x in (actions, out[2], states.inner.time == 0))


def keys(lanes: int):
    return jax.random.split(KEY, lanes)


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_a_sure_repetition(probability):
    chosen, done, begins = carried_out(probability)
    first = np.maximum.accumulate(np.where(begins, np.arange(len(done)), 0))
    np.testing.assert_array_equal(done, chosen if probability == 0 else chosen[first])
    assert begins.sum() == 4


def test_repetitions_have_their_probability():
    chosen, done, begins = carried_out(0.25, 100)
    before = np.roll(done, 1)
    np.testing.assert_array_equal(done[begins], chosen[begins])
    told_apart = ~begins & (chosen != before)
    assert np.isin(done[told_apart] - chosen[told_apart], before - chosen).all()
    assert np.all((done == chosen) | (done == before) | begins)
    repeated = (done == before)[told_apart]
    error = (0.25 * 0.75 / repeated.size) ** 0.5
    assert abs(repeated.mean() - 0.25) < 4 * error
    assert repeated.size > 2000


def test_repetitions_leave_the_environment_s_random_numbers_alone():
    env = envs.RepeatFirst()
    sticky = wrappers.StickyAction(env, 0.5)
    plain, other = (rollout(e, env.default_params(), KEY) for e in (env, sticky))
    np.testing.assert_array_equal(plain[5][0], other[5][0])


@pytest.mark.parametrize("limit", [20, 51])
def test_a_time_limit_is_gymnasium_s(limit):
    popgym_envs = pytest.importorskip("popgym.envs", exc_type=ImportError)
    gymnasium = pytest.importorskip("gymnasium")
    original = popgym_envs.repeat_previous.RepeatPreviousEasy()
    original = gymnasium.wrappers.TimeLimit(original, limit)
    episode, actions, hidden = record(original, 4, lambda env, x: int(x), deck_order)
    env = with_order(wrappers.TimeLimit(envs.RepeatPrevious(), limit), hidden[0])
    first, steps = play(env, env.default_params(), actions)
    assert not differences(episode, Episode(first, *steps))
    assert episode.truncated.sum() == 1
    assert episode.terminated.sum() == (limit == 51)


def test_a_longer_time_limit_changes_nothing():
    env = envs.PositionOnlyCartPole(12)
    limited = wrappers.TimeLimit(env, 13)
    plain, other = (rollout(e, env.default_params(), KEY) for e in (env, limited))
    for a, b in zip(jax.tree.leaves(plain[5][2:]), jax.tree.leaves(other[5][2:]), strict=True):
        np.testing.assert_array_equal(a, b)


def test_statistics_are_those_of_the_episode_that_ends():
    env = wrappers.EpisodeStatistics(wrappers.DiscreteAction(Serial(7)))
    _, _, _, _, _, out = rollout(env, env.default_params(), KEY)
    rewards, over = np.asarray(out[2]), np.asarray(out[3] | out[4])
    total, length, wanted = 0.0, 0, []
    for reward, end in zip(rewards, over, strict=True):
        total, length = total + float(reward), length + 1
        wanted.append((total, length))
        if end:
            total, length = 0.0, 0
    got = zip(out[5]["episode_return"].tolist(), out[5]["episode_length"].tolist(), strict=True)
    assert list(got) == wanted
    assert set(out[5]["episode_length"][over].tolist()) == {7}


BAD = {
    "box actions": (
        lambda: wrappers.DiscreteAction(Serial(actions=envs.Box(0.0, 1.0, (2,)))),
        "Discrete, MultiDiscrete or a Tuple of Discrete, got Box",
    ),
    "too many actions": (
        lambda: wrappers.DiscreteAction(Serial(actions=envs.MultiDiscrete((65536, 65536)))),
        r"counts to 2\*\*31 - 1; actions of sizes \(65536, 65536\) are more",
    ),
    "probability": (lambda: wrappers.StickyAction(Serial(), 1.5), "from 0 to 1, got 1.5"),
    "no number": (lambda: wrappers.StickyAction(Serial(), True), "from 0 to 1, got True"),  # pyright: ignore[reportArgumentType]
    "no steps": (lambda: wrappers.TimeLimit(Serial(), 0), "from 1 to 2147483647, got 0"),
    "a pair": (
        lambda: wrappers.TimeLimit(envs.make("popgym/RepeatFirstEasy"), 3),  # pyright: ignore[reportArgumentType]
        r"TimeLimit\(env\) takes an environment, got a tuple",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_are_explained(case, without_hook):
    build, message = BAD[case]
    with pytest.raises((TypeError, ValueError), match=message):
        build()


BAD_ACTIONS = {
    "float": (jnp.zeros(2), r"expected int32\[2\], got float32\[2\]"),
    "shape": (jnp.zeros(3, jnp.int32), r"expected int32\[2\], got int32\[3\]"),
    "structure": ((jnp.int32(0), jnp.int32(0)), "the pytree structure"),
}


@pytest.mark.parametrize("case", BAD_ACTIONS)
def test_bad_actions_of_sticky_action_are_explained(case, without_hook):
    action, message = BAD_ACTIONS[case]
    env = wrappers.StickyAction(Serial(), 0.5)
    params = env.default_params()
    _, state = env.reset(KEY, params)
    with pytest.raises(TypeError, match=f"an action of the action space; .*{message}"):
        env.step(KEY, state, action, params)


def test_a_bad_index_is_explained(without_hook):
    env = wrappers.DiscreteAction(Serial())
    params = env.default_params()
    _, state = env.reset(KEY, params)
    with pytest.raises(ValueError, match=r"one action of shape \(\), got shape \(2,\)"):
        env.step(KEY, state, jnp.zeros(2, jnp.int32), params)
