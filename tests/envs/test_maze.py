"""The maze generator: perfect mazes with the law of mazelib's HuntAndKill, at once or in parts."""

import functools
import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memoalg.envs.tasks._hunt_and_kill import (
    add_room,
    add_rooms,
    begin,
    finish,
    is_finished,
    num_rooms,
)
from memoalg.envs.tasks._labyrinth import enter
from memoalg.envs.tasks._maze import add_cell, has_cell, towards

from .labyrinths import WAYS, distances, is_perfect, room_degrees, to_bits, to_cells


def at_once(key, side):
    uniforms = jax.random.uniform(key, (num_rooms(side),), jnp.float32)
    return add_rooms(uniforms[1:], begin(uniforms[0], side)).grid


def at_the_end(key, side):
    """All but the first room in the loop that ends short episodes."""
    uniform = jax.random.uniform(jax.random.fold_in(key, 0), (), jnp.float32)
    return finish(key, begin(uniform, side), jnp.ones((), bool)).grid


def in_parts(key, side):
    """Five rooms one by one, the rest in the loop."""
    uniforms = jax.random.uniform(jax.random.fold_in(key, 0), (5,), jnp.float32)
    maze = add_rooms(uniforms[1:], begin(uniforms[0], side))
    return finish(key, maze, jnp.ones((), bool)).grid


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _ours(method, side, count):
    return jax.vmap(method, (0, None))(jax.random.split(jax.random.key(5), count), side)


def ours(method, side: int, count: int) -> np.ndarray:
    return to_cells(_ours(method, side, count), side)


@functools.cache
def reference(name: str, side: int, count: int) -> np.ndarray:
    """Mazes by one of mazelib's algorithms; only those that it finished."""
    pytest.importorskip("mazelib", exc_type=ImportError)
    module, *order = name.split(" ")
    algorithm = vars(pytest.importorskip(f"mazelib.generate.{module}"))[module]
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002 (mazelib draws from it)
    mazes = np.stack([algorithm(side // 2, side // 2, *order).generate() for _ in range(count)])
    return mazes[(mazes[:, 1::2, 1::2] == 0).all((1, 2))] == 0


# A 3 x 3 maze is one of 192 trees: the law can be compared whole.


def excess(first: np.ndarray, second: np.ndarray) -> float:
    """How far two samples of trees are apart: chi-squared, in its standard deviations."""
    counts = np.stack([tree_counts(first), tree_counts(second)]).astype(float)
    counts = counts[:, counts.sum(0) > 0]
    expected = counts.sum(1, keepdims=True) * counts.sum(0) / counts.sum()
    degrees = counts.shape[1] - 1
    statistic = ((counts - expected) ** 2 / expected).sum()
    return float((statistic - degrees) / np.sqrt(2 * degrees))


def tree_counts(mazes: np.ndarray) -> np.ndarray:
    doors = np.concatenate(
        [mazes[:, 1::2, 2:-1:2].reshape(-1, 6), mazes[:, 2:-1:2, 1::2].reshape(-1, 6)], 1
    )
    return np.bincount(doors @ (1 << np.arange(12)), minlength=1 << 12)


@pytest.mark.parametrize("method", [at_once, at_the_end, in_parts])
def test_the_law_is_the_originals(method):
    mazes = ours(method, 7, 20_000)
    theirs = reference("HuntAndKill", 7, 8_000)
    assert abs(excess(mazes, theirs)) < 4


@pytest.mark.parametrize(
    "wrong", ["HuntAndKill serpentine", "BacktrackingGenerator", "Prims", "Wilsons"]
)
def test_another_algorithm_is_refused(wrong):
    assert excess(ours(at_once, 7, 20_000), reference(wrong, 7, 3_000)) > 10


def features(mazes: np.ndarray) -> dict[str, np.ndarray]:
    """Numbers of one maze each: rooms with 1, 3, 4 doors, straight rooms, the way between corners."""
    degrees = room_degrees(mazes)
    up, down = mazes[:, 0:-2:2, 1::2], mazes[:, 2::2, 1::2]
    left, right = mazes[:, 1::2, 0:-2:2], mazes[:, 1::2, 2::2]
    straight = (degrees == 2) & ((up & down) | (left & right))
    side = mazes.shape[-1]
    ways = [distances(maze, (1, 1))[side - 2, side - 2] for maze in mazes[:250]]
    return {
        "dead ends": (degrees == 1).sum((1, 2)),
        "three doors": (degrees == 3).sum((1, 2)),
        "four doors": (degrees == 4).sum((1, 2)),
        "straight": straight.sum((1, 2)),
        "dead corners": (degrees[:, [0, 0, -1, -1], [0, -1, 0, -1]] == 1).sum(1),
        "way": np.array(ways),
    }


def scores(first: np.ndarray, second: np.ndarray) -> dict[str, float]:
    """z of the difference of the means of every feature."""
    a, b = features(first), features(second)
    return {name: float((a[name].mean() - b[name].mean()) / _error(a[name], b[name])) for name in a}


def _error(a: np.ndarray, b: np.ndarray) -> float:
    return np.sqrt(a.var() / len(a) + b.var() / len(b)) + 1e-9


@pytest.mark.parametrize(
    ("method", "side"), [(at_once, 11), (at_once, 15), (at_once, 19), (at_the_end, 19)]
)
def test_large_mazes_look_like_the_originals(method, side):
    mazes = ours(method, side, 4_000)
    assert all(is_perfect(maze) for maze in mazes[:20])
    z = scores(mazes, reference("HuntAndKill", side, 1_500))
    assert all(abs(score) < 4 for score in z.values()), z


@pytest.mark.parametrize(
    "wrong", ["HuntAndKill serpentine", "BacktrackingGenerator", "Prims", "Wilsons"]
)
def test_large_mazes_of_another_algorithm_are_refused(wrong):
    z = scores(ours(at_once, 15, 4_000), reference(wrong, 15, 1_000))
    assert any(abs(score) > 6 for score in z.values()), z


def test_an_imperfect_maze_is_noticed():
    maze = ours(at_once, 11, 4_000)[0]
    for place in np.argwhere(maze):
        broken = maze.copy()
        broken[tuple(place)] = False
        assert not is_perfect(broken)
    walls = np.argwhere(~maze[1:-1, 1:-1]) + 1
    for place in walls:
        broken = maze.copy()
        broken[tuple(place)] = True
        assert not is_perfect(broken)


@pytest.mark.parametrize("side", [7, 31])
def test_one_room_a_call_and_then_nothing(side):
    """Also at the widest grid, whose last column is the last bit."""
    uniforms = jax.random.uniform(jax.random.key(3), (num_rooms(side) + 20,), jnp.float32)
    step = jax.jit(lambda maze, uniform: (add_room(uniform, maze), maze))
    last, mazes = jax.lax.scan(step, begin(uniforms[0], side), uniforms[1:])
    grids, total = to_cells(mazes.grid, side), num_rooms(side)
    rooms = grids[:, 1::2, 1::2].sum((1, 2))
    assert np.array_equal(rooms, np.minimum(np.arange(1, len(rooms) + 1), total))
    assert np.array_equal(mazes.rooms, rooms)
    assert np.array_equal(grids.sum((1, 2)), 2 * rooms - 1)
    assert bool(is_finished(last))
    assert is_perfect(to_cells(last.grid, side))


@pytest.mark.parametrize("extreme", [0.0, float(1 - 2**-24)])
def test_extreme_numbers_make_mazes_too(extreme):
    """U(0, 1) includes 0, and its largest value must not choose something outside."""
    uniforms = jnp.full((num_rooms(19) - 1,), extreme, jnp.float32)
    maze = jax.jit(add_rooms)(uniforms, begin(uniforms[0], 19))
    assert is_perfect(to_cells(maze.grid, 19))


def test_unwanted_mazes_stay_as_they_are():
    begin_all = jax.jit(jax.vmap(begin, (0, None)), static_argnums=1)
    begun = begin_all(jnp.linspace(0, 0.99, 8, dtype=jnp.float32), 11)
    wanted = jnp.arange(8) % 2 == 0
    after = jax.jit(jax.vmap(finish))(jax.random.split(jax.random.key(0), 8), begun, wanted)
    assert np.array_equal(after.rooms == num_rooms(11), wanted)
    assert np.array_equal(after.grid[1::2], begun.grid[1::2])


def entrances(count: int) -> np.ndarray:
    """Start and goal of our mazes: y, x, y, x."""
    uniforms = jax.random.uniform(jax.random.key(2), (count, 2), jnp.float32)
    begin_all = jax.jit(jax.vmap(enter, (0, None, None)), static_argnums=2)
    state = begin_all(uniforms, jnp.zeros((11,), jnp.int32), True)
    return np.concatenate([state.start, state.goal], 1)


def entrances_of_reference(count: int) -> np.ndarray:
    maze = pytest.importorskip("mazelib", exc_type=ImportError).Maze()
    maze.grid = np.ones((11, 11), np.int8)
    random.seed(2)
    found = []
    for _ in range(count):
        maze.generate_entrances(start_outer=True)
        found.append((*maze.start, *maze.end))
    return np.array(found)


def uniformity(places: np.ndarray) -> float:
    """Chi-squared against 100 equally likely pairs of places, in standard deviations."""
    pairs = [
        pair
        for near in range(1, 11, 2)
        for far in range(1, 11, 2)
        for pair in (
            (0, near, 10, far),
            (10, near, 0, far),
            (near, 0, far, 10),
            (near, 10, far, 0),
        )
    ]
    counts = np.array([(places == pair).all(1).sum() for pair in pairs])
    # A pair that is none of these must not be overlooked.
    expected = len(places) / 100
    stray = len(places) - counts.sum()
    statistic = ((counts - expected) ** 2 / expected).sum() + stray * len(places)
    return float((statistic - 99) / np.sqrt(2 * 99))


def test_entrances_are_uniform_as_the_originals():
    assert abs(uniformity(entrances(10_000))) < 4
    assert abs(uniformity(entrances_of_reference(5_000))) < 4


@pytest.mark.parametrize("wrong", ["opposite", "one side", "inside"])
def test_other_entrances_are_refused(wrong):
    places = entrances(10_000)
    y, x = places[:, 0], places[:, 1]
    changed = {
        "opposite": np.stack([y, x, np.where(y % 10, y, 10 - y), np.where(x % 10, x, 10 - x)], 1),
        "one side": places[y == 0],
        "inside": np.clip(places, 1, 9),
    }[wrong]
    assert uniformity(changed) > 10


def test_towards_is_a_step_on_a_shortest_way():
    maze = ours(at_once, 11, 4_000)[0]
    goal, decoy = (9, 9), (1, 5)
    targets = np.zeros_like(maze)
    targets[goal] = targets[decoy] = True
    steps = np.minimum(distances(maze, goal), distances(maze, decoy))
    places = np.argwhere(steps > 0).astype(np.int32)
    actions = jax.jit(jax.vmap(towards, (None, None, 0, 0)))(
        to_bits(maze), to_bits(targets), places[:, 0], places[:, 1]
    )
    after = places + WAYS[np.asarray(actions)]
    assert np.array_equal(steps[tuple(after.T)], steps[tuple(places.T)] - 1)


def test_towards_nowhere_is_an_action():
    free = jnp.asarray(to_bits(ours(at_once, 11, 4_000)[0]))
    one = jnp.ones((), jnp.int32)
    assert int(jax.jit(towards)(free, jnp.zeros_like(free), one, one)) == 0


def test_cells_outside_are_not_there():
    grid = add_cell(jnp.zeros((7,), jnp.int32), jnp.asarray(6), jnp.asarray(6))
    assert bool(has_cell(grid, jnp.asarray(6), jnp.asarray(6)))
    for y in (-1, 7):
        assert not has_cell(grid, jnp.asarray(y), jnp.asarray(6))
        assert np.array_equal(add_cell(grid, jnp.asarray(y), jnp.asarray(3)), grid)
