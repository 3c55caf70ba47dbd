"""RoomMemory: the map, the view, the fork, exact returns."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import anchors_dials as exact
from memoalg.envs.tasks._room_memory import EAST, NORTH, SOUTH, WEST, RoomMemory, RoomMemoryState

from .dial_play import agrees, play
from .task_kit import chi_squared, limit

KEY = jax.random.key(6)
MOVE = jax.jit(lambda env, state, action, params: env.transition(KEY, state, action, params))

# Drawn by hand: rows -3..3, columns -2..8 of a corridor of 2; o the room's object, N and S the ends.
MAP = [
    "###########",
    "###########",
    "##o..##N###",
    "##......###",
    "##...##S###",
    "###########",
    "###########",
]


def at(row: int, column: int, cue: bool = True, north: bool = True, time: int = 0):
    place, clock = jnp.asarray([row, column], jnp.int32), jnp.asarray(time, jnp.int32)
    return RoomMemoryState(place[0], place[1], jnp.asarray(cue), jnp.asarray(north), clock)


def drawn(row: int, column: int, reach: int, cue: bool, north: bool) -> list[int]:
    """What is seen from a cell, cut out of the map."""
    key_or_ball = {True: 2, False: 3}
    kinds = {"#": 0, ".": 1, "o": key_or_ball[cue], "N": key_or_ball[north]}
    kinds["S"] = key_or_ball[not north]
    rows = MAP[row + 3 - reach : row + 4 + reach]
    return [kinds[c] for line in rows for c in line[column + 2 - reach : column + 3 + reach]]


FREE = [(r, c) for r in (-1, 0, 1) for c in range(6) if MAP[r + 3][c + 2] == "."]


@pytest.mark.parametrize("view", [3, 5])
@pytest.mark.parametrize("cue", [False, True])
@pytest.mark.parametrize("north", [False, True])
def test_every_move_from_every_cell(view, cue, north):
    """Against the drawn map: where it leads, what is seen, what it pays."""
    env = RoomMemory(2, view)
    params = env.default_params()
    for row, column in FREE:
        for action, (down, right) in {
            NORTH: (-1, 0),
            EAST: (0, 1),
            SOUTH: (1, 0),
            WEST: (0, -1),
        }.items():
            to = row + down, column + right
            cell = MAP[to[0] + 3][to[1] + 2]
            to = (row, column) if cell in "#o" else to
            seen, state, reward, terminated, truncated = MOVE(
                env, at(row, column, cue, north), jnp.asarray(action, jnp.int32), params
            )
            assert (int(state.row), int(state.column)) == to
            assert seen.tolist() == drawn(*to, view // 2, cue, north)
            assert bool(terminated) == (cell in "NS")
            assert float(reward) == (
                (cell == "N" and cue == north) or (cell == "S" and cue != north)
            )
            assert not truncated


SETTINGS = [(1, 3, 40), (5, 3, 150), (5, 5, 150)]


@pytest.mark.parametrize("setting", SETTINGS)
def test_returns_are_those_of_the_formulas(setting):
    size, _, steps = setting
    random, oracle = play(RoomMemory(*setting), steps)
    expected = exact.room_memory(size, steps)
    assert np.all(oracle.returns == expected.optimal)
    assert oracle.lengths.max() == size + 5
    assert agrees(random.returns, expected.random)
    assert set(np.unique(random.rewards)) == {0.0, 1.0}


def test_without_the_cue_a_guess_is_right_half_of_the_time():
    """The oracle that takes every cue for a key, from each of the 32 starts."""
    env = RoomMemory(3)
    params, total = env.default_params(), 0.0
    starts = [cell for cell in FREE if cell[1] < 3]
    for row, column in starts:
        for cue in (False, True):
            for north in (False, True):
                state, over = at(row, column, cue, north), False
                while not over:
                    action = env.oracle(at(int(state.row), int(state.column), True, north), params)
                    _, state, reward, over, _ = MOVE(env, state, action, params)
                    total += float(reward)
    assert total / (4 * len(starts)) == exact.room_memory(3, 1).memoryless


def test_starts_and_objects_are_uniform():
    random, _ = play(RoomMemory(*SETTINGS[1]), SETTINGS[1][2])
    start = jax.tree.map(lambda leaf: leaf[:, 0].astype(int), random.before)
    cell = 3 * (start.row + 1) + start.column
    assert not np.any(cell == 0)
    code = 4 * (cell - 1) + 2 * start.cue + start.north
    assert chi_squared(code, np.full(32, 1 / 32)) < limit(31)


@pytest.mark.parametrize(("view", "last"), [(3, 1), (5, 2)])
def test_the_cue_is_out_of_sight_in_the_corridor(view, last):
    """It is seen up to column `last` of the middle row and nowhere later."""
    env = RoomMemory(6, view)
    params, east = env.default_params(), jnp.asarray(EAST, jnp.int32)

    def seen(column, cue):
        return MOVE(env, at(0, column - 1, cue), east, params)[0].tolist()

    depends = [column for column in range(1, 8) if seen(column, True) != seen(column, False)]
    assert depends == list(range(1, last + 1))


def test_a_time_limit_truncates():
    env = RoomMemory(5, 3, 15)
    params = env.default_params()
    *_, terminated, truncated = MOVE(env, at(0, 1, time=14), jnp.asarray(EAST, jnp.int32), params)
    assert (bool(terminated), bool(truncated)) == (False, True)


BAD = {
    "size 0": (lambda: RoomMemory(0), "size=.* from 1 to 1000000, got 0"),
    "view 4": (lambda: RoomMemory(5, 4), r"view=.* must be 3 or 5, got 4"),
    "a limit too short": (lambda: RoomMemory(5, 3, 14), "max_steps=.* from 15 to .* got 14"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_are_explained(case, without_hook):
    build, message = BAD[case]
    with pytest.raises((TypeError, ValueError), match=message):
        build()
