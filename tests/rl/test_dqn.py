"""DQN as a whole: what is stored, targets known in advance, state, branches, errors."""

import dataclasses
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg as ma
from memoalg.rl import SEED_AXES
from memoalg.rl._agent import QAgent
from memoalg.rl._dqn import DQN
from memoalg.rl._dqn_config import DQNConfig
from memoalg.rl._dqn_learn import polyak, sample, table_of
from memoalg.rl._network import Exploring
from memoalg.rl._ring import empty_ring, filling, ring_rows, write_ring
from memoalg.rl._rollout import collect, init_rollout
from memoalg.rl._token_loss import token_loss
from tests.rl.worlds import Echo, Ticker, counter

CONFIG = DQNConfig(
    num_envs=4,
    num_steps=8,
    gradient_steps=2,
    capacity=128,
    warmup_frames=64,
    batch_size=24,
    rate_warmup=3,
    target_decay=0.9,
    epsilon_frames=160,
)
AGENT = QAgent("gru", width=8)


def make(config=CONFIG, agent=AGENT, env=None):
    return DQN(Ticker() if env is None else env, None, agent, config)


@pytest.fixture(scope="module")
def algo():
    return make()


@pytest.fixture(scope="module")
def update(algo):
    return jax.jit(algo.update)


@pytest.fixture(scope="module")
def begun(algo):
    return jax.jit(algo.init)(jax.random.key(0))


@pytest.fixture(scope="module")
def run(update, begun):
    """States and metrics of the first eight updates."""
    states, metrics = [begun], []
    for _ in range(8):
        state, reported = update(states[-1])
        states, metrics = [*states, state], [*metrics, reported]
    return states, jax.tree.map(lambda *x: np.stack(x), *metrics)


def raw(tree):
    def data(x):
        typed = jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
        return np.asarray(jax.random.key_data(x) if typed else x)

    return jax.tree.map(data, tree)


def assert_equal(first, second):
    jax.tree.map(np.testing.assert_array_equal, raw(first), raw(second))


def differs(first, second):
    leaves = zip(jax.tree.leaves(raw(first)), jax.tree.leaves(raw(second)), strict=True)
    return any((a != b).any() for a, b in leaves)


def test_a_state_is_arrays_of_fixed_type(algo, begun):
    following, _ = jax.eval_shape(algo.update, begun)
    assert jax.tree.structure(begun) == jax.tree.structure(following)
    for before, after in zip(jax.tree.leaves(begun), jax.tree.leaves(following), strict=True):
        assert jax.typeof(before) == jax.typeof(after)
        assert not getattr(before, "weak_type", False)


def test_metrics(run):
    states, metrics = run
    np.testing.assert_array_equal(metrics.update, np.arange(1, 9))
    np.testing.assert_array_equal(metrics.frames, 32 * np.arange(1, 9))
    # The second update is the first to have 64 frames stored.
    np.testing.assert_array_equal(metrics.gradient_steps, [0, 2, 2, 2, 2, 2, 2, 2])
    np.testing.assert_allclose(metrics.epsilon[[0, 5, 7]], [1.0, 0.05, 0.05], rtol=1e-6)
    assert (metrics.value_loss[1:] > 0).all()
    assert (metrics.grad_norm[1:] > 0).all()
    assert metrics.value_loss[0] == metrics.grad_norm[0] == metrics.real_share[0] == 0
    # Episodes have 3 to 6 transitions and one closing token each, and the last token is cut.
    assert ((metrics.real_share[1:] > 0.7) & (metrics.real_share[1:] < 0.87)).all()
    assert int(metrics.length_sum.sum() + states[-1].rollout.episode_length.sum()) == 8 * 32
    # Until the ring is full every episode that has ended is whole.
    np.testing.assert_array_equal(
        metrics.stored_episodes[:4], np.cumsum(metrics.episodes)[:4].astype(int)
    )
    assert metrics.stored_episodes[-1] < metrics.episodes.sum()


def test_nothing_is_learned_during_the_warm_up(run):
    states, _ = run
    assert_equal(states[1].agent.params, states[0].agent.params)
    assert_equal(states[1].agent.optimizer, states[0].agent.optimizer)
    assert differs(states[2].agent.params, states[1].agent.params)
    assert differs(states[2].agent.target, states[1].agent.target)


def test_the_target_follows_slowly(run):
    states, _ = run
    first, last = states[0].agent, states[-1].agent
    moved = [
        np.abs(np.asarray(after.torso.encoder.weight - first.params.torso.encoder.weight)).max()
        for after in (last.params, last.target)
    ]
    assert 0 < moved[1] < moved[0]


def test_polyak():
    slow, fast = (
        {"a": jnp.array([1.0, 3.0]), "n": jnp.array(1)},
        {
            "a": jnp.array([3.0, 3.0]),
            "n": jnp.array(7),
        },
    )
    mixed = polyak(slow, fast, 0.75)
    np.testing.assert_array_equal(mixed["a"], [1.5, 3.0])
    assert int(mixed["n"]) == 7


def test_resume_is_exact(algo, update, run, tmp_path):
    states, _ = run
    path = tmp_path / "state.eqx"
    eqx.tree_serialise_leaves(path, jax.tree.map(_plain, states[5]))
    stored = eqx.tree_deserialise_leaves(path, jax.tree.map(_plain, states[0]))
    key = jax.random.wrap_key_data(stored.key)
    state = eqx.tree_at(lambda s: s.key, stored, key)
    for _ in range(3):
        state, _ = update(state)
    assert_equal(state, states[8])


def _plain(x):
    return jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x


# Worlds of which everything is known. `Ticker` shows the time t, pays t + 1, and ends by termination
# after an even number of steps, else by truncation. The counting network's values of its actions are
# t + 1 times a factor of each action, that of the final observation included.

FACTORS, TARGET_FACTORS = (1.0, 3.0, 2.0), (5.0, 0.5, 2.0)


def counting(algo, factors):
    network = algo.agent.init(
        jax.random.key(0), algo.env.observation_space(None), algo.env.action_space(None)
    )
    head = jnp.zeros_like(network.advantage.weight).at[0].set(jnp.array(factors))
    return eqx.tree_at(
        lambda n: (n.torso.output.weight, n.advantage.weight), network, (jnp.eye(4), head)
    )


@pytest.fixture(scope="module")
def acted():
    """Six rollouts one after the other, the length of every episode before each, and networks."""
    algo = make(agent=QAgent(counter, width=4, dueling=False, normalise=False))

    @jax.jit
    def act(key):
        networks = counting(algo, FACTORS), counting(algo, TARGET_FACTORS)
        actor = Exploring(networks[0], jnp.ones(()))
        collected = partial(collect, final_observations=True, carries=True)

        def body(state, key):
            after, record, _ = collected(actor, algo.env, None, state, key, CONFIG.num_steps)
            return after, (record, state.episode_length)

        state = init_rollout(actor, algo.env, None, CONFIG.num_envs, key)
        return networks, jax.lax.scan(body, state, jax.random.split(key, 6))[1]

    return act(jax.random.key(3))


def known_batch(acted, rows_of=ring_rows, **changes):
    """A batch from a ring that those rollouts were written to, and wrapped; and its loss."""
    config = dataclasses.replace(CONFIG, discount=0.9, **changes)
    (network, target), rollouts = acted

    @jax.jit
    def batch(rollouts, key):
        rows = jax.vmap(rows_of)(*rollouts)
        if config.carry == "zero":
            rows = eqx.tree_at(lambda r: r.carries, rows, None)
        # The last rollouts fill the ring; the earlier ones have been overwritten.
        capacity = config.lane_capacity
        empty = empty_ring(jax.eval_shape(lambda: jax.tree.map(lambda x: x[0], rows)), capacity)

        def put(carry, one):
            ring, writes = carry
            head = filling(writes, config.num_steps, capacity).head
            return (write_ring(ring, one, head), writes + 1), None

        (ring, writes), _ = jax.lax.scan(put, (empty, jnp.zeros((), jnp.int32)), rows)
        state = filling(writes, config.num_steps, capacity)
        tokens = sample(ring, table_of(ring, state, config), key, config)
        if rows_of is not ring_rows:
            return tokens, None
        return tokens, token_loss(network, target, tokens, config)[1]

    return jax.tree.map(np.asarray, batch(rollouts, jax.random.key(3))), config


def error_by_hand(tokens, config):
    """Mean absolute error over a batch, from what `Ticker` shows alone; and what was met."""
    errors, endings = [], set()
    for r in range(tokens.mask.shape[1]):
        for i in np.flatnonzero(tokens.mask[:, r]):
            time, action = float(tokens.observations[i, r, 0]), tokens.actions[i, r]
            assert float(tokens.observations[i + 1, r, 0]) == time + 1
            assert bool(tokens.start[i, r]) == (time == 0)
            assert float(tokens.rewards[i, r]) == time + 1
            last = not tokens.mask[i + 1, r] and i + 2 < len(tokens.mask)
            if config.replay == "tape" and last:
                # The closing token: an even number of steps is a termination.
                assert bool(tokens.terminated[i, r]) == (time % 2 == 1)
                endings.add(bool(tokens.terminated[i, r]))
            best = np.argmax(FACTORS if config.double else TARGET_FACTORS)
            after = 0.0 if tokens.terminated[i, r] else TARGET_FACTORS[best] * (time + 2)
            value = FACTORS[action] * (time + 1)
            errors.append(abs(value - (time + 1 + config.discount * after)))
    return np.mean(errors), endings


@pytest.mark.parametrize("double", [True, False], ids=["double", "single"])
def test_targets_are_those_of_a_loop_that_knows_every_value(double, acted):
    (tokens, parts), config = known_batch(acted, double=double, batch_size=100)
    wanted, endings = error_by_hand(tokens, config)
    assert endings == {True, False}, "an ending is missing: the probe is blind"
    np.testing.assert_allclose(parts.td_error, wanted, rtol=1e-5)


def test_a_segment_continues_from_its_stored_carry(acted):
    (tokens, parts), config = known_batch(
        acted, replay="segment", carry="stored", segment_length=2, batch_size=60
    )
    first = tokens.observations[0, :, 0]
    assert set(first.tolist()) == {0.0, 2.0, 4.0}, "a part is missing: the probe is blind"
    # The counter's carry is the number of steps before; a start flag makes it 0.
    np.testing.assert_array_equal(np.where(first == 0, 0, tokens.carry), first)
    np.testing.assert_allclose(parts.td_error, error_by_hand(tokens, config)[0], rtol=1e-5)


def test_a_segment_behind_a_burn_in_knows_its_past(acted):
    (tokens, parts), config = known_batch(
        acted, replay="segment", burn_in=6, segment_length=2, batch_size=60
    )
    np.testing.assert_allclose(parts.td_error, error_by_hand(tokens, config)[0], rtol=1e-5)


def next_observation_instead(rollout, length_before):
    """Where an episode ended, the next one's first observation is stored."""
    shown = rollout.observations[1:]
    return ring_rows(eqx.tree_at(lambda r: r.final_observations, rollout, shown), length_before)


def time_limit_as_the_end(rollout, length_before):
    ended = rollout.terminated | rollout.truncated
    return ring_rows(eqx.tree_at(lambda r: r.terminated, rollout, ended), length_before)


def forgotten_length(rollout, length_before):
    """Episodes that began in an earlier rollout are recorded too short."""
    return ring_rows(rollout, jnp.zeros_like(length_before))


STORING_FAULTS = {
    "next-observation-for-the-final-one": next_observation_instead,
    "time-limit-as-the-end": time_limit_as_the_end,
    "length-before-the-rollout-forgotten": forgotten_length,
}


@pytest.mark.parametrize("planted", STORING_FAULTS.values(), ids=STORING_FAULTS)
def test_a_fault_of_storing_is_seen(planted, acted):
    (tokens, _), config = known_batch(acted, planted, batch_size=100)
    with pytest.raises(AssertionError):
        error_by_hand(tokens, config)


def test_without_a_whole_episode_nothing_is_learned(update, run):
    """`Ticker` made endless: what was stored is overwritten, and no episode ends any more."""
    states, _ = run
    endless = jnp.full(CONFIG.num_envs, 10_000, jnp.int32)
    state = eqx.tree_at(lambda s: s.rollout.env_state.limit, states[-1], endless)
    reports, before, metrics = [], None, run[1]
    for _ in range(6):
        before = state.agent
        state, metrics = update(state)
        reports.append((int(metrics.stored_episodes), int(metrics.gradient_steps)))
    assert reports[0] != (0, 0)
    assert reports[-1] == (0, 0)
    assert float(metrics.value_loss) == 0
    assert before is not None
    for part in ("params", "target", "optimizer"):
        assert_equal(getattr(state.agent, part), getattr(before, part))


def branches(jaxpr):
    """All `cond` equations, nested ones included."""
    found = []
    for equation in jaxpr.eqns:
        if equation.primitive.name == "cond":
            found.append(equation)
        for value in jax.tree.leaves(list(equation.params.values())):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                found += branches(inner)
    return found


def learns(equation):
    """Whether a branch has gradient steps in it: a loop over them."""
    return any("scan[" in str(branch) for branch in equation.params["branches"])


def test_waiting_stays_a_branch_under_vmap_over_seeds(algo, begun):
    def seeds(axes):
        stacked = jax.tree.map(lambda x: jnp.stack([x, x]), begun)
        if axes is SEED_AXES:
            stacked = eqx.tree_at(lambda s: s.shared, stacked, begun.shared)
        mapped = jax.vmap(algo.update, in_axes=(axes,), out_axes=(axes, 0))
        return [e for e in branches(jax.make_jaxpr(mapped)(stacked).jaxpr) if learns(e)]

    assert len(seeds(SEED_AXES)) == 1
    assert not seeds(0), "counters per seed must lose the branch: the probe is blind"


def test_hyper_parameters_may_be_traced(algo, begun, without_hook):
    def one(rate, discount, epsilon):
        swept = algo.with_config(learning_rate=rate, discount=discount, epsilon=epsilon)
        return swept.update(begun)[1]

    shapes = jax.eval_shape(jax.vmap(one), *(jnp.ones(3) for _ in range(3)))
    assert shapes.value_loss.shape == (3,)


KINDS = {
    "segment": {"replay": "segment", "segment_length": 4},
    "segment-burn-in": {"replay": "segment", "segment_length": 4, "burn_in": 3},
    "segment-stored": {"replay": "segment", "segment_length": 4, "carry": "stored"},
    "segment-stored-burn-in": {
        "replay": "segment",
        "segment_length": 4,
        "carry": "stored",
        "burn_in": 2,
    },
    "published-tape": {"faithful": True},
    "published-segment": {"faithful": True, "replay": "segment", "segment_length": 4},
}


TRACED = ("segment-stored-burn-in", "published-tape", "published-segment")


@pytest.mark.parametrize("changes", [KINDS[kind] for kind in TRACED], ids=TRACED)
def test_every_kind_of_replay_has_an_update(changes):
    algo = make(dataclasses.replace(CONFIG, **changes))
    state = jax.eval_shape(algo.init, jax.random.key(0))
    assert jax.eval_shape(algo.update, state)[0].agent.replay == state.agent.replay


@pytest.mark.slow
@pytest.mark.parametrize("changes", KINDS.values(), ids=KINDS)
def test_every_kind_of_replay_learns(changes):
    algo = make(dataclasses.replace(CONFIG, **changes))
    _, metrics = jax.jit(algo.train, static_argnums=1)(jax.random.key(0), 256)
    assert np.isfinite(metrics.value_loss).all()
    assert (metrics.value_loss[1:] > 0).all()
    assert (metrics.gradient_steps[1:] == 2).all()


@pytest.mark.slow
def test_train_is_the_loop_of_updates_bit_for_bit(algo, run):
    state, metrics = jax.jit(algo.train, static_argnums=1)(jax.random.key(0), 8 * 32 - 5)
    assert_equal(state, run[0][-1])
    assert_equal(metrics, run[1])


@pytest.mark.slow
def test_a_seed_among_several_is_the_run_alone(algo, run):
    keys = jnp.stack([jax.random.key(0), jax.random.key(1)])
    state = jax.vmap(algo.init, out_axes=SEED_AXES)(keys)
    mapped = jax.jit(jax.vmap(algo.update, in_axes=(SEED_AXES,), out_axes=(SEED_AXES, 0)))
    for wanted in run[0][1:4]:
        state, _ = mapped(state)
        first = jax.tree.map(lambda x: x[0], state.agent.params)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), first, wanted.agent.params
        )


@pytest.mark.slow
def test_a_tape_teaches_ffm_to_repeat_the_first_card():
    env, params = ma.envs.make("popgym/RepeatFirstEasy")
    # The gates of an FFM see the present observation alone: it must say that it is the first.
    algo = DQN(ma.envs.EpisodeStart(env), params, QAgent("ffm"), DQNConfig())
    state, _ = jax.jit(algo.train, static_argnums=1)(jax.random.key(0), 40_000)
    played = algo.evaluate(state, jax.random.key(1), 64, max_steps=64)
    assert played.complete.all()
    assert float(played.returns.mean()) >= 0.9


ERRORS = {
    "capacity-no-multiple": ({"capacity": 100}, r"capacity=100 is no multiple .* = 32; write"),
    "tape-with-burn-in": ({"burn_in": 2}, "write replay='segment'"),
    "tape-with-stored-carries": ({"carry": "stored"}, "write replay='segment'"),
    "published-with-stored": (
        {"replay": "segment", "segment_length": 4, "carry": "stored", "faithful": True},
        "or write faithful=False",
    ),
    "no-room-for-a-segment": (
        {"replay": "segment", "segment_length": 25},
        "write batch_size as a multiple",
    ),
    "tape-of-one-token": ({"batch_size": 1}, "write at least 2"),
    "unknown-replay": ({"replay": "ring"}, "replay must be 'tape' or 'segment'"),
    "epsilon-out-of-range": ({"epsilon": 1.5}, r"epsilon must lie in \[0, 1\]"),
    "no-gradient-steps": ({"gradient_steps": 0}, "gradient_steps must be an int of at least 1"),
}


@pytest.mark.parametrize(("changes", "message"), ERRORS.values(), ids=ERRORS)
def test_settings_that_contradict_are_refused(changes, message, without_hook):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(CONFIG, **changes)


LIMITS = {
    "wrapper": lambda: ma.envs.TimeLimit(Ticker(), 40),
    "parameter": lambda: ma.envs.make("popgym/PositionOnlyCartPoleEasy")[0],
}


@pytest.mark.parametrize("env", LIMITS.values(), ids=LIMITS)
def test_a_lane_shorter_than_the_time_limit_is_refused(env):
    env = env()
    algo = DQN(env, env.default_params(), AGENT, CONFIG)
    with pytest.raises(ValueError, match=r"may have (40|200) steps, .* holds .* = 32, .* at least"):
        jax.eval_shape(algo.init, jax.random.key(0))


def test_a_tape_that_would_cut_every_long_episode_is_refused():
    env = ma.envs.TimeLimit(Ticker(), 20)
    config = dataclasses.replace(CONFIG, replay="tape", batch_size=20)
    with pytest.raises(ValueError, match=r"a tape of batch_size=20 .* batch_size of at least 21"):
        jax.eval_shape(DQN(env, env.default_params(), AGENT, config).init, jax.random.key(0))
    enough = dataclasses.replace(config, batch_size=21)
    jax.eval_shape(DQN(env, env.default_params(), AGENT, enough).init, jax.random.key(0))


def test_continuous_actions_are_refused():
    with pytest.raises(TypeError, match="Discrete"):
        make(env=Echo())
