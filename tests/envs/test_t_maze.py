"""TMaze: Bakker's codes and rewards, exact returns, every reactive policy."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import anchors_dials as exact
from memoalg.envs.tasks._t_maze import EAST, NORTH, SOUTH, WEST, TMaze, TMazeState

from .dial_play import agrees, play

KEY = jax.random.key(4)
SIGN_NORTH, SIGN_SOUTH, CORRIDOR, JUNCTION = [0, 1, 1], [1, 1, 0], [1, 0, 1], [0, 1, 0]
MOVES = jax.jit(lambda env, state, action, params: env.transition(KEY, state, action, params))


def at(position: int, north: bool = True, time: int = 0) -> TMazeState:
    return TMazeState(
        jnp.asarray(position, jnp.int32), jnp.asarray(north), jnp.asarray(time, jnp.int32)
    )


# (cell, sign north, action) -> (cell, code, reward, terminated), in a corridor of 3 steps.
RULES = [
    ((0, True, EAST), (1, CORRIDOR, 0.0, False)),
    ((0, True, WEST), (0, SIGN_NORTH, -0.025, False)),
    ((0, False, NORTH), (0, SIGN_SOUTH, -0.025, False)),
    ((1, False, WEST), (0, SIGN_SOUTH, 0.0, False)),
    ((1, True, NORTH), (1, CORRIDOR, -0.025, False)),
    ((1, True, SOUTH), (1, CORRIDOR, -0.025, False)),
    ((2, True, EAST), (3, JUNCTION, 0.0, False)),
    ((3, True, EAST), (3, JUNCTION, -0.025, False)),
    ((3, True, WEST), (2, CORRIDOR, 0.0, False)),
    ((3, True, NORTH), (3, JUNCTION, 1.0, True)),
    ((3, True, SOUTH), (3, JUNCTION, -0.025, True)),
    ((3, False, SOUTH), (3, JUNCTION, 1.0, True)),
    ((3, False, NORTH), (3, JUNCTION, -0.025, True)),
]


@pytest.mark.parametrize(("before", "after"), RULES, ids=[str(rule[0]) for rule in RULES])
def test_the_rules(before, after):
    cell, north, action = before
    env = TMaze(3)
    move = jnp.asarray(action, jnp.int32)
    code, state, reward, terminated, truncated = MOVES(
        env, at(cell, north), move, env.default_params()
    )
    found = int(state.position), code.tolist(), round(float(reward), 6), bool(terminated)
    assert found == after
    assert not truncated


SETTINGS = [(1, 3), (3, 40), (10, 110)]


@pytest.mark.parametrize(("length", "limit"), SETTINGS)
def test_the_oracle_gets_one_in_length_plus_one_steps(length, limit):
    _, oracle = play(TMaze(length, limit), limit)
    assert set(oracle.lengths) == {length + 1}
    np.testing.assert_allclose(oracle.returns, exact.t_maze(length, limit).optimal, atol=1e-6)
    assert not (oracle.truncated & oracle.inside)[:, :length].any()


@pytest.mark.parametrize(("length", "limit"), SETTINGS)
def test_the_random_return_is_that_of_the_walk(length, limit):
    random, _ = play(TMaze(length, limit), limit)
    assert agrees(random.returns, exact.t_maze(length, limit).random)
    given = np.unique(random.rewards[random.inside])
    np.testing.assert_allclose(given, [-0.025, 0.0, 1.0], atol=1e-7)


@pytest.mark.parametrize(("length", "limit"), SETTINGS)
def test_signs_are_fair(length, limit):
    random, _ = play(TMaze(length, limit), limit)
    north = random.before.north[:, 0]
    assert abs(north.mean() - 0.5) < 4 * 0.5 / 2048**0.5
    assert np.array_equal(random.first, np.where(north[:, None], SIGN_NORTH, SIGN_SOUTH))


def table(env, key, observation, state, params):
    """A policy of four numbers, one for each code; it is carried in place of the random key."""
    place = jnp.where(
        state.position == 0,
        jnp.where(state.north, 0, 1),
        jnp.where(state.position == params.length, 3, 2),
    )
    return jnp.sum(jnp.where(jnp.arange(4) == place, key, 0)).astype(jnp.int32)


@pytest.mark.parametrize("length", [1, 4])
def test_no_reactive_policy_is_better_than_a_guess(length):
    """All 4^4 policies from codes to actions, each for both signs: nothing is random here."""
    env = TMaze(length)
    params = env.default_params()
    policies = jnp.asarray(list(itertools.product(range(4), repeat=4)), jnp.int32)

    @jax.jit
    def value(policy, north):
        def body(carry, _):
            state, running, total = carry
            action = table(env, policy, None, state, params)
            _, state, reward, terminated, truncated = env.transition(KEY, state, action, params)
            total = jnp.where(running, total + reward, total)
            return (state, running & ~(terminated | truncated), total), None

        start = TMazeState(jnp.zeros((), jnp.int32), north, jnp.zeros((), jnp.int32))
        carry = start, jnp.ones((), bool), jnp.zeros(())
        return jax.lax.scan(body, carry, length=10 * (length + 1))[0][2]

    over_signs = jax.vmap(jax.vmap(value, in_axes=(None, 0)), in_axes=(0, None))
    values = np.asarray(over_signs(policies, jnp.array([False, True]))).mean(1)
    np.testing.assert_allclose(values.max(), exact.t_maze(length, 1).memoryless, atol=1e-6)


def test_a_time_limit_truncates_and_both_flags_may_be_true():
    env = TMaze(3, max_steps=4)
    params, east, north = (
        env.default_params(),
        jnp.asarray(EAST, jnp.int32),
        jnp.zeros((), jnp.int32),
    )
    *_, terminated, truncated = MOVES(env, at(1, True, 3), east, params)
    assert (bool(terminated), bool(truncated)) == (False, True)
    *_, terminated, truncated = MOVES(env, at(3, True, 3), north, params)
    assert (bool(terminated), bool(truncated)) == (True, True)


BAD = {
    "length 0": (lambda: TMaze(0), "length=.* from 1 to 1000000, got 0"),
    "a limit too short": (lambda: TMaze(10, 10), "max_steps=.* from 11 to .* got 10"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_are_explained(case, without_hook):
    build, message = BAD[case]
    with pytest.raises((TypeError, ValueError), match=message):
        build()
