"""Concentration against the original, its deferred deal against a shuffled deck."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg.envs as envs
from memoalg.envs.tasks._concentration import Concentration, ConcentrationState

from .injected import (
    Faulty,
    check_picture,
    chi_squared,
    oracle_returns,
    play_from,
    truncation_as_termination,
)
from .replay import differences, record

concentration = pytest.importorskip("popgym.envs.concentration", exc_type=ImportError)

LEVELS = {"Easy": Concentration(1, 2), "Medium": Concentration(2, 2), "Hard": Concentration(1, 13)}
LIMIT = 208


def original(level: str):
    return vars(concentration)[f"Concentration{level}"]()


def look(env) -> np.ndarray:
    return env.state.copy()


def inject(faces: np.ndarray, types: int) -> ConcentrationState:
    """A table whose faces are all decided."""
    zero = jnp.zeros((), jnp.int32)
    return ConcentrationState(
        faces=jnp.asarray(faces, jnp.int8),
        remaining=jnp.zeros((types,), jnp.int32),
        up=jnp.zeros((len(faces),), jnp.int8),
        in_play=zero - 1,
        time=zero,
    )


def down(env) -> list[int]:
    return [i for i in range(len(env.state)) if i not in env.deck["face_up_idx"]]


def clairvoyant(env, observation) -> int:
    """Only pairs, without turning a card in vain."""
    left, waiting = down(env), env.deck["in_play_idx"]
    if not waiting:
        return left[0]
    return next(i for i in left if i != waiting[0] and env.state[i] == env.state[waiting[0]])


def stall(env, observation) -> int:
    """The same place for ever: turned twice, it is no pair."""
    return 5


def on_top(env, observation) -> int:
    """One pair, then its first card again and again, as a first and as a second card."""
    if len(env.deck["face_up_idx"]) < 2:
        return clairvoyant(env, observation)
    return down(env)[0] if env.curr_step % 3 == 0 else env.deck["face_up_idx"][0]


def sweep(env, observation) -> int:
    """Left to right, again and again."""
    return env.curr_step % len(env.state)


class Random:
    def __init__(self, seed: int):
        self.generator = np.random.default_rng(seed)

    def __call__(self, env, observation) -> int:
        return int(self.generator.integers(env.action_space.n))


class Memory:
    """What a player with a perfect memory does, from the observations alone."""

    def __call__(self, env, observation) -> int:
        if env.curr_step == 0:
            self.seen = np.full(len(observation), env.facedown_card)
        self.seen = np.where(observation == env.facedown_card, self.seen, observation)
        left, waiting = down(env), env.deck["in_play_idx"]
        known = [i for i in left if self.seen[i] != env.facedown_card and i not in waiting]
        unknown = [i for i in left if self.seen[i] == env.facedown_card]
        if waiting:
            pairs = [i for i in known if self.seen[i] == self.seen[waiting[0]]]
        else:
            pairs = [i for i in known if np.sum(self.seen[known] == self.seen[i]) > 1]
        return (pairs or unknown)[0]


POLICIES = {
    "clairvoyant": clairvoyant,
    "memory": Memory(),
    "stall": stall,
    "on top": on_top,
    "sweep": sweep,
    "random": Random(3),
}


def compare(reference, env, seed: int, policy, types: int):
    episode, actions, hidden = record(reference, seed, policy, look)
    state = inject(hidden[0], types)
    return differences(
        episode, play_from(env, env.default_params(), state, actions, LIMIT)
    ), episode


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("level", LEVELS)
def test_every_step_equals_the_original(level, policy):
    env = LEVELS[level]
    for seed in range(3):
        wrong, _ = compare(original(level), env, seed, POLICIES[policy], env.num_types)
        assert not wrong, (seed, wrong)


@pytest.mark.parametrize("level", LEVELS)
def test_the_policies_reach_both_ends(level):
    env, cards = LEVELS[level], len(original(level).reset(seed=0)[0])
    _, won = compare(original(level), env, 0, clairvoyant, env.num_types)
    assert (len(won.rewards), won.terminated[-1], won.truncated[-1]) == (cards, True, False)
    assert abs(won.rewards.sum() - 1) < 1e-9
    _, stalled = compare(original(level), env, 0, stall, env.num_types)
    assert len(stalled.rewards) == int(env.default_params().max_steps) == 2 * cards
    assert (stalled.terminated[-1], stalled.truncated[-1]) == (False, True)


def test_other_arguments_equal_the_original():
    reference = concentration.Concentration(num_decks=2, deck_type="ranks")
    for policy in ("clairvoyant", "random", "memory"):
        wrong, _ = compare(reference, Concentration(2, 13), 1, POLICIES[policy], 13)
        assert not wrong


# Optimal returns of perfect memory are not known; these are the original's with the same policy.
MEMORY_RETURNS = {"Easy": 0.813, "Medium": 0.813, "Hard": 0.698}


@pytest.mark.parametrize("level", LEVELS)
def test_the_oracle_plays_from_memory(level):
    env = LEVELS[level]
    params = env.default_params()
    keys = jax.random.split(jax.random.key(0), 2000)
    totals, lengths, ended = oracle_returns(env, params, keys, int(params.max_steps))
    assert ended.all()
    assert lengths.max() <= params.max_steps
    reference = original(level)
    theirs = [record(reference, s, POLICIES["memory"], look)[0].rewards.sum() for s in range(40)]
    error = np.hypot(np.std(theirs) / np.sqrt(40), np.std(totals) / np.sqrt(2000))
    assert abs(np.mean(theirs) - np.mean(totals)) < 4 * error
    assert abs(np.mean(totals) - MEMORY_RETURNS[level]) < 0.003


# The deferred deal.


class WithReplacement(envs.AbstractDealer):
    """Wrong: forgets what was dealt."""

    def deal(self, key, remaining):
        return jax.random.randint(key, (), 0, remaining.shape[0], jnp.int32)


@jax.jit
def turned(env, places, keys):
    """The faces seen when these places are turned, for many tables: (tables, places)."""
    params = env.default_params()

    def table(key):
        key_reset, key = jax.random.split(key)
        _, state = env.reset(key_reset, params)

        def body(state, step):
            place, key = step
            observation, state, *_ = env.transition(key, state, place, params)
            return state, observation[place]

        steps = (places, jax.random.split(key, places.shape[0]))
        return jax.lax.scan(body, state, steps)[1]

    return jax.vmap(table)(keys)


def pair_distance(env, first: int, second: int) -> float:
    """Distance of the faces at two places from a shuffled deck of 4 cards of 13 ranks."""
    places = jnp.array([first, second], jnp.int32)
    faces = np.asarray(turned(env, places, jax.random.split(jax.random.key(1), 50_000)))
    counts = np.bincount(13 * faces[:, 0] + faces[:, 1], minlength=169)
    alike, other = 4 * 3 / (52 * 51), 16 / (52 * 51)
    return chi_squared(counts, 50_000 * np.where(np.eye(13), alike, other).reshape(-1))


LIMIT_168 = 243.0  # 168 degrees, exceeded once in 10,000


@pytest.mark.parametrize(("first", "second"), [(0, 1), (51, 7)])
def test_two_cards_have_the_law_of_a_shuffled_deck(first, second):
    assert pair_distance(LEVELS["Hard"], first, second) < LIMIT_168


def test_a_deal_with_replacement_is_seen():
    assert pair_distance(Concentration(1, 13, WithReplacement()), 0, 1) > LIMIT_168


@pytest.mark.parametrize("level", LEVELS)
def test_a_whole_table_is_a_deck(level):
    env = LEVELS[level]
    cards = env.observation_space(env.default_params()).shape[0]
    # Every place twice: what was seen once stays.
    places = jnp.concatenate([jnp.arange(cards, dtype=jnp.int32)] * 2)
    faces = np.asarray(turned(env, places, jax.random.split(jax.random.key(3), 20)))
    first, again = faces[:, :cards], faces[:, cards:]
    assert np.array_equal(first, again)
    for face in range(env.num_types):
        assert ((first == face).sum(1) == cards // env.num_types).all()


# Faults.


def turned_back_at_once(env, state, outcome, params):
    """Observed after the cards were turned back."""
    observation, after, *rest = outcome
    stays = (after.up == 1) | (jnp.arange(after.up.shape[0], dtype=jnp.int32) == after.in_play)
    return jnp.where(stays, observation, env.num_types), after, *rest


def same_place_twice_is_a_pair(env, state, outcome, params):
    observation, after, reward, *ends = outcome
    twice = (state.in_play >= 0) & jnp.all(after.up == state.up)
    shown = jnp.sum(observation != env.num_types) - jnp.sum(after.up == 1)
    return observation, after, jnp.where(twice & (shown == 1), 1 / 26, reward), *ends


def one_step_longer(env, state, outcome, params):
    *rest, terminated, _ = outcome
    return *rest, terminated, state.time >= params.max_steps


def full_price(env, state, outcome, params):
    """-2/L for a first card that is up already."""
    observation, after, reward, *ends = outcome
    price = -2 / params.max_steps.astype(float)
    return observation, after, jnp.where((reward < 0), price, reward), *ends


FAULTS = {
    "truncation as termination": (truncation_as_termination, "stall", "truncated"),
    "turned back at once": (turned_back_at_once, "random", "observations"),
    "the same place twice is a pair": (same_place_twice_is_a_pair, "stall", "rewards"),
    "one step longer": (one_step_longer, "stall", "truncated"),
    "full price for one card": (full_price, "on top", "rewards"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_seen(fault):
    change, policy, part = FAULTS[fault]
    env = Faulty(LEVELS["Easy"], change)
    found, _ = compare(original("Easy"), env, 0, POLICIES[policy], 2)
    assert any(line.startswith(part) for line in found), found


BAD_ARGUMENTS = {
    "decks": (lambda: Concentration(0, 2), r"num_decks=.* from 1 to 20, got 0"),
    "types": (
        lambda: Concentration(1, 3),
        r"2 \(colours\), 13 .* got num_types=3 with num_decks=1",
    ),
    "odd suits": (lambda: Concentration(1, 4), r"4 \(suits\) with an even num_decks"),
}


@pytest.mark.parametrize("case", BAD_ARGUMENTS)
def test_bad_arguments_are_explained(case, without_hook):
    build, message = BAD_ARGUMENTS[case]
    with pytest.raises(ValueError, match=message):
        build()


def test_bad_actions_are_explained(without_hook):
    env, key = LEVELS["Easy"], jax.random.key(0)
    _, state = env.reset(key, env.default_params())
    with pytest.raises(TypeError, match="takes an integer action, got dtype float32"):
        env.transition(key, state, jnp.zeros(()), env.default_params())


@pytest.mark.parametrize("env", [*LEVELS.values(), Concentration(2, 4)], ids=lambda env: env.name)
def test_pictures(env):
    pytest.importorskip("PIL")
    params, states = env.default_params(), []
    _, state = env.reset(jax.random.key(0), params)
    for step in range(3):
        states.append(state)
        _, state, *_ = env.transition(jax.random.key(step), state, jnp.int32(step), params)
    check_picture(env, states)


def test_names():
    assert [env.name for env in LEVELS.values()] == [f"popgym/Concentration{k}" for k in LEVELS]
    assert Concentration(2, 4).name == "popgym/Concentration(2, 4)"
