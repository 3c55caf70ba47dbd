"""`check` is clean on correct memories and algorithms, and each planted fault makes its probe red.

| planted fault | probe that goes red |
|---|---|
| carry begins weakly typed | carry |
| carry is int32, then float32 | carry |
| the sequence call returns another shape | carry |
| the sequence call resets one step late | step |
| the sequence call never resets | step |
| neither resets | forgetting |
| reset by a product: NaN leaks | forgetting |
| an input is remembered beside the carry | forgetting |
| carry stored after the step | alignment |
| carry of another environment | alignment |
| start flag one step late in learning | alignment |
| start flag never, or at terminations only | alignment |
| strided minibatch | alignment, minibatches |
| final observation valued with a fresh memory | alignment |
| replayed rows of another place (DQN) | alignment |
| NaN gradient | learning |
"""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

import memoalg as ma
from memoalg.rl import _check, _dqn, _ppo, _pqn, _rollout
from memoalg.rl._alignment import alignment_error, with_counting
from memoalg.rl._check import check
from memoalg.rl._contiguity import contiguity
from memoalg.rl._dqn import DQN
from memoalg.rl._dqn_config import DQNConfig
from memoalg.rl._minibatch import take_environments
from tests.rl import test_faults as planted
from tests.rl.worlds import Counter, Ticker

PPO_CONFIG = ma.rl.PPOConfig(num_envs=4, num_steps=12, minibatches=2, epochs=1)
PQN_CONFIG = ma.rl.PQNConfig(num_envs=4, num_steps=12, minibatches=2, epochs=1)
DQN_CONFIG = DQNConfig(
    num_envs=4, num_steps=12, capacity=192, batch_size=48, segment_length=3, gradient_steps=1
)
KEY = jax.random.key(0)
SLOW = pytest.mark.slow


def ppo(memory: Any, **changes) -> ma.rl.PPO:
    config = dataclasses.replace(PPO_CONFIG, **changes)
    return ma.rl.PPO(Ticker(), None, ma.rl.ActorCritic(memory, width=4), config)


def pqn(memory: Any = "gru") -> ma.rl.PQN:
    return ma.rl.PQN(Ticker(), None, ma.rl.QAgent(memory, width=4), PQN_CONFIG)


def dqn(memory: Any = "gru", **changes) -> DQN:
    config = dataclasses.replace(DQN_CONFIG, **changes)
    return DQN(Ticker(), None, ma.rl.QAgent(memory, width=4), config)


def test_a_correct_memory_passes():
    report = check(ppo("gru"), KEY, updates=2)
    assert [probe.name for probe in report.probes if not probe.ok] == []
    assert [probe.error for probe in report.probes if probe.allowed == 0] == [0, 0, 0]
    assert str(report).count("  ok  ") == 7
    assert report.metrics.policy_loss.shape == (2,)


MEMORIES = ["lru", "min_gru", "linear_attention", "ffm", "mlp", "elman", "rwkv7", "attention"]


@pytest.mark.slow
@pytest.mark.parametrize("memory", [name for name in MEMORIES if name in ma.nn.names()])
def test_other_memories_pass(memory):
    assert all(probe.ok for probe in check(ppo(memory), KEY, updates=2).probes)


OTHERS = {
    "separate": lambda: dataclasses.replace(
        ppo("gru"), agent=ma.rl.ActorCritic("gru", width=4, separate=True)
    ),
    "refresh": lambda: ppo("gru", refresh="epoch"),
    "burn-in": lambda: ppo("gru", burn_in=2),
    "pqn": pqn,
    "pqn-fresh-targets": lambda: pqn().with_config(target_refresh="minibatch"),
    "dqn-tape": dqn,
    "dqn-segments": lambda: dqn(replay="segment"),
    "dqn-stored": lambda: dqn(replay="segment", carry="stored", burn_in=2),
}


@pytest.mark.slow
@pytest.mark.parametrize("build", OTHERS.values(), ids=OTHERS)
def test_other_algorithms_pass(build):
    assert all(probe.ok for probe in check(build(), KEY, updates=3).probes)


class Faulty(Counter):
    """A counter with one fault of its own."""

    fault: str = eqx.field(static=True)

    def init_carry(self):
        return jnp.asarray(0.0) if self.fault == "weak" else jnp.zeros((), jnp.int32)

    def step(self, carry, x, start):
        if self.fault == "weak":
            return carry + 1.0, x
        if self.fault == "dtype":
            return carry.astype(float) + 1.0, x
        fresh = jnp.zeros((), bool) if self.fault == "both-never" else start
        assert fresh is not None
        carry = jnp.where(fresh, 0, carry) + 1
        return carry, jnp.zeros_like(x).at[0].set(carry.astype(x.dtype))

    def __call__(self, carry, xs, start, *, method=None):
        if self.fault == "shape":
            return jnp.stack([carry, carry]), xs
        if self.fault == "late":
            start = jnp.roll(start, 1)
        if self.fault == "never":
            start = jnp.zeros_like(start)
        return jax.lax.scan(lambda c, now: self.step(c, *now), carry, (xs, start))


class Summing(ma.nn.AbstractLayer):
    """The sum of the episode's inputs, reset by a product, or with the last input kept beside it."""

    in_size: int | None = eqx.field(static=True)
    out_size: int | None = eqx.field(static=True)
    fault: str = eqx.field(static=True)

    def init_carry(self):
        return jnp.zeros(self.in_size), jnp.zeros(self.in_size)

    def step(self, carry, x, start):
        total, before = carry
        assert start is not None
        if self.fault == "product":
            total = total * (~start).astype(x.dtype) + x
            before = jnp.where(start, jnp.zeros_like(before), before)
        else:
            total = jnp.where(start, jnp.zeros_like(total), total) + x
        return (total, x), total + before

    def __call__(self, carry, xs, start, *, method=None):
        return jax.lax.scan(lambda c, now: self.step(c, *now), carry, (xs, start))


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("weak", r"init_carry gives leaf .* as float32\[\] \(weakly typed\)"),
        ("dtype", r"init_carry and step differ in leaf .*expected int32\[\], got float32\[\]"),
        (
            "shape",
            r"init_carry and the sequence call differ in .*expected int32\[\], got int32\[2\]",
        ),
    ],
)
def test_a_carry_that_changes_its_type_is_seen(fault, message):
    algo = ppo(lambda n, k: Faulty(n, n, fault))
    with pytest.raises(RuntimeError, match=message) as raised:
        check(algo, KEY)
    assert "the probe 'carry' fails" in str(raised.value)


@pytest.mark.parametrize(
    ("probe", "memory"),
    [
        pytest.param("step", lambda n, k: Faulty(n, n, "late"), id="late"),
        pytest.param("step", lambda n, k: Faulty(n, n, "never"), id="never", marks=SLOW),
        pytest.param(
            "forgetting", lambda n, k: Faulty(n, n, "both-never"), id="both-never", marks=SLOW
        ),
        pytest.param("forgetting", lambda n, k: Summing(n, n, "product"), id="product"),
        pytest.param(
            "forgetting", lambda n, k: Summing(n, n, "beside"), id="beside-the-carry", marks=SLOW
        ),
    ],
)
def test_a_fault_of_a_memory_is_seen(probe, memory):
    with pytest.raises(RuntimeError, match=f"the probe '{probe}' fails"):
        check(ppo(memory), KEY)


@pytest.mark.slow
def test_a_gradient_that_is_nan_is_seen():
    def memory(in_size, key):
        # The root's slope at 0 is infinite, times 0.
        return ma.nn.Pointwise(lambda x: jnp.sqrt(0 * x) + x)

    probe, _ = _check._learning_probe(ppo(memory), KEY, 2, 1e-4)
    assert probe.error == float("inf")
    assert "not finite" in probe.cause


def aligned(algo) -> float:
    return alignment_error(with_counting(algo, 12), KEY, 2)


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(lambda: ppo("gru"), id="ppo", marks=SLOW),
        pytest.param(pqn, id="pqn", marks=SLOW),
        pytest.param(dqn, id="dqn", marks=SLOW),
        pytest.param(lambda: dqn(replay="segment"), id="dqn-segments", marks=SLOW),
    ],
)
def test_the_alarm_is_silent(build):
    assert aligned(build()) < 1e-9


ALIGNMENT_FAULTS = {
    "flag-one-step-late": (ppo, (_ppo, "make_batch", planted.flag_late_in_learning)),
    "strided-minibatch": (ppo, planted.REPLAY_FAULTS["strided-minibatch"]),
}
MORE_ALIGNMENT_FAULTS = {
    "carry-after-the-step": (ppo, planted.REPLAY_FAULTS["carry-after-the-step"]),
    "final-value-fresh": (ppo, (_rollout, "final_values", planted.value_without_memory)),
    "stale-carry": (ppo, planted.REPLAY_FAULTS["stale-carry"]),
    "permuted-carry": (ppo, planted.REPLAY_FAULTS["permuted-carry"]),
    "reset-masked": (ppo, (_ppo, "make_batch", planted.masked_reset_in_learning)),
    "flag-never": (ppo, (_rollout, "next_start", planted.flag_never)),
    "flag-on-termination": (ppo, (_rollout, "next_start", planted.flag_on_termination_only)),
    "pqn-carry-after-the-step": (pqn, (_pqn, "collect", planted.carry_after_the_step)),
    "pqn-strided": (pqn, (_pqn, "take_environments", planted.strided)),
    "pqn-permuted-carry": (pqn, (_pqn, "take_environments", planted.permuted_carry)),
    "dqn-flag-never": (dqn, (_rollout, "next_start", planted.flag_never)),
}


@pytest.mark.parametrize(("build", "fault"), ALIGNMENT_FAULTS.values(), ids=ALIGNMENT_FAULTS)
def test_the_alarm_sounds(build, fault, monkeypatch):
    monkeypatch.setattr(*fault)
    assert aligned(build("gru")) > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("build", "fault"), MORE_ALIGNMENT_FAULTS.values(), ids=MORE_ALIGNMENT_FAULTS
)
def test_the_alarm_sounds_elsewhere(build, fault, monkeypatch):
    monkeypatch.setattr(*fault)
    assert aligned(build("gru")) > 1e-3


@pytest.mark.parametrize("fault", ["stale-carry", "permuted-carry"])
def test_the_alarm_sounds_where_all_episodes_have_one_length(fault, monkeypatch):
    env, params = ma.envs.make("popgym/RepeatPreviousEasy")
    algo = ma.rl.PPO(env, params, ma.rl.ActorCritic("gru", width=4), PPO_CONFIG)
    monkeypatch.setattr(*planted.REPLAY_FAULTS[fault])
    assert aligned(algo) > 1e-3


@pytest.mark.slow
def test_rows_of_a_replay_at_another_place_are_seen(monkeypatch):
    """A write one row off: episodes are read from where others lie."""
    write = _dqn.write_ring
    monkeypatch.setattr(
        _dqn, "write_ring", lambda ring, rows, head: _rolled(write(ring, rows, head))
    )
    assert aligned(dqn()) > 1e-3


def _rolled(ring):
    late = jnp.roll(ring.observations, 1, axis=0)
    return eqx.tree_at(lambda r: r.observations, ring, late)


def test_contiguity():
    assert contiguity(take_environments) == 0
    assert contiguity(planted.strided) > 0
    assert contiguity(planted.permuted_carry) > 0
    assert contiguity(lambda batch, indices: batch) > 0


def test_an_agent_of_ones_own_is_not_asked_for_a_memory():
    algo = ppo("gru")
    object.__setattr__(algo, "agent", PPO_CONFIG)
    assert with_counting(algo, 12) is None
    probe = _check._alignment_probe(algo, KEY, 2)
    assert probe.ok
    assert "  -   " in str(_check.CheckReport((probe,), None))


@pytest.mark.parametrize("head", ["policy", "advantage"])
def test_policies_are_made_to_depend_on_their_input(head):
    algo = ppo("mlp") if head == "policy" else pqn("mlp")
    state = jax.eval_shape(algo.init, KEY)
    assert jax.tree.structure(state) == jax.tree.structure(jax.eval_shape(_check.loud, state))
