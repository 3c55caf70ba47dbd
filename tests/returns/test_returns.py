"""Returns equal plain loops on ragged rollouts; termination and truncation differ."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg as ma

T = 12
GAMMA, LAMBDA = 0.9, 0.8


def rollout(seed, terminated=(3, 7), truncated=(5, 7)):
    rng = np.random.default_rng(seed)
    rewards, values, next_values = rng.normal(size=(3, T)).astype(np.float32)
    term, trunc = np.zeros((2, T), bool)
    term[list(terminated)], trunc[list(truncated)] = True, True
    return tuple(jnp.asarray(x) for x in (rewards, values, next_values, term, trunc))


def discounted_loop(rewards, next_values, terminated, truncated):
    out, following = np.zeros(T), float(next_values[-1])
    for t in reversed(range(T)):
        if terminated[t]:
            following = 0.0
        elif truncated[t]:
            following = float(next_values[t])
        following = float(rewards[t]) + GAMMA * following
        out[t] = following
    return out


def gae_loop(rewards, values, next_values, terminated, truncated):
    out, following = np.zeros(T), 0.0
    for t in reversed(range(T)):
        bootstrap = 0.0 if terminated[t] else float(next_values[t])
        error = float(rewards[t]) + GAMMA * bootstrap - float(values[t])
        following = error + GAMMA * LAMBDA * (0.0 if terminated[t] or truncated[t] else following)
        out[t] = following
    return out


def lambda_loop(rewards, next_values, terminated, truncated):
    out, following = np.zeros(T), float(next_values[-1])
    for t in reversed(range(T)):
        value = float(next_values[t])
        if truncated[t] or t == T - 1:
            following = value
        after = 0.0 if terminated[t] else (1 - LAMBDA) * value + LAMBDA * following
        following = out[t] = float(rewards[t]) + GAMMA * after
    return out


def vtrace_loop(rewards, values, next_values, terminated, truncated, log_ratios):
    targets, gains, correction = np.zeros(T), np.zeros(T), 0.0
    for t in reversed(range(T)):
        ratio = np.exp(float(log_ratios[t]))
        rho, trace = min(1.2, ratio), LAMBDA * min(1.0, ratio)
        bootstrap = 0.0 if terminated[t] else float(next_values[t])
        cut = terminated[t] or truncated[t] or t == T - 1
        later = bootstrap if cut else targets[t + 1]
        gains[t] = rho * (float(rewards[t]) + GAMMA * later - float(values[t]))
        error = rho * (float(rewards[t]) + GAMMA * bootstrap - float(values[t]))
        correction = error + GAMMA * trace * (0.0 if cut else correction)
        targets[t] = float(values[t]) + correction
    return targets, gains


CASES = [
    ((), ()),
    ((3, 7), (5, 7)),
    ((0, T - 1), ()),
    ((), (0, T - 1)),
    (range(T), ()),
    ((), range(T)),
]

discounted = jax.jit(lambda *a: ma.returns.discounted(*a, discount=GAMMA))
gae = jax.jit(lambda *a: ma.returns.gae(*a, discount=GAMMA, decay=LAMBDA))
lambda_return = jax.jit(lambda *a: ma.returns.lambda_return(*a, discount=GAMMA, decay=LAMBDA))
vtrace = jax.jit(lambda *a: ma.returns.vtrace(*a, discount=GAMMA, decay=LAMBDA, clip=1.2))


@pytest.mark.parametrize(("terminated", "truncated"), CASES)
def test_returns_equal_the_loops(terminated, truncated):
    rewards, values, next_values, term, trunc = rollout(0, terminated, truncated)
    np.testing.assert_allclose(
        discounted(rewards, next_values, term, trunc),
        discounted_loop(rewards, next_values, term, trunc),
        atol=1e-5,
    )
    everything = rewards, values, next_values, term, trunc
    np.testing.assert_allclose(gae(*everything), gae_loop(*everything), atol=1e-5)
    without = rewards, next_values, term, trunc
    np.testing.assert_allclose(lambda_return(*without), lambda_loop(*without), atol=1e-5)
    log_ratios = jnp.asarray(np.random.default_rng(9).normal(size=T).astype(np.float32))
    np.testing.assert_allclose(
        vtrace(*everything, log_ratios), vtrace_loop(*everything, log_ratios), atol=1e-5
    )


def test_the_loops_see_a_shift_and_a_lost_bootstrap():
    """The comparison above can fail: flags one step late, or truncation taken for termination."""
    rewards, values, next_values, term, trunc = rollout(0)
    right = gae_loop(rewards, values, next_values, term, trunc)
    late = gae(rewards, values, next_values, jnp.roll(term, 1), jnp.roll(trunc, 1))
    merged = gae(rewards, values, next_values, term | trunc, jnp.zeros_like(trunc))
    shifted = gae(rewards, values, jnp.roll(next_values, 1), term, trunc)
    for wrong in (late, merged, shifted):
        assert np.max(np.abs(wrong - right)) > 1e-2


def test_values_are_read_only_where_they_are_needed():
    rewards, values, next_values, term, trunc = rollout(1)
    unread = jnp.where(term, jnp.nan, next_values)
    assert np.all(np.isfinite(gae(rewards, values, unread, term, trunc)))
    needed = (trunc & ~term).at[-1].set(True)
    unread = jnp.where(needed, next_values, jnp.nan)
    assert np.all(np.isfinite(discounted(rewards, unread, term, trunc)))


def test_a_nan_stays_in_its_episode():
    rewards, values, next_values, term, trunc = rollout(2)
    poisoned = rewards.at[6].set(jnp.nan)  # the episode of steps 6 and 7
    clean, dirty = (gae(r, values, next_values, term, trunc) for r in (rewards, poisoned))
    np.testing.assert_array_equal(np.delete(dirty, 6), np.delete(clean, 6))
    assert np.isnan(dirty[6])
    zeros = jnp.zeros(T)
    for compute in (
        lambda r: lambda_return(r, next_values, term, trunc),
        lambda r: vtrace(r, values, next_values, term, trunc, zeros)[0],
        lambda r: vtrace(r, values, next_values, term, trunc, zeros)[1],
    ):
        np.testing.assert_array_equal(
            np.delete(compute(poisoned), 6), np.delete(compute(rewards), 6)
        )


def test_lambda_returns_are_between_one_step_and_all():
    rewards, _, next_values, term, trunc = rollout(4)
    arguments = rewards, next_values, term, trunc
    one = ma.returns.lambda_return(*arguments, discount=GAMMA, decay=0.0)
    followed = jnp.where(term, 0.0, next_values)
    np.testing.assert_allclose(one, rewards + GAMMA * followed, atol=1e-6)
    whole = ma.returns.lambda_return(*arguments, discount=GAMMA, decay=1.0)
    np.testing.assert_allclose(whole, discounted(*arguments), atol=1e-5)


def test_vtrace_on_policy_is_the_lambda_return():
    rewards, values, next_values, term, trunc = rollout(5, (3, 7), (5,))
    # Values of one and the same function: what follows within an episode is the next step's.
    inside = ~(term | trunc).at[-1].set(True)
    next_values = jnp.where(inside, jnp.roll(values, -1), next_values)
    targets, _ = vtrace(rewards, values, next_values, term, trunc, jnp.zeros(T))
    np.testing.assert_allclose(targets, lambda_return(rewards, next_values, term, trunc), atol=1e-5)


def test_gae_with_lambda_one_is_the_return_minus_the_value():
    rewards, values, _, term, trunc = rollout(3, (4,), ())
    next_values = jnp.concatenate([values[1:], jnp.ones(1)])
    advantages = ma.returns.gae(
        rewards, values, next_values, term, trunc, discount=GAMMA, decay=1.0
    )
    returns = discounted(rewards, next_values, term, trunc)
    np.testing.assert_allclose(advantages, returns - values, atol=1e-5)


def test_empty_and_float64():
    empty = tuple(x[:0] for x in rollout(0))
    assert ma.returns.gae(*empty, discount=GAMMA, decay=LAMBDA).shape == (0,)
    with jax.enable_x64(True):
        rewards, values, next_values, term, trunc = rollout(0)
        wide = (
            rewards.astype(jnp.float64),
            values.astype(jnp.float64),
            next_values.astype(jnp.float64),
        )
        result = ma.returns.gae(*wide, term, trunc, discount=GAMMA, decay=LAMBDA)
        assert result.dtype == jnp.float64
        np.testing.assert_allclose(result, gae_loop(*wide, term, trunc), atol=1e-12)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"terminated": jnp.zeros(T)}, TypeError, r"terminated must be bool.*astype\(bool\)"),
        ({"rewards": jnp.zeros(T, int)}, TypeError, "rewards must be floating"),
        ({"values": jnp.zeros((T, 2))}, ValueError, r"one shape \(time,\).*jax\.vmap"),
    ],
)
def test_bad_input(change, error, message, without_hook):
    names = ("rewards", "values", "next_values", "terminated", "truncated")
    arrays = dict(zip(names, rollout(0), strict=True)) | change
    with pytest.raises(error, match=message):
        ma.returns.gae(**arrays, discount=GAMMA, decay=LAMBDA)
