"""Every algorithm with a memory of every family: exact in replay, at starts, and in resuming.

`check` covers the ratio (or the values) of the first pass, the targets and resets by a counting
memory, minibatches, gradients and carries.
"""

import jax
import pytest

import memoalg as ma
from tests.rl.test_ppo import assert_equal
from tests.rl.worlds import Ticker

MEMORIES = {
    "elementwise": "lru",
    "outer": "linear_attention",
    "delta": "deltanet",
    "groups": "rotation_rnn",
    "windows": "attention",
    "filters": "hmm",
    "cells": "gru",
    "controls": "mlp",
}
SIZES = {"num_envs": 4, "num_steps": 12}
REPLAY = {"capacity": 192, "batch_size": 48, "gradient_steps": 1, "warmup_frames": 48}
CONFIGS = {
    "ppo": ma.rl.PPOConfig(**SIZES, minibatches=2, epochs=1),
    "pqn": ma.rl.PQNConfig(**SIZES, minibatches=2, epochs=1),
    "tape": ma.rl.DQNConfig(**SIZES, **REPLAY),
    "segment": ma.rl.DQNConfig(**SIZES, **REPLAY, replay="segment", segment_length=3),
}
CLASSES = {"ppo": ma.rl.PPO, "pqn": ma.rl.PQN, "tape": ma.rl.DQN, "segment": ma.rl.DQN}


def made(algorithm: str, memory: str):
    kind = CLASSES[algorithm]
    agent = kind.agent_kind(memory, width=8)
    return kind(Ticker(), None, agent, CONFIGS[algorithm])


def test_every_family_has_its_memory():
    assert set(MEMORIES) == set(ma.nn.FAMILIES)
    assert all(ma.nn.MODELS[name].family == family for family, name in MEMORIES.items())


@pytest.mark.slow
@pytest.mark.parametrize("memory", MEMORIES.values())
@pytest.mark.parametrize("algorithm", CLASSES)
def test_an_algorithm_with_a_memory(algorithm, memory, tmp_path):
    algo = made(algorithm, memory)
    report = ma.rl.check(algo, jax.random.key(0), updates=2)
    assert all(probe.ok for probe in report.probes)

    update = jax.jit(algo.update)
    state = jax.jit(algo.init)(jax.random.key(1))
    for _ in range(2):
        state, _ = update(state)
    ma.rl.save_checkpoint(tmp_path, state, update=2, config={})
    like = jax.eval_shape(algo.init, jax.random.key(1))
    resumed = ma.rl.load_checkpoint(tmp_path, like).state
    for _ in range(2):
        (state, metrics), (resumed, again) = update(state), update(resumed)
        assert_equal(state, resumed)
        assert_equal(metrics, again)
