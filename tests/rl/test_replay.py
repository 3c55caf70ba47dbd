"""The ring against a plain list of everything that ever happened, and what is drawn from it."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memoalg.rl import _ring, _tokens
from memoalg.rl._ring import Ring, empty_ring, episode_steps, filling, write_ring
from memoalg.rl._segments import draw_segments, gather_segments
from memoalg.rl._tape import draw_tape, gather_published_tape, gather_tape
from memoalg.rl._tokens import draw, episode_table, locate


class History:
    """Lanes of numbered steps: everything that ever happened, as lists.

    Observation i of lane e is `1000 e + i + 1`, a final observation half more than the one acted on.
    """

    def __init__(self, num_envs, longest, seed):
        self.random = np.random.default_rng(seed)
        self.longest = longest
        self.lanes = [[] for _ in range(num_envs)]
        self.left = [self._length() for _ in range(num_envs)]
        self.since = [0] * num_envs

    def _length(self):
        return int(self.random.integers(1, self.longest + 1))

    def step(self, e):
        number, first = 1000 * e + len(self.lanes[e]) + 1, self.since[e] == 0
        self.since[e] += 1
        ends = self.since[e] == self.left[e]
        cut = bool(ends and self.random.integers(2))
        row = {
            "observations": float(number),
            "following": number + (0.5 if ends else 1.0),
            "actions": number % 3,
            "rewards": -float(number),
            "terminated": bool(ends and not cut),
            "truncated": cut,
            "start": first,
            "length": self.since[e] if ends else 0,
        }
        self.lanes[e].append(row)
        if ends:
            self.since[e], self.left[e] = 0, self._length()

    def rows(self, num_steps):
        """Advance, and the new steps as rows of a ring; the carry is the number negated."""
        for e in range(len(self.lanes)):
            for _ in range(num_steps):
                self.step(e)
        new = [[lane[t] for lane in self.lanes] for t in range(-num_steps, 0)]
        field = {name: np.array([[s[name] for s in row] for row in new]) for name in new[0][0]}
        for name in ("observations", "following"):
            field[name] = field[name].astype(np.float32)[..., None]
        for name in ("actions", "length"):
            field[name] = field[name].astype(np.int32)
        field["rewards"] = field["rewards"].astype(np.float32)
        carries = jnp.asarray(-field["observations"][..., 0])
        return Ring(**{k: jnp.asarray(v) for k, v in field.items()}, carries=carries)

    def whole(self, capacity):
        """Whole episodes among the last `capacity` steps, in the order of their ends."""
        found = []
        for t in range(len(self.lanes[0])):
            for e, lane in enumerate(self.lanes):
                n = lane[t]["length"]
                if n and t - n + 1 >= len(lane) - capacity:
                    found.append((e, lane[t - n + 1 : t + 1]))
        return found


SIZES = {  # num_envs, num_steps, capacity, longest episode, writes
    "many-episodes-in-a-write": (3, 8, 16, 4, 6),
    "longer-than-a-write": (2, 2, 12, 9, 14),
    "longer-than-the-ring": (2, 4, 8, 12, 8),
}


def programs(num_envs, num_steps, capacity):
    """Write, and everything in the ring, in the order of the episodes' ends."""

    @jax.jit
    def put(ring, rows, writes):
        ring = write_ring(ring, rows, _ring.filling(writes, num_steps, capacity).head)
        state = filling(writes + 1, num_steps, capacity)
        table = episode_table(ring, state)
        number = jnp.arange(capacity * num_envs, dtype=jnp.int32)
        episodes = _tokens.locate(table, number, num_envs)
        tape = gather_tape(ring, episodes, 2 * capacity * num_envs + 1)
        return ring, table, episodes, tape

    return put


def column(values):
    return np.asarray(values)[:, 0]


def empty(num_envs, num_steps, capacity):
    return empty_ring(jax.eval_shape(lambda: History(num_envs, 3, 0).rows(num_steps)), capacity)


def assert_is_the_list(num_envs, num_steps, capacity, longest, writes):
    put = programs(num_envs, num_steps, capacity)
    history, ring = History(num_envs, longest, 0), empty(num_envs, num_steps, capacity)
    seen = 0
    for w in range(writes):
        ring, table, episodes, tape = put(ring, history.rows(num_steps), jnp.int32(w))
        wanted = history.whole(capacity)
        seen += len(wanted)
        assert int(table.total) == int(table.episodes) == len(wanted)
        np.testing.assert_array_equal(episodes.lane[: len(wanted)], [e for e, _ in wanted])
        expected = [
            (s["observations"], s["actions"], s["rewards"], s["terminated"], s["start"], True)
            if s is not None
            else (steps[-1]["following"], 0, 0.0, False, False, False)
            for _, steps in wanted
            for s in [*steps, None]
        ]
        size = len(expected)
        got = tape.observations[..., 0], tape.actions, tape.rewards, tape.terminated, tape.start
        for array, values in zip((*got, tape.mask), zip(*expected, strict=True), strict=False):
            np.testing.assert_array_equal(column(array)[:size], values)
    assert seen > 0


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_the_ring_is_the_list(sizes):
    assert_is_the_list(*sizes)


def evicted_too_late(ring, state):
    capacity = ring.length.shape[0]
    ordered = jnp.roll(ring.length, -state.head, axis=0)
    place = jnp.broadcast_to(jnp.arange(capacity)[:, None], ordered.shape).astype(jnp.int32)
    return jnp.where(ordered <= place + 2 - (capacity - state.rows), ordered, 0)


def unrolled(ring, state):
    return jnp.where(ring.length <= state.rows, ring.length, 0)


def one_write_late(writes, num_steps, capacity):
    return filling(writes + 1, num_steps, capacity)


def start_not_wrapped(table, number, num_envs):
    """Defect 8 of the paper's code: an episode's begin is stored without the wrap."""
    episodes = locate(table, number, num_envs)
    capacity = table.lengths.shape[0] // num_envs
    end = (episodes.begin + episodes.length - 1) % capacity
    return eqx.tree_at(lambda e: e.begin, episodes, jnp.maximum(end - episodes.length + 1, 0))


RING_FAULTS = {
    "evicted-one-step-late": (_tokens, "whole_lengths", evicted_too_late),
    "table-not-in-order-of-time": (_tokens, "whole_lengths", unrolled),
    "begin-not-wrapped": (_tokens, "locate", start_not_wrapped),
    "head-off-by-one-write": (_ring, "filling", one_write_late),
}


@pytest.mark.parametrize("fault", RING_FAULTS.values(), ids=RING_FAULTS)
def test_a_fault_of_the_ring_is_seen(fault, monkeypatch):
    monkeypatch.setattr(*fault)
    with pytest.raises(AssertionError):
        assert_is_the_list(*SIZES["longer-than-a-write"])


def test_numbers_of_steps_within_their_episodes():
    start = jnp.array([[False, True], [True, False], [False, False], [True, True]])
    got = episode_steps(start, jnp.array([4, 0], jnp.int32))
    np.testing.assert_array_equal(got, [[5, 1], [1, 2], [2, 3], [1, 1]])


def test_an_update_counter_near_its_end_still_finds_the_head():
    state = filling(jnp.int32(2**31 - 1), 512, 512 * 3)
    assert (int(state.head), int(state.rows)) == ((2**31 - 1) % 3 * 512, 512 * 3)


NUM_ENVS, NUM_STEPS, CAPACITY = 4, 8, 48


@pytest.fixture(scope="module")
def stored():
    """A ring that has wrapped, its filling, and the list of what ought to be in it."""
    history, ring = History(NUM_ENVS, 7, 1), empty(NUM_ENVS, NUM_STEPS, CAPACITY)
    put = jax.jit(write_ring)
    for w in range(8):
        state = filling(jnp.int32(w), NUM_STEPS, CAPACITY)
        ring = put(ring, history.rows(NUM_STEPS), state.head)
    return ring, filling(jnp.int32(8), NUM_STEPS, CAPACITY), history.whole(CAPACITY)


def chi_square(numbers, total):
    counts = np.bincount(numbers, minlength=total)
    expected = len(numbers) / total
    return float(((counts - expected) ** 2 / expected).sum()), total - 1


def numbers_of(episodes, whole):
    """Which of the listed episodes each draw is."""
    key = {(e, int(steps[0]["observations"])): i for i, (e, steps) in enumerate(whole)}
    begun = {  # lane and row of the ring -> number of the first step
        (e, (int(steps[0]["observations"]) - 1000 * e - 1) % CAPACITY): key[e, int(s)]
        for e, steps in whole
        for s in [steps[0]["observations"]]
    }
    lanes, begins = np.asarray(episodes.lane), np.asarray(episodes.begin)
    return np.array([begun[int(e), int(b)] for e, b in zip(lanes, begins, strict=True)])


def episode_draws(stored, exclude=0):
    ring, state, whole = stored

    @jax.jit
    def run(key):
        return draw(episode_table(ring, state, exclude=exclude), key, 20_000, NUM_ENVS)

    return numbers_of(run(jax.random.key(0)), whole), len(whole)


def test_episodes_are_drawn_uniformly_the_newest_included(stored):
    numbers, total = episode_draws(stored)
    statistic, freedom = chi_square(numbers, total)
    assert total > 20
    assert statistic < freedom + 4 * np.sqrt(2 * freedom)


def test_the_published_sampler_leaves_out_the_newest_two(stored):
    """Defect 7 of the paper's code, which only `faithful` asks for, and what it looks like."""
    numbers, total = episode_draws(stored, exclude=2)
    assert set(numbers) == set(range(total - 2))
    statistic, freedom = chi_square(numbers, total)
    assert statistic > freedom + 4 * np.sqrt(2 * freedom)


def test_segments_are_drawn_uniformly(stored):
    ring, state, whole = stored
    length = 3

    @jax.jit
    def run(key):
        table = episode_table(ring, state, part=length)
        return table.total, draw_segments(table, key, 20_000, NUM_ENVS)

    total, drawn = run(jax.random.key(1))
    parts = [-(-len(steps) // length) for _, steps in whole]
    assert int(total) == sum(parts)
    numbers = np.cumsum([0, *parts])[numbers_of(drawn, whole)] + np.asarray(drawn.part)
    statistic, freedom = chi_square(numbers, int(total))
    assert statistic < freedom + 4 * np.sqrt(2 * freedom)
    # Longer episodes have more segments: episodes are *not* drawn uniformly here.
    assert chi_square(numbers_of(drawn, whole), len(whole))[0] > 2 * freedom


SHORT = (20, 21, 22, 23)


@pytest.fixture(scope="module")
def tapes(stored):
    """The same episodes on tapes of several sizes, and on one as published."""
    ring, state, _ = stored

    @jax.jit
    def run(key):
        episodes = draw_tape(episode_table(ring, state), key, 21, NUM_ENVS)
        sizes = [gather_tape(ring, episodes, size) for size in SHORT]
        published = gather_published_tape(ring, episodes, 30)
        return episodes, gather_tape(ring, episodes, 41), sizes, published

    return run(jax.random.key(2))


def test_a_tape_is_cut_to_size_and_its_last_token_does_not_count(tapes):
    episodes, long, sizes, _ = tapes
    for size, tape in zip(SHORT, sizes, strict=True):
        assert tape.mask.shape == (size, 1)
        np.testing.assert_array_equal(column(tape.mask), [*column(long.mask)[: size - 1], False])
        np.testing.assert_array_equal(column(tape.observations), column(long.observations)[:size])
    ends = np.cumsum(np.asarray(episodes.length) + 1)
    np.testing.assert_array_equal(np.flatnonzero(~column(long.mask)[:40]), ends[ends <= 40] - 1)


def test_a_tape_is_always_filled():
    """Even where all episodes have one step only."""

    @jax.jit
    def run(ring, key):
        table = episode_table(ring, filling(jnp.int32(1), 4, 4))
        return gather_tape(ring, draw_tape(table, key, 9, 2), 9)

    tape = run(History(2, 1, 0).rows(4), jax.random.key(0))
    np.testing.assert_array_equal(column(tape.start), [True, False] * 4 + [True])
    np.testing.assert_array_equal(column(tape.mask), [True, False] * 4 + [False])


def test_the_published_tape_has_no_closing_tokens(tapes):
    episodes, *_, tape = tapes
    assert tape.mask.all()
    begins = np.cumsum([0, *np.asarray(episodes.length)])
    np.testing.assert_array_equal(np.flatnonzero(column(tape.start)), begins[begins < 30])
    following = np.asarray(tape.following) - np.asarray(tape.observations)
    assert set(following.ravel().tolist()) == {0.5, 1.0}


@pytest.mark.parametrize(("length", "burn_in"), [(3, 0), (3, 2), (7, 5)])
def test_segments_are_parts_of_episodes(stored, length, burn_in):
    ring, state, whole = stored

    @jax.jit
    def run(key):
        table = episode_table(ring, state, part=length)
        drawn = draw_segments(table, key, 16, NUM_ENVS)
        return drawn, gather_segments(ring, drawn, length, burn_in=burn_in)

    drawn, tokens = jax.tree.map(np.asarray, run(jax.random.key(3)))
    for r, number in enumerate(numbers_of(drawn, whole)):
        _, steps = whole[number]
        shown = [s["observations"] for s in steps] + [steps[-1]["following"]]
        first = int(drawn.part[r]) * length
        for i in range(burn_in + length + 1):
            offset = first - burn_in + i
            counts = burn_in <= i < burn_in + length and offset < len(steps)
            step = steps[offset] if counts else {"actions": 0, "rewards": 0.0, "terminated": False}
            inside = 0 <= offset <= len(steps)
            assert float(tokens.observations[i, r, 0]) == (shown[offset] if inside else 0.0)
            assert bool(tokens.start[i, r]) == (offset == 0)
            assert bool(tokens.mask[i, r]) == counts
            assert int(tokens.actions[i, r]) == step["actions"]
            assert float(tokens.rewards[i, r]) == step["rewards"]
            assert bool(tokens.terminated[i, r]) == step["terminated"]
        # The carry of the numbered ring is minus the number of the step that it was met with.
        assert float(tokens.carry[r]) == -steps[max(first - burn_in, 0)]["observations"]


def test_an_empty_ring_has_nothing_to_draw():
    @jax.jit
    def run(ring, key):
        table = episode_table(ring, filling(jnp.int32(0), 4, 8))
        return table, gather_tape(ring, draw_tape(table, key, 6, 2), 6)

    table, tape = run(empty(2, 4, 8), jax.random.key(0))
    assert int(table.total) == int(table.episodes) == 0
    assert np.isfinite(tape.observations).all()


def test_a_write_stays_one_window_under_vmap():
    """The head is the same for all seeds."""
    rows = History(2, 3, 0).rows(4)
    rings, stacked = (jax.tree.map(lambda x: jnp.stack([x, x]), r) for r in (empty(2, 4, 8), rows))

    def places(axis, head):
        mapped = jax.vmap(write_ring, in_axes=(0, 0, axis))
        equations = jax.make_jaxpr(mapped)(rings, stacked, head).jaxpr.eqns
        return {e.invars[1].aval.ndim for e in equations if e.primitive.name == "scatter"}

    # jax writes a mapped slice as a scatter of one window: at one place, or at one per seed.
    assert places(None, jnp.int32(0)) == {1}
    assert places(0, jnp.zeros(2, jnp.int32)) == {2}
