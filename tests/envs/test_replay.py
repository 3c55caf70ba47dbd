"""Every task against the original: same hidden state, same actions, equal at every step."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg.envs as envs

from .replay import (
    cart_pole_state,
    deck_order,
    differences,
    record,
    replay_cards,
    replay_physics,
)

popgym_envs = pytest.importorskip("popgym.envs", exc_type=ImportError)

FAMILIES = ("RepeatFirst", "RepeatPrevious", "PositionOnlyCartPole")
IDS = [f"popgym/{family}{level}" for family in FAMILIES for level in ("Easy", "Medium", "Hard")]
LENGTHS = dict(zip(IDS, (51, 415, 831, 51, 103, 155, 200, 400, 600), strict=True))


def original(name: str):
    module = popgym_envs.__dict__
    classes = {
        "RepeatFirst": module["repeat_first"],
        "RepeatPrevious": module["repeat_previous"],
        "PositionOnlyCartPole": module["position_only_cartpole"],
    }
    short = name.removeprefix("popgym/")
    family = next(family for family in FAMILIES if short.startswith(family))
    return vars(classes[family])[short]()


def is_cards(name: str) -> bool:
    return "Repeat" in name


def oracle(env, observation) -> int:
    """The right answer, from the hidden state; a controller that holds the pole."""
    if isinstance(env, popgym_envs.repeat_first.RepeatFirst):
        return int(env.card)
    if isinstance(env, popgym_envs.repeat_previous.RepeatPrevious):
        hand = env.deck["player"]
        return int(env.deck.suits_idx[hand[-env.k]]) if len(hand) >= env.k else 0
    x, x_dot, theta, theta_dot = env.state
    return int(0.05 * x + 0.1 * x_dot + theta + 0.3 * theta_dot > 0)


def repeat(env, observation) -> int:
    """Say what is shown; push to where the pole leans."""
    return int(observation) if np.ndim(observation) == 0 else int(observation[1] > 0)


class Random:
    def __init__(self, seed: int):
        self.generator = np.random.default_rng(seed)

    def __call__(self, env, observation) -> int:
        return int(self.generator.integers(env.action_space.n))


def policies(seed: int) -> dict:
    return {"oracle": oracle, "random": Random(seed), "repeat": repeat}


def compare(name: str, env, seed: int, policy) -> tuple[list[str], float]:
    """Differences between the original `name` and `env`, and the original's return."""
    look, replay = (
        (deck_order, replay_cards) if is_cards(name) else (cart_pole_state, replay_physics)
    )
    episode, actions, hidden = record(original(name), seed, policy, look)
    return differences(episode, replay(env, hidden, actions)), float(episode.rewards.sum())


@pytest.mark.parametrize("policy", ["oracle", "random", "repeat"])
@pytest.mark.parametrize("name", IDS)
def test_every_step_equals_the_original(name, policy):
    env, _ = envs.make(name)
    for seed in range(3):
        wrong, _ = compare(name, env, seed, policies(seed)[policy])
        assert not wrong, (seed, wrong)


@pytest.mark.parametrize("name", IDS)
def test_the_oracle_reaches_the_end_with_return_one(name):
    look, replay = (
        (deck_order, replay_cards) if is_cards(name) else (cart_pole_state, replay_physics)
    )
    env, _ = envs.make(name)
    _, actions, hidden = record(original(name), 0, oracle, look)
    ours = replay(env, hidden, actions)
    assert len(actions) == LENGTHS[name]
    np.testing.assert_allclose(np.asarray(ours.rewards, np.float64).sum(), 1.0, atol=1e-5)
    ends = np.arange(1, len(actions) + 1) == LENGTHS[name]
    # The last card terminates; a time limit truncates.
    assert np.array_equal(ours.terminated, ends & is_cards(name))
    assert np.array_equal(ours.truncated, ends & (not is_cards(name)))


@pytest.mark.parametrize(("decks", "lag"), [(1, 1), (1, 51), (2, 7)])
def test_other_arguments_equal_the_original(decks, lag):
    reference = popgym_envs.repeat_previous.RepeatPrevious(num_decks=decks, k=lag)
    episode, actions, hidden = record(reference, 5, Random(5), deck_order)
    ours = replay_cards(envs.RepeatPrevious(decks, lag), hidden, actions)
    assert not differences(episode, ours)


def test_a_fall_at_the_time_limit_has_both_flags():
    module = popgym_envs.position_only_cartpole
    right = lambda env, obs: 1
    free, _, _ = record(module.PositionOnlyCartPole(), 0, right, cart_pole_state)
    limit = len(free.rewards)
    reference = module.PositionOnlyCartPole(max_episode_length=limit)
    episode, actions, hidden = record(reference, 0, right, cart_pole_state)
    assert episode.terminated[-1]
    assert episode.truncated[-1]
    assert not differences(
        episode, replay_physics(envs.PositionOnlyCartPole(limit), hidden, actions)
    )


# Faults that public ports of these tasks have, planted: the comparison must see each of them.


class OneStepLonger(envs.AbstractEnvironment):
    """Ends when the deck was already empty before the step, as ports do."""

    env: envs.RepeatFirst | envs.RepeatPrevious

    @property
    def name(self):
        return self.env.name

    def default_params(self):
        return self.env.default_params()

    def reset(self, key, params):
        return self.env.reset(key, params)

    def transition(self, key, state, action, params):
        was_empty = jnp.all(state.remaining == 0)
        observation, state, reward, _, truncated = self.env.transition(key, state, action, params)
        return observation, state, reward, was_empty, truncated

    def observation_space(self, params):
        return self.env.observation_space(params)

    def action_space(self, params):
        return self.env.action_space(params)


class TruncationAsTermination(envs.AbstractEnvironment):
    """Has one flag for both ends, as ports do."""

    env: envs.PositionOnlyCartPole

    @property
    def name(self):
        return self.env.name

    def default_params(self):
        return self.env.default_params()

    def reset(self, key, params):
        return self.env.reset(key, params)

    def transition(self, key, state, action, params):
        observation, state, reward, terminated, truncated = self.env.transition(
            key, state, action, params
        )
        return observation, state, reward, terminated | truncated, jnp.zeros_like(truncated)

    def observation_space(self, params):
        return self.env.observation_space(params)

    def action_space(self, params):
        return self.env.action_space(params)


class HeavyPole(eqx.Module):
    """Not an environment: a cart-pole step whose pole accelerates 0.1 % more."""

    env: envs.PositionOnlyCartPole

    def default_params(self):
        return self.env.default_params()

    def transition(self, key, state, action, params):
        observation, *rest = self.env.transition(key, state, action, params)
        return observation * 1.001, *rest


FAULTS = {
    "recall k instead of k-1 cards ago": (
        "popgym/RepeatPreviousEasy",
        envs.RepeatPrevious(1, 5),
        "rewards",
    ),
    "recall k-2 cards ago": ("popgym/RepeatPreviousMedium", envs.RepeatPrevious(2, 31), "rewards"),
    "one step longer": (
        "popgym/RepeatFirstEasy",
        OneStepLonger(envs.RepeatFirst(1)),
        "terminated",
    ),
    "one step longer, previous": (
        "popgym/RepeatPreviousEasy",
        OneStepLonger(envs.RepeatPrevious(1, 4)),
        "terminated",
    ),
    "truncation as termination": (
        "popgym/PositionOnlyCartPoleEasy",
        TruncationAsTermination(envs.PositionOnlyCartPole(200)),
        "truncated",
    ),
    "other time limit": (
        "popgym/PositionOnlyCartPoleEasy",
        envs.PositionOnlyCartPole(201),
        "truncated",
    ),
    "other physics": (
        "popgym/PositionOnlyCartPoleEasy",
        HeavyPole(envs.PositionOnlyCartPole(200)),
        "observations",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_seen(fault):
    name, wrong_env, part = FAULTS[fault]
    found, _ = compare(name, wrong_env, 0, oracle)
    assert any(line.startswith(part) for line in found), found
