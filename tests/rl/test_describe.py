"""Configurations as JSON."""

import dataclasses
import functools
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg as ma
from memoalg.rl._describe import describe, differences

from .fake_algorithm import FakeAlgorithm, FakeConfig


@dataclasses.dataclass
class Derived:
    """What the constructor makes of its arguments says nothing new."""

    size: int
    table: object

    def __init__(self, size):
        self.size, self.table = size, object()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (0.1, 0.1),
        (math.inf, "inf"),
        (math.nan, "nan"),
        ((1, "a"), [1, "a"]),
        (np.dtype("float32"), "float32"),
        (np.float32(2), 2.0),
        (jnp.array([1, 2]), [1, 2]),
        (jax.random.key(3), [0, 3]),
        ({"a": (1,)}, {"a": [1]}),
        (jnp.tanh, "jax.numpy.tanh"),
        (FakeConfig, "tests.rl.fake_algorithm.FakeConfig"),
        (functools.partial(int, base=2), "functools.partial"),
        (Derived(3), {"class": "Derived", "size": 3}),
    ],
    ids=lambda value: type(value).__name__,  # an address in an id would differ between workers
)
def test_values(value, expected):
    found = describe(value)
    if isinstance(expected, str) and "." in expected:
        assert found.split(".")[-1] == expected.split(".")[-1]
    else:
        assert found == expected


def test_a_long_array_is_named_by_its_digest():
    a, b = describe(jnp.arange(100)), describe(jnp.arange(100) + 1)
    assert a["shape"] == [100]
    assert a != b


def test_an_algorithm_survives_json_and_the_next_process():
    text = json.dumps(describe(FakeAlgorithm()), allow_nan=False)
    assert json.loads(text) == describe(FakeAlgorithm())
    assert "0x" not in text


def test_ppo_is_described_by_what_it_was_given():
    env, params = ma.envs.make("popgym/RepeatPreviousEasy")
    algo = ma.rl.PPO(env, params, ma.rl.ActorCritic("gru", width=4), ma.rl.PPOConfig())
    found = describe(algo)
    assert set(found) == {"class", "env", "params", "agent", "config"}
    assert found["config"]["learning_rate"] == 1e-3
    assert found["agent"]["memory"] == "gru"
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize(
    ("saved", "requested", "expected"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": {"b": 1.0}}, {"a": {"b": 2.0}}, ["a.b: saved 1.0, requested 2.0"]),
        ({"a": 1}, {}, ["a: saved 1, requested nothing"]),
        ({}, {"a": "x"}, ["a: saved nothing, requested 'x'"]),
        ({"a": [1, 2]}, {"a": [1, 3]}, ["a[1]: saved 2, requested 3"]),
        ({"a": [1]}, {"a": [1, 3]}, ["a: saved [1], requested [1, 3]"]),
        ({"a": {"class": "A"}}, {"a": 3}, ["a: saved A, requested 3"]),
        ({"a": 1}, {"a": True}, ["a: saved 1, requested True"]),
    ],
)
def test_differences(saved, requested, expected):
    assert differences(saved, requested) == expected
