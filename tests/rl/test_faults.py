"""The probes are clean on the library, and each fault of the field, planted, makes one go red.

`tests/rl/test_check.py` plants these again, and faults of memories, before `ma.rl.check`.

| planted fault | seen in | red |
|---|---|---|
| a fresh carry is replayed from, and not the stored one | purejaxql (one update old) | replay |
| carry stored after the step | Stoix rec_ppo | replay |
| start flag shifted once more in learning | memorax | replay |
| training never resets | | replay |
| strided minibatch | Stoix, Mava | replay, contiguity |
| carry not gathered with its environments | JaxMARL (a mask) | replay, contiguity |
| start flag never fires | Mava | advantages |
| start flag on termination only | | advantages |
| GAE from the flag before the step | Stoix rec_ppo | advantages |
| bootstrap from the next episode | Stoix rec_ppo | advantages |
| time limit taken for the end | purejaxrl and six others | advantages |
| final observation valued with a fresh memory | | advantages |
| value loss clipped with the minimum | rejax | value loss |
| gradients clipped element by element | rejax | norm |
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
import pytest

import memoalg as ma
from memoalg.rl import _learn, _optimizer, _ppo, _rollout
from tests.rl import faults

TOLERANCE = 1e-5

# The real ones, which the faults below wrap.
collect, make_batch, take = _rollout.collect, _learn.make_batch, _learn.take_environments
advantages = _learn.advantages


FAMILIES = {model.family: name for name, model in reversed(ma.nn.MODELS.items())}


@pytest.mark.parametrize(
    "memory",
    [
        # One of each family by default.
        pytest.param(name, marks=() if name in FAMILIES.values() else pytest.mark.slow)
        for name in ma.nn.names()
    ],
)
def test_replay_is_exact(memory):
    assert faults.replay_error(memory) <= 1e-6


def test_advantages_are_aligned():
    assert faults.alignment_error() <= TOLERANCE


def stale_carry(network, env, params, state, *rest):
    """The carry of the rollout's beginning is not stored: a fresh one is replayed from."""
    following, record, sums = collect(network, env, params, state, *rest)
    fresh = _rollout.fresh_memories(network, 4)
    return following, eqx.tree_at(lambda r: r.carry, record, fresh), sums


def carry_after_the_step(network, env, params, state, *rest):
    """The carry is stored after it has seen the first observation (Stoix rec_ppo)."""
    following, record, sums = collect(network, env, params, state, *rest)
    seen, _, _ = jax.vmap(network.step)(state.memory, state.observation, state.start)
    return following, eqx.tree_at(lambda r: r.carry, record, seen), sums


def flag_late_in_learning(record, config):
    """The pre-step flag is shifted once more (memorax MemaxWrapper)."""
    late = jnp.roll(record.start[:-1], 1, 0)
    return eqx.tree_at(lambda b: b.start, make_batch(record, config), late)


def masked_reset_in_learning(record, config):
    """Training never resets."""
    never = jnp.zeros_like(record.start[1:])
    return eqx.tree_at(lambda b: b.start, make_batch(record, config), never)


def strided(batch, indices):
    """A plain reshape of (T, E) makes sequences out of every other step (Stoix, Mava)."""

    def mix(x):
        steps, num_envs = x.shape[:2]
        return jnp.swapaxes(x.reshape(num_envs, steps, *x.shape[2:]), 0, 1)

    mixed = jax.tree.map(mix, eqx.tree_at(lambda b: b.carry, batch, None))
    whole = eqx.tree_at(lambda b: b.carry, mixed, batch.carry, is_leaf=lambda x: x is None)
    return take(whole, indices)


def permuted_carry(batch, indices):
    """The carry is not gathered with its environments."""
    first = jax.tree.map(lambda x: x[: indices.shape[0]], batch.carry)
    return eqx.tree_at(lambda b: b.carry, take(batch, indices), first)


REPLAY_FAULTS = {
    "stale-carry": (_ppo, "collect", stale_carry),
    "carry-after-the-step": (_ppo, "collect", carry_after_the_step),
    "flag-one-step-late": (_learn, "make_batch", flag_late_in_learning),
    "reset-masked": (_learn, "make_batch", masked_reset_in_learning),
    "strided-minibatch": (_learn, "take_environments", strided),
    "permuted-carry": (_learn, "take_environments", permuted_carry),
}


@pytest.mark.parametrize("fault", REPLAY_FAULTS.values(), ids=REPLAY_FAULTS)
def test_a_replay_fault_is_seen(fault, monkeypatch):
    monkeypatch.setattr(*fault)
    assert faults.replay_error() > 10 * TOLERANCE


def flag_never(terminated, truncated):
    """The flag never fires under auto-reset (Mava #1006)."""
    return jnp.zeros_like(terminated)


def flag_on_termination_only(terminated, truncated):
    return terminated


def shifted_gae(record, config):
    """The discount is built from the flag before the step (Stoix rec_ppo)."""
    late = eqx.tree_at(
        lambda r: (r.terminated, r.truncated),
        record,
        (jnp.roll(record.terminated, 1, 0), jnp.roll(record.truncated, 1, 0)),
    )
    return advantages(late, config)


def bootstrap_from_the_next_episode(record, config):
    """Where truncated, the value of the next episode's first observation is taken."""
    return advantages(eqx.tree_at(lambda r: r.final_values, record, record.values[1:]), config)


def time_limit_as_the_end(record, config):
    """purejaxrl and six others."""
    flags = record.terminated | record.truncated, jnp.zeros_like(record.truncated)
    return advantages(eqx.tree_at(lambda r: (r.terminated, r.truncated), record, flags), config)


def value_without_memory(network, memory, observation, truncated, like):
    """The final observation is valued after the memory has been reset."""
    _, _, value = jax.vmap(network.step)(memory, observation, jnp.ones_like(truncated))
    return jnp.where(truncated, value, jnp.zeros_like(like))


ALIGNMENT_FAULTS = {
    "flag-never": (_rollout, "next_start", flag_never),
    "flag-on-termination-only": (_rollout, "next_start", flag_on_termination_only),
    "gae-shifted": (_learn, "advantages", shifted_gae),
    "bootstrap-from-the-next-episode": (_learn, "advantages", bootstrap_from_the_next_episode),
    "time-limit-as-the-end": (_learn, "advantages", time_limit_as_the_end),
    "final-value-without-memory": (_rollout, "final_values", value_without_memory),
}


@pytest.mark.parametrize("fault", ALIGNMENT_FAULTS.values(), ids=ALIGNMENT_FAULTS)
def test_an_alignment_fault_is_seen(fault, monkeypatch):
    monkeypatch.setattr(*fault)
    assert faults.alignment_error() > 0.1


def test_a_strided_minibatch_is_seen_on_numbers_alone():
    assert faults.contiguity_error(take) == 0
    assert faults.contiguity_error(strided) > 0


def test_a_value_loss_clipped_with_the_minimum_is_seen():
    """rejax: a value may then leave the range for free."""
    old, targets = jnp.zeros(1), jnp.ones(1)
    moved, far = jnp.array([0.1]), jnp.array([1.0])

    def minimum(values):
        clipped = old + jnp.clip(values - old, -0.2, 0.2)
        return 0.5 * jnp.mean(jnp.minimum((values - targets) ** 2, (clipped - targets) ** 2))

    def ours(values):
        return ma.rl.value_loss(values, old, targets, 0.2)

    assert ours(far) == pytest.approx(0.5 * 0.8**2)
    assert minimum(far) == 0
    assert ours(moved) == pytest.approx(minimum(moved))


def direction_error() -> float:
    """How far a clipped step is from the direction of the gradient, relative."""
    # Adam with a huge eps is a plain step, whose size is the clipped gradient's.
    transformation = _optimizer.make_optimizer(1.0, max_grad_norm=0.5, eps=1e6)
    gradient = jnp.array([3.0, 0.3])
    params = jnp.zeros(2)
    moved, _ = _optimizer.gradient_step(
        transformation, params, gradient, transformation.init(params)
    )
    return abs(float(moved[0] / moved[1]) / 10 - 1)


def test_gradients_clipped_element_by_element_are_seen(monkeypatch):
    """rejax names it max_grad_norm: the direction changes."""
    assert direction_error() <= TOLERANCE
    monkeypatch.setattr(optax, "clip_by_global_norm", optax.clip)
    assert direction_error() > 0.1
