"""MemoryChain: one reward at the end, bsuite's observations, no limit on the length."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import anchors_dials as exact
from memoalg.envs.tasks._memory_chain import MemoryChain, MemoryChainState

from .dial_play import agrees, play
from .task_kit import Faulty

KEY = jax.random.key(3)
STEP = jax.jit(lambda env, state, action, params: env.transition(KEY, state, action, params))


SETTINGS = [(1, 1), (10, 1), (100, 5)]


@pytest.mark.parametrize(("length", "bits"), SETTINGS)
def test_only_the_last_step_is_rewarded(length, bits):
    random, _ = play(MemoryChain(length, bits), length)
    assert not random.rewards[:, :-1].any()
    assert set(random.rewards[:, -1]) == {-1.0, 1.0}
    assert np.array_equal(random.terminated, (np.arange(length) == length - 1) & random.inside)
    assert not random.truncated.any()


@pytest.mark.parametrize(("length", "bits"), SETTINGS)
def test_the_context_is_shown_once_and_the_query_last(length, bits):
    random, _ = play(MemoryChain(length, bits), length)
    context, query = random.before.context[:, 0], random.before.query[:, 0]
    assert np.array_equal(random.first[:, 2:], 2 * context.astype(float) - 1)
    later = random.observations
    assert not later[:, :, 2:].any()
    clock = 1 - np.arange(1, length + 1) / length
    np.testing.assert_allclose(later[:, :, 0], np.tile(clock, (len(later), 1)), atol=1e-6)
    asked = np.concatenate([random.first[:, None], later], 1)[:, :, 1]
    assert np.array_equal(asked[:, length - 1], query)
    assert not np.delete(asked, length - 1, 1).any()


@pytest.mark.parametrize(("length", "bits"), SETTINGS)
def test_bits_and_queries_are_uniform(length, bits):
    random, _ = play(MemoryChain(length, bits), length)
    for column in random.before.context[:, 0].T:
        assert abs(column.mean() - 0.5) < 4 * 0.5 / 2048**0.5
    counts = np.bincount(random.before.query[:, 0], minlength=bits)
    assert np.sum((counts - 2048 / bits) ** 2 / (2048 / bits)) < 23.6  # p = 1e-4 for 4 degrees


@pytest.mark.parametrize(("length", "bits"), SETTINGS)
def test_returns_are_those_of_the_formulas(length, bits):
    expected = exact.memory_chain(length)
    random, oracle = play(MemoryChain(length, bits), length)
    assert np.all(oracle.returns == expected.optimal)
    assert agrees(random.returns, expected.random)


def test_without_memory_one_of_two_bits_is_lost():
    """Both contexts look alike when the question comes, and then get opposite rewards."""
    env = MemoryChain(2)
    for action in (0, 1):
        rewards = [_answer(env, bit, action) for bit in (0, 1)]
        assert sorted(rewards) == [-1.0, 1.0]
    assert exact.memory_chain(2).memoryless == 0.0


def _answer(env, bit, action) -> float:
    zero = jnp.zeros((), jnp.int32)
    state = MemoryChainState(jnp.full((1,), bit, jnp.int8), zero, zero + 1)
    return float(STEP(env, state, zero + action, env.default_params())[2])


def test_a_million_steps_are_not_cut():
    env = MemoryChain(1_000_000)
    params = env.default_params()

    @jax.jit
    def last(state):
        def body(carry, _):
            state, ends, total = carry
            action = env.oracle(state, params)
            _, state, reward, terminated, truncated = env.transition(KEY, state, action, params)
            return (state, ends | terminated | truncated, total + jnp.abs(reward)), None

        start = state, jnp.zeros((), bool), jnp.zeros(())
        (state, ends, total), _ = jax.lax.scan(body, start, length=999_999)
        action = env.oracle(state, params)
        return ends, total, env.transition(KEY, state, action, params)[2:]

    ends, total, outcome = last(env.reset(KEY, params)[1])
    assert (bool(ends), float(total)) == (False, 0.0)
    assert [float(x) for x in outcome] == [1.0, 1.0, 0.0]


def test_length_varies_without_a_new_program():
    settings = [MemoryChain(n).default_params() for n in (3, 5, 8)]
    params = jax.tree.map(lambda *leaves: jnp.stack(leaves), *settings)
    time, zero = jnp.arange(8, dtype=jnp.int32), jnp.zeros((), jnp.int32)

    def ends(params, time):
        state = MemoryChainState(jnp.zeros((1,), jnp.int8), zero, time)
        return MemoryChain(5).transition(KEY, state, zero, params)[3]

    table = jax.vmap(jax.vmap(ends, in_axes=(None, 0)), in_axes=(0, None))(params, time)
    assert np.asarray(table).argmax(1).tolist() == [2, 4, 7]


def replay_gymnax(env, bits: int, length: int) -> list[str]:
    """Which parts differ from gymnax's MemoryChain at the same bits, query and actions."""
    from gymnax.environments.bsuite import memory_chain

    theirs: Any = memory_chain.MemoryChain(num_bits=bits)
    theirs_step = jax.jit(theirs.step_env)
    settings = theirs.default_params.replace(memory_length=length, max_steps_in_episode=length + 9)
    found = set()
    for seed in range(4):
        observation, state = theirs.reset_env(jax.random.key(seed), settings)
        params = env.default_params()
        first, own = env.reset(KEY, params)
        context, query = state.context.astype(jnp.int8), state.query.astype(jnp.int32)
        own = MemoryChainState(context, query, own.time)
        # Our own draw of the bits stands in `first`; they are compared from the next step on.
        assert np.array_equal(np.asarray(first)[:1], np.asarray(observation)[:1])
        for t in range(length + 1):
            action = jnp.asarray((seed + t) % 2, jnp.int32)
            observation, state, reward, *_ = theirs_step(KEY, state, action, settings)
            mine, own, gain, terminated, _ = STEP(env, own, action, params)
            ends = bool(theirs.is_terminated(state, settings))
            pairs = {
                "observation": np.allclose(observation, mine),
                "reward": float(reward) == float(gain),
                "ended": ends == bool(terminated),
            }
            found |= {part for part, same in pairs.items() if not same}
    return sorted(found)


@pytest.mark.parametrize(("bits", "length"), [(1, 1), (1, 5), (3, 7)])
def test_with_the_first_observation_twice_it_is_bsuites(bits, length):
    pytest.importorskip("gymnax")
    with jax.numpy_dtype_promotion("standard"):
        assert not replay_gymnax(MemoryChain(length, bits, first_twice=True), bits, length)


def shifted(env, key, state, action, params):
    """Rewards the bit's opposite."""
    observation, state, reward, *ends = env.transition(key, state, action, params)
    return observation, state, -reward, *ends


@pytest.mark.parametrize(
    ("wrong", "part"),
    [
        (MemoryChain(5), "ended"),
        (MemoryChain(6, first_twice=True), "observation"),
        (Faulty(MemoryChain(5, first_twice=True), shifted), "reward"),
    ],
    ids=["once", "one longer", "other bit"],
)
def test_the_replay_sees_a_planted_fault(wrong, part):
    pytest.importorskip("gymnax")
    with jax.numpy_dtype_promotion("standard"):
        assert part in replay_gymnax(wrong, 1, 5)


BAD = {
    "length 0": (lambda: MemoryChain(0), "length=.* from 1 to 1000000, got 0"),
    "too long": (lambda: MemoryChain(1_000_001), "length=.* got 1000001"),
    "a float": (lambda: MemoryChain(1.5), "length=.* int .* got 1.5"),  # pyright: ignore[reportArgumentType]
    "no bits": (lambda: MemoryChain(10, 0), "num_bits=.* from 1 to 1000, got 0"),
    "not a bool": (lambda: MemoryChain(10, 1, 1), "first_twice=.* True or False, got 1"),  # pyright: ignore[reportArgumentType]
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_are_explained(case, without_hook):
    build, message = BAD[case]
    with pytest.raises((TypeError, ValueError), match=message):
        build()
