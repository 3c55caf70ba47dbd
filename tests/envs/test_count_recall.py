"""CountRecall: every step equals the original's, and what it promises beside that."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memoalg.envs.tasks._count_recall import CountRecall, CountRecallParams

from .replay import ScriptedDealer, differences, record
from .task_kit import (
    Faulty,
    RandomActions,
    chi_squared,
    found,
    limit,
    one_step_longer,
    oracle_episodes,
    pair_law,
    pictures,
    play_like,
    with_replacement,
)

reference = pytest.importorskip("popgym.envs.count_recall", exc_type=ImportError)

LEVELS = {"Easy": (1, 2), "Medium": (2, 4), "Hard": (4, 13)}
TYPES = {2: "colors", 4: "suits", 13: "ranks"}
KEYS = jax.random.split(jax.random.key(12), 4000)


def original(level: str):
    return vars(reference)[f"CountRecall{level}"]()


def orders(env) -> np.ndarray:
    """The types of the two decks in the order in which they are dealt."""
    decks = (env.value_deck, env.query_deck)
    return np.stack([env.deck_idx_type[deck.idx[::-1]] for deck in decks]).astype(np.int32)


def with_orders(decks: int, types: int, hidden: np.ndarray) -> CountRecall:
    values, queries = jnp.asarray(hidden[0])
    return CountRecall(decks, types, ScriptedDealer(values), ScriptedDealer(queries))


def count(env, observation) -> int:
    return int(env.counts[env.query])


def count_before(env, observation) -> int:
    """Forgets the value on the table: right where it is not the one asked for."""
    return int(env.counts[env.query]) - int(env.value == env.query)


POLICIES = {
    "oracle": lambda seed: count,
    "late": lambda seed: count_before,
    "repeat": lambda seed: lambda env, observation: int(observation[0]),
    "random": RandomActions,
}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("level", LEVELS)
def test_every_step_equals_the_original(level, policy):
    for seed in range(3):
        episode, actions, hidden = record(original(level), seed, POLICIES[policy](seed), orders)
        env = with_orders(*LEVELS[level], hidden)
        wrong = differences(episode, play_like(env, env.default_params(), actions))
        assert not wrong, (seed, wrong)
        assert len(actions) == 52 * LEVELS[level][0] - 1


@pytest.mark.parametrize("level", LEVELS)
def test_levels_are_the_originals(level):
    env, reference_env = CountRecall(*LEVELS[level]), original(level)
    params = env.default_params()
    assert env.name == f"popgym/CountRecall{level}"
    # Ports have 2 actions here, with which the counts cannot be said.
    assert (
        env.action_space(params).n
        == reference_env.action_space.n
        == (27, 27, 17)[list(LEVELS).index(level)]
    )
    assert env.observation_space(params).nvec == tuple(reference_env.observation_space.nvec)


@pytest.mark.parametrize(("decks", "types"), [(1, 13), (3, 4), (2, 2)])
def test_other_arguments_equal_the_original(decks, types):
    reference_env = reference.CountRecall(num_decks=decks, deck_type=TYPES[types])
    episode, actions, hidden = record(reference_env, 5, count, orders)
    env = with_orders(decks, types, hidden)
    assert env.name == f"popgym/CountRecall({decks}, {types})"
    assert env.action_space(env.default_params()).n == reference_env.action_space.n
    assert not differences(episode, play_like(env, env.default_params(), actions))


def test_fewer_decks_by_parameter_equal_the_original():
    reference_env = reference.CountRecall(num_decks=1, deck_type="ranks")
    episode, actions, hidden = record(reference_env, 6, count, orders)
    env = with_orders(4, 13, hidden)
    params = CountRecallParams(jnp.asarray(1, jnp.int32))
    assert not differences(episode, play_like(env, params, actions))


@functools.cache
def oracle_run(level: str, decks: int) -> tuple:
    env = CountRecall(*LEVELS[level])
    params = CountRecallParams(jnp.asarray(decks, jnp.int32))
    out = oracle_episodes(env, params, 52 * LEVELS[level][0] - 1, KEYS)
    return jax.tree.map(np.asarray, out)


@pytest.mark.parametrize("level", LEVELS)
def test_the_oracle_returns_one(level):
    _, (_, _, reward, terminated, truncated) = oracle_run(level, LEVELS[level][0])
    np.testing.assert_allclose(reward.sum(1), 1.0, atol=1e-5)
    assert terminated[:, -1].all()
    assert not terminated[:, :-1].any()
    assert not truncated.any()


def test_two_independent_decks_are_shuffled():
    first, (observation, *_) = oracle_run("Medium", 1)
    cards = np.concatenate([first[:, None], observation[:, :51]], axis=1)
    assert all(np.all((cards == suit).sum(1) == 13) for suit in range(4))
    for t in (0, 1, 50):
        # Value and query of the same step are independent: 16 equal cells.
        assert chi_squared(4 * cards[:, t, 0] + cards[:, t, 1], np.full(16, 1 / 16)) < limit(15)
    for deck in (0, 1):
        pairs = 4 * cards[:, 20, deck] + cards[:, 21, deck]
        assert chi_squared(pairs, pair_law(4, 1)) < limit(15)
    # One deck for both, or no deck at all, would be seen.
    assert chi_squared(5 * cards[:, 0, 0], np.full(16, 1 / 16)) > limit(15)
    wrong = with_replacement(4)
    assert chi_squared(4 * wrong[:, :-1] + wrong[:, 1:], pair_law(4, 1)) > limit(15)


# Faults that public ports have, and others of their kind.


def two_actions(env, key, state, action, params):
    """Can only say 0 or 1."""
    return env.transition(key, state, jnp.minimum(action, 1), params)


def late_count(env, key, state, action, params):
    """Does not count the value on the table."""
    seen = (state.value == state.query).astype(jnp.int32)
    return env.transition(key, state, action + seen, params)


def next_query(env, key, state, action, params):
    """Rewards the answer to the query that comes next."""
    observation, after, reward, *ends = env.transition(key, state, action, params)
    right = action == env.oracle(after, params)
    return observation, after, jnp.where(right, 1.0, -1.0) * jnp.abs(reward), *ends


def other_scale(env, key, state, action, params):
    observation, after, reward, *ends = env.transition(key, state, action, params)
    return observation, after, reward * 51 / 52, *ends


def swapped(env, key, state, action, params):
    """Shows the query first."""
    observation, *rest = env.transition(key, state, action, params)
    return observation[::-1], *rest


FAULTS = {
    "two actions": (two_actions, "rewards"),
    "late count": (late_count, "rewards"),
    "next query": (next_query, "rewards"),
    "other scale": (other_scale, "rewards"),
    "swapped": (swapped, "observations"),
    "one step longer": (one_step_longer, "terminated"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_seen(fault):
    transition, part = FAULTS[fault]
    episode, actions, hidden = record(original("Easy"), 0, count, orders)
    env = Faulty(with_orders(1, 2, hidden), transition)
    assert found(episode, play_like(env, env.default_params(), actions), part)


BAD_ARGUMENTS = {
    "no decks": ((0, 2), r"num_decks=.* from 1 to 1000, got 0"),
    "a float": ((1.0, 2), r"num_decks=.* int from 1 to 1000, got 1.0"),
    "other types": ((1, 3), r"num_types=.* 2 \(colours\), 4 \(suits\) or 13 \(ranks\), got 3"),
    "too many types": ((1, 52), r"num_types=.* got 52"),
    "a name": ((1, "suits"), r"num_types=.* got 'suits'"),
}


@pytest.mark.parametrize("case", BAD_ARGUMENTS)
def test_bad_arguments_are_explained(case, without_hook):
    arguments, message = BAD_ARGUMENTS[case]
    with pytest.raises((TypeError, ValueError), match=message):
        CountRecall(*arguments)


@pytest.mark.parametrize("level", LEVELS)
def test_pictures_have_one_size(level):
    pytest.importorskip("PIL")
    states = oracle_run(level, LEVELS[level][0])[1][1]
    images = pictures(CountRecall(*LEVELS[level]), states, [0, 20, 50])
    assert {image.shape for image in images} == {(172, 220, 3)}
    assert len({image.tobytes() for image in images}) == 3
