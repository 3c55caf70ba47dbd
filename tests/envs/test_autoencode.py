"""Autoencode: every step equals the original's, and what it promises beside that."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memoalg.envs.tasks._autoencode import Autoencode, AutoencodeParams, AutoencodeState

from .replay import ScriptedDealer, deck_order, differences, record
from .task_kit import (
    Faulty,
    RandomActions,
    chi_squared,
    found,
    limit,
    oracle_episodes,
    pair_law,
    pictures,
    play_like,
    with_replacement,
)

reference = pytest.importorskip("popgym.envs.autoencode", exc_type=ImportError)

# One program plays every level: the environment with most cards, and the deck count as a parameter.
LARGEST, LENGTH = Autoencode(3), 311
LEVELS = {"Easy": 1, "Medium": 2, "Hard": 3}
KEYS = jax.random.split(jax.random.key(11), 4000)


def original(level: str):
    return vars(reference)[f"Autoencode{level}"]()


def recite(env, observation) -> int:
    return int(env.deck.suits_idx[env.deck["system"][-1]])


def recite_forwards(env, observation) -> int:
    """Says the cards in the order in which they came: right by chance only."""
    place = env.deck.num_cards - len(env.deck["system"]) - len(env.deck)
    return int(env.deck.suits_idx[env.deck.idx[-1 - place]])


def repeat(env, observation) -> int:
    return int(observation[1])


POLICIES = {
    "oracle": lambda seed: recite,
    "forwards": lambda seed: recite_forwards,
    "repeat": lambda seed: repeat,
    "random": RandomActions,
}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("level", LEVELS)
def test_every_step_equals_the_original(level, policy):
    for seed in range(3):
        episode, actions, hidden = record(original(level), seed, POLICIES[policy](seed), deck_order)
        env = Autoencode(LEVELS[level], ScriptedDealer(jnp.asarray(hidden[0])))
        wrong = differences(episode, play_like(env, env.default_params(), actions))
        assert not wrong, (seed, wrong)
        assert len(actions) == 2 * 52 * LEVELS[level] - 1


@pytest.mark.parametrize("level", LEVELS)
def test_levels_are_the_originals(level):
    env, reference_env = Autoencode(LEVELS[level]), original(level)
    assert env.name == f"popgym/Autoencode{level}"
    assert env.action_space(env.default_params()).n == reference_env.action_space.n


def test_other_arguments_equal_the_original():
    episode, actions, hidden = record(reference.Autoencode(num_decks=4), 5, recite, deck_order)
    env = Autoencode(4, ScriptedDealer(jnp.asarray(hidden[0])))
    assert env.name == "popgym/Autoencode(4)"
    assert not differences(episode, play_like(env, env.default_params(), actions))


def test_fewer_decks_by_parameter_equal_the_original():
    """The deck count may vary below the constructor's, without a change of shapes."""
    episode, actions, hidden = record(original("Easy"), 6, RandomActions(6), deck_order)
    env = Autoencode(3, ScriptedDealer(jnp.asarray(hidden[0])))
    params = AutoencodeParams(jnp.asarray(1, jnp.int32))
    assert not differences(episode, play_like(env, params, actions))


@functools.cache
def oracle_run(decks: int) -> tuple:
    params = AutoencodeParams(jnp.asarray(decks, jnp.int32))
    return jax.tree.map(np.asarray, oracle_episodes(LARGEST, params, LENGTH, KEYS))


@pytest.mark.parametrize("level", LEVELS)
def test_the_oracle_returns_one(level):
    cards = 52 * LEVELS[level]
    _, (_, state, reward, terminated, truncated) = oracle_run(LEVELS[level])
    length = 2 * cards - 1
    np.testing.assert_allclose(reward[:, :length].sum(1), 1.0, atol=1e-5)
    assert np.all(np.argmax(terminated, 1) == length - 1)
    assert not truncated.any()
    # Half of the way everything is on the pile; at the end nothing is.
    assert np.all(state.height[:, cards - 2] == cards)
    assert not state.height[:, length - 1].any()
    assert not state.pile[:, length - 1].any()


def test_decks_are_shuffled():
    first, (observation, *_) = oracle_run(1)
    cards = np.concatenate([first[1][:, None], observation[1][:, :51]], axis=1)
    assert all(np.all((cards == suit).sum(1) == 13) for suit in range(4))
    assert chi_squared(cards[:, 0], np.full(4, 0.25)) < limit(3)
    for a, b in ((0, 1), (24, 25), (0, 51)):
        assert chi_squared(4 * cards[:, a] + cards[:, b], pair_law(4, 1)) < limit(15)
    wrong = with_replacement(4)
    assert chi_squared(4 * wrong[:, :-1] + wrong[:, 1:], pair_law(4, 1)) > limit(15)


# Faults that public ports have, and others of their kind.


def blank_while_watching(env, key, state, action, params):
    """Shows the mode the wrong way round and no card but in the second half."""
    (_, _), *rest = env.transition(key, state, action, params)
    playing = rest[0].height < state.height
    suit = jnp.where(playing, rest[0].pile[0], 0).astype(jnp.int32)
    return (jnp.zeros((), jnp.int32), suit), *rest


def no_mode(env, key, state, action, params):
    """Does not say when to play."""
    (mode, suit), *rest = env.transition(key, state, action, params)
    return (jnp.ones_like(mode), suit), *rest


def late_mode(env, key, state, action, params):
    """Says it one step after the last card."""
    (_, suit), *rest = env.transition(key, state, action, params)
    return (jnp.any(state.remaining > 0).astype(jnp.int32), suit), *rest


def last_card_stays(env, key, state, action, params):
    """Shows the pile's top in the second half."""
    (mode, _), *rest = env.transition(key, state, action, params)
    return (mode, rest[0].pile[0].astype(jnp.int32)), *rest


def two_steps_longer(env, key, state, action, params):
    observation, state, reward, _, truncated = env.transition(key, state, action, params)
    return observation, state, reward, state.height == -2, truncated


def forwards(env, key, state, action, params):
    """Asks for the cards in the order in which they came."""
    observation, after, reward, *ends = env.transition(key, state, action, params)
    whole = state.pile.shape[0]
    asked = jnp.take(jnp.roll(state.pile, whole - state.height), state.height - 1)
    right = jnp.where(action == asked.astype(jnp.int32), 1.0, -1.0)
    return observation, after, right * jnp.abs(reward), *ends


def rewarded_over_all_steps(env, key, state, action, params):
    observation, state, reward, *ends = env.transition(key, state, action, params)
    return observation, state, reward * 52 / 103, *ends


FAULTS = {
    "blank while watching": (blank_while_watching, "observations"),
    "no mode": (no_mode, "observations"),
    "late mode": (late_mode, "observations"),
    "last card stays": (last_card_stays, "observations"),
    "two steps longer": (two_steps_longer, "terminated"),
    "forwards": (forwards, "rewards"),
    "other scale": (rewarded_over_all_steps, "rewards"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_seen(fault):
    transition, part = FAULTS[fault]
    episode, actions, hidden = record(original("Easy"), 0, recite, deck_order)
    env = Faulty(Autoencode(1, ScriptedDealer(jnp.asarray(hidden[0]))), transition)
    assert found(episode, play_like(env, env.default_params(), actions), part)


@pytest.mark.parametrize("decks", [0, 1001, 1.5, True])
def test_bad_arguments_are_explained(decks, without_hook):
    with pytest.raises((TypeError, ValueError), match=rf"Autoencode\(num_decks=.* got {decks}"):
        Autoencode(decks)


def test_bad_actions_are_explained(without_hook):
    env = Autoencode()
    params = env.default_params()
    _, state = jax.eval_shape(env.reset, KEYS[0], params)
    with pytest.raises(TypeError, match="Autoencode takes an integer action, got dtype float32"):
        jax.eval_shape(env.step, KEYS[0], state, jnp.zeros(()), params)


def test_pictures_have_one_size():
    pytest.importorskip("PIL")
    images = pictures(LARGEST, oracle_run(3)[1][1], [0, 25, 154, 156, 310])
    assert {image.shape for image in images} == {(142, 220, 3)}
    assert len({image.tobytes() for image in images}) == 5


def test_a_high_pile_is_cut_in_the_picture():
    pytest.importorskip("PIL")
    env = Autoencode(8)
    pile = jnp.zeros(416, jnp.int8)
    state = AutoencodeState(jnp.zeros(4, jnp.int32), pile, jnp.asarray(416, jnp.int32))
    assert env.render(state).shape == (142, 220, 3)
