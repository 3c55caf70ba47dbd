"""Both labyrinths against popgym, step by step; mazes that are built while another is walked."""

import functools
import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

import memoalg.envs as envs
from memoalg.envs.tasks._labyrinth import no_action, observe
from memoalg.envs.tasks._labyrinth_escape import LabyrinthEscape
from memoalg.envs.tasks._labyrinth_explore import LabyrinthExplore

from .labyrinths import (
    START,
    WALL,
    distances,
    follow_the_wall,
    from_original,
    is_perfect,
    oracle_actions,
    to_cells,
)
from .replay import Episode, differences, record

LIMIT = 1023
CLASSES = {"Explore": LabyrinthExplore, "Escape": LabyrinthEscape}
CASES = [(family, level) for family in CLASSES for level in ("Easy", "Medium", "Hard")]
KEY = jax.random.key(0)


def original(family: str, maze_dims: int = 10, episode_length: int = 1024):
    """popgym's environment, without its advice not to use it."""
    pytest.importorskip("mazelib", exc_type=ImportError)
    module = pytest.importorskip(f"popgym.envs.labyrinth_{family.lower()}", exc_type=ImportError)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return vars(module)[f"Labyrinth{family}"]((maze_dims, maze_dims), episode_length)


def of_level(family: str, level: str):
    """popgym's environment and ours, of a level."""
    arguments = CLASSES[family].levels[("Easy", "Medium", "Hard").index(level)]
    return original(family, *arguments), CLASSES[family](*arguments)


class Random:
    def __init__(self, seed: int):
        self.generator = np.random.default_rng(seed)

    def __call__(self, env, observation) -> int:
        return int(self.generator.integers(4))


class Oracle:
    """Our oracle's actions from popgym's first state."""

    def __init__(self, ours):
        self.ours, self.actions = ours, None

    def __call__(self, env, observation) -> int:
        if self.actions is None:
            self.actions = iter(oracle_actions(self.ours, from_original(env), LIMIT))
        return int(next(self.actions))


def wall(env, observation) -> int:
    return follow_the_wall(observation)


def stay(env, observation) -> int:
    """Against the nearest wall, for ever."""
    y, x = env.position
    cells = np.pad(env.maze.grid, 1, constant_values=WALL)
    ways = (cells[y + 1, x], cells[y + 1, x + 2], cells[y, x + 1], cells[y + 2, x + 1])
    return ways.index(WALL)


POLICIES = {
    "oracle": lambda ours, seed: Oracle(ours),
    "random": lambda ours, seed: Random(seed),
    "wall": lambda ours, seed: wall,
    "stay": lambda ours, seed: stay,
}


@jax.jit
def walk_on(env, state, actions):
    """What a state shows at first, and what follows these actions."""
    params = env.default_params()

    def body(state, action):
        observation, state, *outcome = env.transition(KEY, state, action, params)
        return state, (observation, *outcome)

    return observe(state, no_action()), jax.lax.scan(body, state, actions)[1]


def compare(reference, ours, seed: int, policy) -> tuple[list[str], Episode]:
    """Differences between popgym's episode and ours from the same state; popgym's episode."""
    states = []

    def look(env):
        if not states:
            states.append(from_original(env))
        return np.zeros(0)

    episode, actions, _ = record(reference, seed, policy, look)
    padded = np.zeros(LIMIT, np.int32)  # one length for all: one program
    padded[: len(actions)] = actions
    first, steps = walk_on(ours, states[0], padded)
    steps = jax.tree.map(lambda leaf: np.asarray(leaf)[: len(actions)], steps)
    return differences(episode, Episode(first, *steps)), episode


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(("family", "level"), CASES)
def test_every_step_equals_the_original(family, level, policy):
    reference, ours = of_level(family, level)
    for seed in range(3):
        wrong, episode = compare(reference, ours, seed, POLICIES[policy](ours, seed))
        assert not wrong, (seed, wrong)
        # Only who knows where to go gets there; who stays is cut by the time limit.
        assert bool(episode.terminated[-1]) or policy in ("random", "stay")
        assert len(episode.rewards) == LIMIT or policy != "stay"


@pytest.mark.parametrize("family", CLASSES)
def test_starts_in_every_wall_equal_the_original(family):
    """The window lies differently in the upper and in the left wall."""
    reference, ours = of_level(family, "Easy")
    walls = set()
    for seed in range(12):
        wrong, _ = compare(reference, ours, seed, wall)
        assert not wrong, (seed, wrong)
        y, x = reference.maze.start
        walls.add((y == 0, y == 10, x == 0, x == 10))
    assert len(walls) == 4


@pytest.mark.parametrize("family", CLASSES)
@pytest.mark.parametrize("arguments", [(6, 1024), (30, 1024), (10, 2), (10, 40)])
def test_other_arguments_equal_the_original(family, arguments):
    ours = CLASSES[family](*arguments)
    for policy in ("oracle", "random"):
        wrong, _ = compare(original(family, *arguments), ours, 3, POLICIES[policy](ours, 3))
        assert not wrong, (policy, wrong)


@pytest.mark.parametrize("family", CLASSES)
def test_the_last_step_has_both_flags(family):
    free = compare(original(family), CLASSES[family](), 0, Oracle(CLASSES[family]()))[1]
    limit = len(free.rewards) + 1
    ours = CLASSES[family](10, limit)
    wrong, episode = compare(original(family, 10, limit), ours, 0, Oracle(ours))
    assert not wrong
    assert episode.terminated[-1]
    assert episode.truncated[-1]


# Faults, planted: the comparison must see each of them.


class Faulty(eqx.Module):
    """A labyrinth with one mistake; a number says which, so that all are one program."""

    env: LabyrinthExplore | LabyrinthEscape
    number: Array

    def default_params(self):
        return self.env.default_params()

    def transition(self, key, state, action, params):
        has = dict(zip(FAULTS, self.number == jnp.arange(len(FAULTS)), strict=True))
        wrong_way = jnp.where(has["rows for columns"], action ^ 2, action)
        shown, after, reward, terminated, truncated = self.env.transition(
            key, state, wrong_way, params
        )
        window, last = shown[:9].reshape(3, 3), jnp.where(has["no last action"], 4, shown[9:])
        window = jnp.where(has["start not shown"], window % START, window)
        at_border = (after.position == 0) & has["always in the middle"]
        window = jnp.where(at_border[0], jnp.roll(window, 1, 0), window)
        window = jnp.where(at_border[1], jnp.roll(window, 1, 1), window)
        reward = jnp.where(has["the start counts"] & (reward > 0), 1 / 50, reward)
        reward = jnp.where(has["the exit costs nothing"] & terminated, 1.0, reward)
        left = jax.lax.population_count(after.free & ~after.explored).sum()
        terminated |= has["done when one is left"] & (left <= 1)
        terminated |= has["truncation as termination"] & truncated
        terminated &= ~has["never done"]
        late = has["one step longer"] & (after.time < params.episode_length)
        truncated &= ~(has["truncation as termination"] | late)
        observation = jnp.concatenate([window.reshape(9), last])
        return observation, after, reward, terminated, truncated


FAULTS = {
    "one step longer": ("Escape", "stay", "truncated"),
    "truncation as termination": ("Explore", "stay", "truncated"),
    "rows for columns": ("Explore", "wall", "observations"),
    "start not shown": ("Escape", "wall", "observations"),
    "always in the middle": ("Escape", "random", "observations"),
    "no last action": ("Explore", "wall", "observations"),
    "the start counts": ("Explore", "oracle", "rewards"),
    "the exit costs nothing": ("Escape", "oracle", "rewards"),
    "never done": ("Explore", "oracle", "terminated"),
    "done when one is left": ("Explore", "oracle", "terminated"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_seen(fault):
    family, policy, part = FAULTS[fault]
    reference, ours = of_level(family, "Easy")
    faulty = Faulty(ours, jnp.asarray(list(FAULTS).index(fault)))
    wrong = []
    for seed in range(4):
        wrong += compare(reference, faulty, seed, POLICIES[policy](ours, seed))[0]
    assert any(line.startswith(part) for line in wrong), wrong


def test_without_a_fault_none_is_seen():
    reference, ours = of_level("Explore", "Easy")
    assert not compare(reference, Faulty(ours, jnp.asarray(-1)), 0, wall)[0]


# Our own episodes, with restarts.


@functools.partial(jax.jit, static_argnums=(1, 2))
def oracle_rollout(env, lanes, length):
    """States before each step, and what the steps gave."""
    params = env.default_params()
    reset, step = jax.vmap(env.reset, (0, None)), jax.vmap(env.step, (0, 0, 0, None))
    oracle = jax.vmap(env.oracle, (0, None))

    def body(carry, key):
        observation, state = carry
        out = step(jax.random.split(key, lanes), state, oracle(state, params), params)
        return out[:2], (observation, state, out)

    key_reset, key = jax.random.split(KEY)
    start = reset(jax.random.split(key_reset, lanes), params)
    return jax.lax.scan(body, start, jax.random.split(key, length))[1]


def check_fresh(state, family: str, side: int) -> None:
    """A state at the beginning of an episode."""
    free, explored = to_cells(state.free, side), to_cells(state.explored, side)
    start, goal = tuple(np.asarray(state.start)), tuple(np.asarray(state.goal))
    assert is_perfect(free)
    assert np.array_equal(np.argwhere(explored), [start])
    assert np.array_equal(state.position, start)
    assert int(state.time) == 0
    assert int(state.following.rooms) == 1
    openings = {tuple(place) for place in np.argwhere(free) if np.any(place % (side - 1) == 0)}
    assert openings == ({start, goal} if family == "Escape" else {start})
    assert goal == (-1, -1) or abs(np.subtract(start, goal)).max() == side - 1


# Lanes and steps: one program for each family.
SIZES = {"Explore": (8, 500), "Escape": (64, 150)}


@pytest.mark.parametrize("family", CLASSES)
def test_every_episode_has_a_new_whole_maze(family):
    lanes, length = SIZES[family]
    _, states, (observations, _, _, terminated, truncated, info) = oracle_rollout(
        CLASSES[family](18), lanes, length
    )
    begins = np.argwhere(np.asarray(states.time) == 0)
    assert len(begins) == lanes + np.sum((terminated | truncated)[:-1])
    assert len(begins) > 1.5 * lanes
    seen = set()
    for place in begins:
        state = jax.tree.map(lambda leaf, place=place: leaf[tuple(place)], states)
        check_fresh(state, family, 19)
        seen.add(np.asarray(state.free).tobytes())
    assert len(seen) == len(begins)
    over = np.asarray(terminated | truncated)
    assert np.all(np.asarray(observations)[over, 9] == 4)
    assert np.all(np.asarray(info["final_observation"])[over, 9] != 4)
    # Some episodes of Escape are shorter than the construction takes: the rest is built at the end.
    time, rooms = np.asarray(states.time), np.asarray(states.following.rooms)
    step = {"Explore": 1, "Escape": 2}[family]
    assert np.array_equal(rooms, np.minimum(1 + step * time, 81))
    assert np.any(rooms[over] < 81 - step) == (family == "Escape")


def test_the_oracle_escapes_on_the_shortest_way():
    _, states, (_, _, reward, terminated, *_) = oracle_rollout(
        LabyrinthEscape(18), *SIZES["Escape"]
    )
    for lane in range(10):
        length = int(np.argmax(terminated[:, lane])) + 1
        free = to_cells(states.free[0, lane], 19)
        start, goal = (tuple(np.asarray(place[0, lane])) for place in (states.start, states.goal))
        assert distances(free, start)[goal] == length
        assert np.isclose(reward[:length, lane].sum(), 1 - length / 1024)


def test_the_oracle_explores_all_well_before_the_limit():
    _, _, (_, _, reward, terminated, truncated, _) = oracle_rollout(
        LabyrinthExplore(18), *SIZES["Explore"]
    )
    for lane in range(8):
        length = int(np.argmax(terminated[:, lane])) + 1
        # 162 cells, the start is known; walking around the whole tree takes 322 steps.
        assert 161 <= length <= 322
        assert np.isclose(reward[:length, lane].sum(), 1 - (length - 161) / 1024, atol=1e-5)
    assert not truncated.any()


@pytest.mark.parametrize("family", CLASSES)
def test_observations_are_in_the_space(family):
    env = CLASSES[family](18)
    params = env.default_params()
    observations = oracle_rollout(env, *SIZES[family])[0]
    space = env.observation_space(params)
    assert jax.vmap(jax.vmap(space.contains))(observations).all()
    assert env.action_space(params) == envs.Discrete(4)


def test_parameters_vary_without_a_new_program():
    """The time limit is an array: lanes with limits of 2 and 4 steps in one program."""
    env = LabyrinthExplore()
    params = jax.vmap(lambda n: eqx.tree_at(lambda p: p.episode_length, env.default_params(), n))(
        jnp.asarray([3, 5], jnp.int32)
    )
    _, state = jax.jit(jax.vmap(env.reset, (None, 0)))(KEY, params)
    step = jax.jit(jax.vmap(env.transition, (None, 0, None, 0)))
    flags = []
    for _ in range(4):
        _, state, _, _, truncated = step(KEY, state, jnp.zeros((), jnp.int32), params)
        flags.append(truncated.tolist())
    assert flags == [[False, False], [True, False], [True, False], [True, True]]


def test_other_rules_have_a_name():
    assert LabyrinthEscape(18).name == "popgym/LabyrinthEscapeHard"
    assert LabyrinthExplore(12, 99).name == "popgym/LabyrinthExplore(12, 99)"


BAD_ARGUMENTS = {
    "too small": ((4,), r"maze_dims=.* from 6 to 30, got 4"),
    "too large": ((32,), r"maze_dims=.* from 6 to 30, got 32"),
    "odd": ((11,), r"maze_dims=.* even: twice the number of rooms a side, got 11"),
    "a pair": (((10, 10),), r"maze_dims=.* int from 6 to 30, got \(10, 10\)"),
    "no time": ((10, 1), r"episode_length=.* from 2 to 1000000, got 1"),
}


@pytest.mark.parametrize("case", BAD_ARGUMENTS)
@pytest.mark.parametrize("family", CLASSES)
def test_bad_arguments_are_explained(family, case, without_hook):
    arguments, message = BAD_ARGUMENTS[case]
    with pytest.raises((TypeError, ValueError), match=f"Labyrinth{family}.{message}"):
        CLASSES[family](*arguments)


@pytest.mark.parametrize("family", CLASSES)
def test_the_picture_shows_where_one_is(family):
    pytest.importorskip("PIL")
    env = CLASSES[family](18)
    _, states, _ = oracle_rollout(env, *SIZES[family])
    pictures = [env.render(jax.tree.map(lambda leaf, t=t: leaf[t, 0], states)) for t in range(3)]
    assert all(picture.shape == (200, 200, 3) for picture in pictures)
    assert all(picture.dtype == np.uint8 for picture in pictures)
    assert not np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[1], pictures[2])
