"""Wrappers beside the reference's and gymnasium's flatten."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg as ma
import memoalg.envs as envs

from .replay import Episode, cart_pole_state, deck_order, differences, play, record, with_order

popgym_envs = pytest.importorskip("popgym.envs", exc_type=ImportError)
wrappers = pytest.importorskip("popgym.wrappers")
spaces = pytest.importorskip("gymnasium.spaces")


def reference(*, flat: bool = False):
    env = popgym_envs.repeat_previous.RepeatPreviousEasy()
    env = wrappers.Antialias(wrappers.PreviousAction(env))
    return wrappers.Flatten(env) if flat else env


def wrapped(*, flat: bool = False):
    env = envs.EpisodeStart(envs.PreviousAction(envs.RepeatPrevious()))
    return envs.Flatten(env) if flat else env


def random_policy(seed: int):
    generator = np.random.default_rng(seed)
    return lambda env, observation: int(generator.integers(4))


def compare(env, *, flat: bool) -> list[str]:
    episode, actions, hidden = record(reference(flat=flat), 3, random_policy(3), deck_order)
    env = with_order(env, hidden[0])
    first, steps = play(env, env.default_params(), actions)
    return differences(episode, Episode(first, *steps))


@pytest.mark.parametrize("flat", [False, True], ids=["tuple", "flat"])
def test_observations_equal_the_reference(flat):
    assert not compare(wrapped(flat=flat), flat=flat)


@pytest.mark.parametrize("flat", [False, True], ids=["tuple", "flat"])
def test_spaces_equal_the_reference(flat):
    theirs = reference(flat=flat).observation_space
    env = wrapped(flat=flat)
    ours = env.observation_space(env.default_params())
    if isinstance(ours, envs.Box):
        low, high = ours.flat_bounds()
        np.testing.assert_array_equal(low, theirs.low)
        np.testing.assert_array_equal(high, theirs.high)
        assert ours.shape == theirs.shape
    else:
        sizes = tuple(int(space.n) for space in theirs.spaces)
        assert ours == envs.Tuple(tuple(envs.Discrete(n) for n in sizes))


def test_flatten_of_a_box_passes_through():
    env, params = envs.make("popgym/PositionOnlyCartPoleEasy")
    flat = envs.Flatten(env)
    assert flat.observation_space(params) == env.observation_space(params)
    key = jax.random.key(0)
    np.testing.assert_array_equal(flat.reset(key, params)[0], env.reset(key, params)[0])


def test_flatten_of_a_box_and_an_action_equals_gymnasium():
    original = popgym_envs.position_only_cartpole.PositionOnlyCartPoleEasy()
    theirs = wrappers.Antialias(wrappers.PreviousAction(original))
    env = envs.Flatten(envs.EpisodeStart(envs.PreviousAction(envs.PositionOnlyCartPole())))
    params = env.default_params()
    theirs.reset(seed=0)
    row = jnp.asarray(cart_pole_state(theirs.unwrapped), float)
    state = envs.CartPoleState(row[0], row[1], row[2], row[3], jnp.zeros((), jnp.int32))
    observation, *_ = theirs.step(1)
    ours, *_ = env.transition(jax.random.key(0), state, jnp.ones((), jnp.int32), params)
    space = theirs.observation_space
    assert spaces.flatdim(space) == env.observation_space(params).flat_size
    np.testing.assert_allclose(ours, spaces.flatten(space, observation), atol=1e-6)


def test_the_restart_shows_the_null_action_and_the_flag():
    env = wrapped()
    params = env.default_params()
    key = jax.random.key(0)
    _, state = env.reset(key, params)
    last = eqx.tree_at(lambda s: s.remaining, state, jnp.array([0, 0, 1, 0], jnp.int32))
    action = jnp.array(3, jnp.int32)
    observation, _, _, terminated, _, info = env.step(key, last, action, params)
    assert terminated
    assert (int(observation[1]), int(observation[2])) == (0, 1)
    final = info["final_observation"]
    assert (int(final[0]), int(final[1]), int(final[2])) == (2, 3, 0)


class StaleAction(envs.AbstractEnvironment):
    """Planted: an episode's first observation has another action than the null one."""

    env: envs.AbstractEnvironment

    @property
    def name(self):
        return self.env.name

    def default_params(self):
        return self.env.default_params()

    def reset(self, key, params):
        observation, state = self.env.reset(key, params)
        return (observation[0], observation[1] + 1, *observation[2:]), state

    def transition(self, key, state, action, params):
        return self.env.transition(key, state, action, params)

    def observation_space(self, params):
        return self.env.observation_space(params)

    def action_space(self, params):
        return self.env.action_space(params)


def test_a_previous_action_that_is_not_reset_is_seen():
    found = compare(StaleAction(wrapped()), flat=False)
    assert [line.split(":")[0] for line in found] == ["first"]


def test_a_dict_gets_keys():
    env = envs.EpisodeStart(envs.PreviousAction(InADict(envs.RepeatFirst())))
    params = env.default_params()
    observation, state = env.reset(jax.random.key(0), params)
    assert set(observation) == {"card", "prev_action", "is_t0"}
    assert env.observation_space(params).contains(observation)
    later, *_ = env.step(jax.random.key(0), state, jnp.array(2, jnp.int32), params)
    assert (int(later["prev_action"]), int(later["is_t0"])) == (2, 0)


class InADict(envs.AbstractEnvironment):
    """Shows the card under a key."""

    env: envs.RepeatFirst

    @property
    def name(self):
        return self.env.name

    def default_params(self):
        return self.env.default_params()

    def reset(self, key, params):
        card, state = self.env.reset(key, params)
        return {"card": card}, state

    def transition(self, key, state, action, params):
        card, *rest = self.env.transition(key, state, action, params)
        return {"card": card}, *rest

    def observation_space(self, params):
        return envs.Dict({"card": self.env.observation_space(params)})

    def action_space(self, params):
        return self.env.action_space(params)


WRONG_ORDER = {
    "previous outside flat": (
        lambda e: envs.PreviousAction(envs.Flatten(e)),
        r"PreviousAction must be inside Flatten. Write\s+Flatten\(PreviousAction\(env\)\)",
    ),
    "previous outside start": (
        lambda e: envs.PreviousAction(envs.EpisodeStart(e)),
        "PreviousAction must be inside EpisodeStart",
    ),
    "start outside flat": (
        lambda e: envs.EpisodeStart(envs.Flatten(e)),
        "EpisodeStart must be inside Flatten",
    ),
    "twice": (lambda e: envs.Flatten(envs.Flatten(e)), "Flatten is applied twice"),
}


@pytest.mark.parametrize("case", WRONG_ORDER)
def test_a_wrong_order_is_explained(case):
    wrap, message = WRONG_ORDER[case]
    with pytest.raises(ValueError, match=message):
        wrap(envs.RepeatFirst())


MISTAKEN = {
    "id": ("popgym/BattleshipEasy", r"got 'popgym/BattleshipEasy'; write make\('popgym"),
    "class": (envs.Battleship, r"got the class Battleship; make one: Battleship\(\)"),
    "number": (3, "got an int; see AbstractEnvironment"),
}


@pytest.mark.parametrize("case", MISTAKEN)
def test_what_is_no_environment_is_explained(case, without_hook):
    value, message = MISTAKEN[case]
    with pytest.raises(TypeError, match=message):
        envs.Flatten(value)


def test_the_board_is_shown_cell_by_cell():
    """Not its bits, and not the next episode's."""
    env = envs.Markovian(envs.Battleship(), full=True)
    shown, state = env.reset(jax.random.key(0), env.default_params())
    assert shown.shape == (2 * 64 + 2,)
    assert int(shown[:64].sum()) == int(jax.lax.population_count(state.ships).sum()) == 12


def test_a_normaliser_wants_its_own_parameters(without_hook):
    env, params = envs.make("popgym/RepeatPreviousEasy")
    whole = envs.NormaliseReward(env, ma.Moments(), 0.99)
    with pytest.raises(
        TypeError, match=r"Normalised, got RepeatPreviousParams; write params = env"
    ):
        whole.reset(jax.random.key(0), params)


def test_wrapping_the_pair_is_explained(without_hook):
    with pytest.raises(TypeError, match=r"got a tuple; make\(\.\.\.\) returns the pair"):
        envs.Flatten(envs.make("popgym/RepeatFirstEasy"))  # pyright: ignore[reportArgumentType]


def test_wrappers_keep_the_name_and_compare_by_value():
    assert wrapped(flat=True).name == "popgym/RepeatPreviousEasy"
    assert wrapped() == wrapped()
    assert wrapped() != wrapped(flat=True)
    assert wrapped() != envs.EpisodeStart(envs.PreviousAction(envs.RepeatPrevious(1, 5)))
