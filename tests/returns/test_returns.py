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
