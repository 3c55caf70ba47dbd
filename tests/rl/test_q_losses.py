"""The loss of Q-learning: against a loop by hand, and the same gradient from tapes and segments."""

import dataclasses
import functools
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg as ma
from memoalg.rl import _token_loss
from memoalg.rl._agent import QAgent
from memoalg.rl._dqn_config import DQNConfig
from memoalg.rl._q_losses import TDParts, greedy_values, huber, masked_mean, next_token, q_loss
from memoalg.rl._ring import Ring
from memoalg.rl._segments import gather_segments
from memoalg.rl._tape import gather_published_tape, gather_tape
from memoalg.rl._token_loss import published_loss, token_loss
from memoalg.rl._tokens import Episodes

TIME, LANES, ACTIONS = 7, 2, 3


def drawn_tokens(seed):
    random = np.random.default_rng(seed)
    shape = (TIME, LANES)
    return {
        "values": random.normal(size=(*shape, ACTIONS)).astype(np.float32),
        "target": random.normal(size=(*shape, ACTIONS)).astype(np.float32),
        "actions": random.integers(0, ACTIONS, shape).astype(np.int32),
        "rewards": random.normal(size=shape).astype(np.float32),
        "terminated": random.integers(0, 3, shape) == 0,
        "mask": random.integers(0, 3, shape) > 0,
    }


def loss_by_hand(tokens, discount, delta, double, outside):
    losses, errors = [], []
    for r in range(LANES):
        for t in range(TIME - 1):
            if not tokens["mask"][t, r]:
                continue
            judge = tokens["target"][t + 1, r]
            choice = np.argmax(tokens["values"][t + 1, r] if double else judge)
            follows = 0.0 if tokens["terminated"][t, r] else discount * judge[choice]
            error = tokens["values"][t, r, tokens["actions"][t, r]]
            error = abs(float(error - (tokens["rewards"][t, r] + follows)))
            errors.append(error)
            losses.append(error**2 / 2 if error <= delta else delta * (error - delta / 2))
    mean = float(np.mean(errors))
    if outside:
        return mean**2 / 2 if mean <= delta else delta * (mean - delta / 2), mean
    return float(np.mean(losses)), mean


@pytest.mark.parametrize("outside", [False, True], ids=["mean-of-huber", "huber-of-mean"])
@pytest.mark.parametrize("double", [False, True], ids=["single", "double"])
def test_the_loss_is_the_loop(double, outside):
    delta = 0.7
    tokens = drawn_tokens(0)
    tokens["mask"][-1] = False
    rest = {k: jnp.asarray(tokens[k]) for k in ("actions", "rewards", "terminated", "mask")}
    values, target = jnp.asarray(tokens["values"]), jnp.asarray(tokens["target"])
    following = next_token(greedy_values(values, target, double=double))
    loss, parts = q_loss(values, following, **rest, discount=0.9, delta=delta, outside=outside)
    wanted, error = loss_by_hand(tokens, 0.9, delta, double, outside)
    np.testing.assert_allclose(loss, wanted, rtol=1e-5)
    np.testing.assert_allclose(parts.td_error, error, rtol=1e-5)
    np.testing.assert_allclose(parts.real_share, tokens["mask"].mean(), rtol=1e-6)


def test_no_gradient_flows_into_the_targets_or_out_of_the_mask():
    tokens = drawn_tokens(1)
    tokens["rewards"][~tokens["mask"]] = np.nan
    tokens["target"][1:][~tokens["mask"][:-1]] = np.inf

    def loss(values, target):
        following = next_token(greedy_values(values, target))
        rest = (jnp.asarray(tokens[k]) for k in ("actions", "rewards", "terminated", "mask"))
        return q_loss(values, following, *rest, discount=0.9)[0]

    tokens["mask"][-1] = False
    value, (own, others) = jax.value_and_grad(loss, argnums=(0, 1))(
        jnp.asarray(tokens["values"]), jnp.asarray(tokens["target"])
    )
    assert np.isfinite(value)
    assert not np.any(others)
    taken = np.eye(ACTIONS, dtype=bool)[tokens["actions"]] & tokens["mask"][..., None]
    np.testing.assert_array_equal(np.asarray(own) != 0, taken)


def test_an_empty_mask_costs_nothing():
    assert float(masked_mean(jnp.full((3, 2), jnp.nan), jnp.zeros((3, 2), bool))) == 0


def test_huber_has_the_slope_of_its_bound():
    slope = jax.vmap(jax.grad(partial(huber, delta=2.0)))(jnp.array([-9.0, -1.0, 0.5, 3.0]))
    np.testing.assert_allclose(slope, [-2.0, -1.0, 0.5, 2.0])


# Tapes and segments of the same episodes.

LENGTHS = (5, 3, 6, 1, 4)
LONGEST = max(LENGTHS)
ROWS = sum(LENGTHS)
CONFIG = DQNConfig(discount=0.9, huber=0.3)


def filled_ring():
    """One lane of episodes of `LENGTHS`, every second of them truncated, all else random."""
    random = np.random.default_rng(3)
    length, terminated, start = np.zeros((ROWS, 1), np.int32), np.zeros((ROWS, 1), bool), None
    start, ends = np.zeros((ROWS, 1), bool), np.cumsum(LENGTHS) - 1
    length[ends, 0], terminated[ends[::2], 0] = LENGTHS, True
    start[np.append(0, ends[:-1] + 1), 0] = True
    observations = random.normal(size=(ROWS + 1, 1, 2)).astype(np.float32)
    following = observations[1:].copy()
    following[ends] = random.normal(size=(len(ends), 1, 2))
    fields = (
        observations[:-1],
        following,
        random.integers(0, ACTIONS, (ROWS, 1)).astype(np.int32),
        random.normal(size=(ROWS, 1)).astype(np.float32),
        terminated,
        (length > 0) & ~terminated,
        start,
        length,
    )
    return Ring(*(jnp.asarray(x) for x in fields), carries=None)


def parts_of(size):
    """All parts of all episodes, in order."""
    begins = np.cumsum([0, *LENGTHS[:-1]])
    parts = [
        (0, begin, n, part)
        for begin, n in zip(begins, LENGTHS, strict=True)
        for part in range(-(-n // size))
    ]
    return Episodes(*(jnp.asarray(x, jnp.int32) for x in zip(*parts, strict=True)))


@pytest.fixture(scope="module")
def batches():
    """All episodes of one ring, the newest included, laid out in every way."""

    @jax.jit
    def lay_out(ring):
        whole, halves = parts_of(LONGEST), parts_of(2)
        return {
            "tape": gather_tape(ring, whole, ROWS + len(LENGTHS)),
            "segments": gather_segments(ring, whole, LONGEST + 2),
            "short": gather_segments(ring, halves, 2),
            "burn-in": gather_segments(ring, halves, 2, burn_in=LONGEST),
            "published-tape": gather_published_tape(ring, whole, ROWS),
            "published-segments": gather_segments(ring, whole, LONGEST, following=True),
        }

    return lay_out(filled_ring())


@functools.cache
def networks():
    agent = QAgent("gru", width=8)
    space = ma.envs.Box(-1, 1, (2,)), ma.envs.Discrete(ACTIONS)

    @jax.jit
    def outspoken(key):
        network = agent.init(key, *space)
        # A fresh advantage head is nearly zero: all actions would be worth the same.
        return eqx.tree_at(lambda n: n.advantage.weight, network, 50 * network.advantage.weight)

    return outspoken(jax.random.key(0)), outspoken(jax.random.key(1))


def value_and_gradient(loss):
    """As one vector, of tokens."""
    online, target = networks()
    run = jax.jit(jax.value_and_grad(lambda n, tokens: loss(n, target, tokens, CONFIG)[0]))

    def joined(tokens):
        value, leaves = run(online, tokens)
        return np.concatenate([np.ravel(x) for x in (value, *jax.tree.leaves(leaves))])

    return joined


@pytest.fixture(scope="module")
def gradient():
    return value_and_gradient(token_loss)


@pytest.fixture(scope="module")
def by_segments(gradient, batches):
    return gradient(batches["segments"])


def difference(one, other):
    return np.abs(one - other).max() / np.abs(other).max()


def test_a_tape_and_whole_episodes_as_segments_have_one_gradient(batches, gradient, by_segments):
    tape, segments = batches["tape"], batches["segments"]
    assert int(tape.mask.sum()) == int(segments.mask.sum()) == ROWS
    assert tape.mask.size < segments.mask.size
    assert difference(gradient(tape), by_segments) < 1e-6


def test_shorter_segments_are_not_the_same(batches, gradient, by_segments):
    assert difference(gradient(batches["short"]), by_segments) > 1e-3


def with_(tokens, **changes):
    return eqx.tree_at(
        lambda t: [getattr(t, name) for name in changes], tokens, list(changes.values())
    )


def late_values(values):
    return values


def mean_over_all(x, mask):
    return jnp.mean(jnp.where(mask, x, 0.0))


def everywhere(tokens):
    return with_(tokens, mask=jnp.ones_like(tokens.mask))


TOKEN_FAULTS = {
    "closing-token-not-masked": ("tape", everywhere),
    "padding-not-masked": ("segments", everywhere),
    "start-flags-missing": ("tape", lambda t: with_(t, start=jnp.zeros_like(t.start))),
    "start-flags-late": ("tape", lambda t: with_(t, start=jnp.roll(t.start, 1, 0))),
    "time-limit-as-the-end": (
        "tape",
        lambda t: with_(t, terminated=t.mask & ~jnp.roll(t.mask, -1, 0)),
    ),
    "closing-token-shows-the-next-episode": (
        "tape",
        lambda t: with_(
            t,
            observations=jnp.where(
                t.mask[..., None], t.observations, jnp.roll(t.observations, -1, 0)
            ),
        ),
    ),
}


@pytest.mark.parametrize("fault", TOKEN_FAULTS.values(), ids=TOKEN_FAULTS)
def test_a_fault_of_the_tokens_is_seen(fault, batches, gradient, by_segments):
    kind, planted = fault
    assert difference(gradient(planted(batches[kind])), by_segments) > 1e-3


LOSS_FAULTS = {
    "target-from-the-same-token": ("_token_loss", "next_token", late_values),
    "mean-over-all-tokens": ("_q_losses", "masked_mean", mean_over_all),
}


@pytest.mark.parametrize("fault", LOSS_FAULTS.values(), ids=LOSS_FAULTS)
def test_a_fault_of_the_loss_is_seen(fault, batches, by_segments, monkeypatch):
    """The comparison is with the sound loss: a fault may be the same on both sides."""
    module, name, planted = fault
    monkeypatch.setattr(f"memoalg.rl.{module}.{name}", planted)
    assert difference(value_and_gradient(token_loss)(batches["tape"]), by_segments) > 1e-3


def test_the_published_losses_differ_on_the_same_episodes(batches):
    """Defect 1 of the paper's code: with it, tapes and segments do not learn the same."""
    tape_loss = value_and_gradient(partial(published_loss, segments=False))
    segment_loss = value_and_gradient(partial(published_loss, segments=True))
    tape, segments = batches["published-tape"], batches["published-segments"]
    assert difference(tape_loss(segments), tape_loss(tape)) < 1e-6
    assert difference(segment_loss(segments), tape_loss(tape)) > 0.05


def effect_of_first_observations(loss, tokens, monkeypatch):
    """Largest gradient of a target with respect to an episode's first observation."""

    def targets_alone(values, next_values, actions, rewards, terminated, mask, **settings):
        total = jnp.sum(jnp.where(mask, next_values, 0.0))
        return total, TDParts(total, total, total, total)

    monkeypatch.setattr(_token_loss, "q_loss", targets_alone)

    def of(observations):
        return loss(*networks(), with_(tokens, observations=observations), CONFIG)[0]

    effect = jax.jit(jax.grad(of))(tokens.observations)
    assert effect.any() or tokens.following is not None
    return float(jnp.abs(jnp.where(tokens.start[..., None], effect, 0.0)).max())


def test_targets_have_seen_the_first_observation(batches, monkeypatch):
    """Defect 3 of the paper's code: its second stream begins one observation late."""
    blind = partial(published_loss, segments=False)
    seen = effect_of_first_observations(token_loss, batches["tape"], monkeypatch)
    unseen = effect_of_first_observations(blind, batches["published-tape"], monkeypatch)
    assert seen > 1e-3
    assert unseen == 0


def test_burn_in_warms_up_without_gradient(batches, by_segments):
    """With the whole past as burn-in the values, not the gradients, are those of whole episodes."""

    config = dataclasses.replace(CONFIG, replay="segment", burn_in=LONGEST)
    tokens = batches["burn-in"]

    def of(observations):
        return token_loss(*networks(), with_(tokens, observations=observations), config)[0]

    loss, slopes = jax.jit(jax.value_and_grad(of))(tokens.observations)
    assert not slopes[:LONGEST].any()
    assert slopes[LONGEST:].any()
    np.testing.assert_allclose(loss, by_segments[0], rtol=1e-6)
