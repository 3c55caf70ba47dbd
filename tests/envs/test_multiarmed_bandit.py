"""MultiarmedBandit: every step equals the original's, and what it promises beside that."""

import copy
import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float

from memoalg.envs.tasks._coin import AbstractCoin, RandomCoin
from memoalg.envs.tasks._multiarmed_bandit import (
    MultiarmedBandit,
    MultiarmedBanditParams,
    MultiarmedBanditState,
)

from .replay import Episode, differences, record
from .task_kit import (
    Faulty,
    RandomActions,
    chi_squared,
    found,
    limit,
    oracle_episodes,
    pictures,
    truncation_as_termination,
)

reference = pytest.importorskip("popgym.envs.multiarmed_bandit", exc_type=ImportError)

LEVELS = {"Easy": (10, 200), "Medium": (20, 400), "Hard": (30, 600)}
KEYS = jax.random.split(jax.random.key(14), 2000)


class ScriptedCoin(AbstractCoin):
    """Compares given numbers, one for each step, with the chance."""

    uniforms: Float[Array, " steps"]

    def toss(self, key, chance, time):
        return self.uniforms[time] < chance


def original(level: str):
    return vars(reference)[f"MultiarmedBandit{level}"]()


def fortune(env) -> np.ndarray:
    """The number that the next pull will draw, and the chances."""
    return np.append(copy.deepcopy(env.np_random).random(), env.bandits)


@jax.jit
def pull_all(env, params, chances, actions):
    observation, state = env.reset(jax.random.key(0), params)
    state = eqx.tree_at(lambda state: state.chances, state, chances)

    def body(state, action):
        shown, state, *outcome = env.transition(jax.random.key(1), state, action, params)
        return state, (shown, *outcome)

    return observation, jax.lax.scan(body, state, actions)[1]


def replay(env, params, hidden: np.ndarray, actions: np.ndarray) -> Episode:
    """Our episode for the original's chances, its random numbers and its actions."""
    first, steps = pull_all(env, params, jnp.asarray(hidden[0, 1:], float), actions)
    return Episode(first, *steps)


def with_luck(arms: int, length: int, hidden: np.ndarray) -> MultiarmedBandit:
    # The original, too, rounds its numbers to the float32 of the chances before it compares.
    return MultiarmedBandit(arms, length, ScriptedCoin(jnp.asarray(hidden[:, 0], jnp.float32)))


def best_arm(env, observation) -> int:
    return int(np.argmax(env.bandits))


class StayWhereItPays:
    def __init__(self, seed: int):
        self.arm = seed

    def __call__(self, env, observation) -> int:
        self.arm = self.arm if observation else (self.arm + 1) % env.num_bandits
        return self.arm


POLICIES = {
    "oracle": lambda seed: best_arm,
    "stay where it pays": StayWhereItPays,
    "in turn": lambda seed: lambda env, observation: env.num_steps % env.num_bandits,
    "random": RandomActions,
}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("level", LEVELS)
def test_every_step_equals_the_original(level, policy):
    for seed in range(3):
        episode, actions, hidden = record(original(level), seed, POLICIES[policy](seed), fortune)
        env = with_luck(*LEVELS[level], hidden)
        wrong = differences(episode, replay(env, env.default_params(), hidden, actions))
        assert not wrong, (seed, wrong)
        assert len(actions) == LEVELS[level][1]
        assert episode.truncated[-1]
        assert 0 < episode.observations.sum() < len(actions)


@pytest.mark.parametrize("level", LEVELS)
def test_levels_are_the_originals(level):
    env, reference_env = MultiarmedBandit(*LEVELS[level]), original(level)
    assert env.name == f"popgym/MultiarmedBandit{level}"
    assert env.action_space(env.default_params()).n == reference_env.action_space.n


@pytest.mark.parametrize(("arms", "length"), [(1, 1), (2, 7)])
def test_other_arguments_equal_the_original(arms, length):
    reference_env = reference.MultiarmedBandit(num_bandits=arms, episode_length=length)
    episode, actions, hidden = record(reference_env, 5, RandomActions(5), fortune)
    env = with_luck(arms, length, hidden)
    assert env.name == f"popgym/MultiarmedBandit({arms}, {length})"
    assert not differences(episode, replay(env, env.default_params(), hidden, actions))
    longer = MultiarmedBandit(arms, 99, env.coin)
    params = MultiarmedBanditParams(jnp.asarray(length, jnp.int32))
    assert not differences(episode, replay(longer, params, hidden, actions))


@functools.cache
def oracle_run(level: str) -> tuple:
    env = MultiarmedBandit(*LEVELS[level])
    out = oracle_episodes(env, env.default_params(), LEVELS[level][1], KEYS)
    return jax.tree.map(np.asarray, out)


@pytest.mark.parametrize("level", LEVELS)
def test_the_oracle_returns_what_the_best_arm_pays(level):
    arms, _ = LEVELS[level]
    _, (_, state, reward, terminated, truncated) = oracle_run(level)
    returns = reward.sum(1)
    error = returns.std() / np.sqrt(returns.size)
    assert abs(returns.mean() - (arms - 1) / (arms + 1)) < 4 * error
    assert np.array_equal(state.arm[:, 0], state.chances[:, 0].argmax(1))
    assert truncated[:, -1].all()
    assert not truncated[:, :-1].any()
    assert not terminated.any()


def not_uniform(chances: np.ndarray) -> bool:
    """Whether 10 bins of the chances are uneven, or the first two arms are not independent."""
    bins = np.minimum((10 * chances).astype(int), 9)
    quarters = np.minimum((4 * chances[:, :2]).astype(int), 3)
    pairs = 4 * quarters[:, 0] + quarters[:, 1]
    uneven = chi_squared(bins, np.full(10, 0.1)) > limit(9)
    return uneven or chi_squared(pairs, np.full(16, 1 / 16)) > limit(15)


def test_chances_are_uniform_and_independent():
    first, (_, state, *_) = oracle_run("Easy")
    chances = state.chances[:, 0]
    assert not not_uniform(chances)
    assert not_uniform(chances**1.1)
    assert not_uniform(np.broadcast_to(chances[:, :1], chances.shape))
    assert not first.any()
    assert np.array_equal(state.chances[:, 0], state.chances[:, -1])


def not_binomial(payouts: np.ndarray, chance: np.ndarray) -> bool:
    """Whether 0/1 payouts `(episodes, steps)` are not independent events of the episode's chance."""
    steps = payouts.shape[1]
    away = payouts.sum(1) - steps * chance
    variance = steps * chance * (1 - chance)
    middle = variance > 9
    square = away[middle] ** 2 / variance[middle]
    biased = abs(away.sum()) > 4 * np.sqrt(variance.sum())
    return biased or abs(square.mean() - 1) > 4 * np.sqrt(2 / middle.sum())


def test_payouts_are_independent_events():
    _, (payouts, state, *_) = oracle_run("Easy")
    chance = state.chances[:, 0].max(1).astype(np.float64)
    assert not not_binomial(payouts, chance)
    assert not_binomial(1 - payouts, chance)
    # One number for a whole episode has the right mean.
    frozen = np.random.default_rng(0).random(len(chance)) < chance
    assert not_binomial(np.repeat(frozen[:, None], 200, axis=1), chance)


def test_a_chance_of_0_never_pays_and_of_1_always_does():
    toss = jax.vmap(RandomCoin().toss, in_axes=(0, None, None))
    time = jnp.zeros((), jnp.int32)
    assert not np.any(toss(KEYS, jnp.zeros(()), time))
    assert np.all(toss(KEYS, jnp.ones(()), time))


@jax.jit
def draw(env, params, key):
    _, state = env.reset(key, params)
    return state.chances, env.coin.toss(key, state.chances[1], state.time)


def test_draws_do_not_depend_on_x64():
    env = MultiarmedBandit()
    narrow = [draw(env, env.default_params(), key) for key in KEYS[:8]]
    with jax.enable_x64(True):
        wide = [draw(env, env.default_params(), key) for key in KEYS[:8]]
    for (chances, pays), (wide_chances, wide_pays) in zip(narrow, wide, strict=True):
        assert wide_chances.dtype == np.float64
        assert np.array_equal(chances, wide_chances)
        assert bool(pays) == bool(wide_pays)


# Faults that public ports have, and others of their kind.


def no_punishment(env, key, state, action, params):
    observation, state, reward, *ends = env.transition(key, state, action, params)
    return observation, state, jnp.maximum(reward, 0), *ends


def one_step_more(env, key, state, action, params):
    *rest, _ = env.transition(key, state, action, params)
    return *rest, state.time >= params.max_steps


def next_arm(env, key, state, action, params):
    """Counts arms from 1."""
    return env.transition(key, state, (action + 1) % env.num_arms, params)


def chances_change(env, key, state, action, params):
    """Draws new chances along the way."""
    key_new, key = jax.random.split(jax.random.fold_in(key, state.time))
    new = jax.random.uniform(key_new, state.chances.shape, state.chances.dtype)
    state = eqx.tree_at(lambda state: state.chances, state, new)
    return env.transition(key, state, action, params)


FAULTS = {
    "truncation as termination": (truncation_as_termination, "truncated"),
    "no punishment": (no_punishment, "rewards"),
    "one step more": (one_step_more, "truncated"),
    "next arm": (next_arm, "observations"),
    "chances change": (chances_change, "observations"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_seen(fault):
    transition, part = FAULTS[fault]
    episode, actions, hidden = record(original("Easy"), 0, best_arm, fortune)
    env = Faulty(with_luck(10, 200, hidden), transition)
    assert found(episode, replay(env, env.default_params(), hidden, actions), part)


BAD_ARGUMENTS = {
    "no arms": ((0, 200), r"num_arms=.* from 1 to 1000, got 0"),
    "half an arm": ((1.5, 200), r"num_arms=.* int from 1 to 1000, got 1.5"),
    "no steps": ((10, 0), r"max_steps=.* from 1 to 1000000, got 0"),
}


@pytest.mark.parametrize("case", BAD_ARGUMENTS)
def test_bad_arguments_are_explained(case, without_hook):
    arguments, message = BAD_ARGUMENTS[case]
    with pytest.raises((TypeError, ValueError), match=message):
        MultiarmedBandit(*arguments)


def test_pictures_have_one_size():
    pytest.importorskip("PIL")
    images = pictures(MultiarmedBandit(), oracle_run("Easy")[1][1], [0, 1, 2])
    chances = jnp.linspace(0.0, 1.0, 300)
    zero = jnp.zeros((), jnp.int32)
    images.append(MultiarmedBandit(300).render(MultiarmedBanditState(chances, zero, zero, zero)))
    assert {image.shape for image in images} == {(160, 220, 3)}
    assert len({image.tobytes() for image in images}) == 4
