"""MineSweeper against the original, its boards against the uniform law."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memoalg.envs.tasks._mine_sweeper import (
    MineSweeper,
    MineSweeperParams,
    MineSweeperState,
    choose_cells,
)

from .injected import (
    Faulty,
    check_picture,
    chi_squared,
    oracle_returns,
    play_from,
    truncation_as_termination,
)
from .replay import differences, record

minesweeper = pytest.importorskip("popgym.envs.minesweeper", exc_type=ImportError)

LEVELS = {"Easy": MineSweeper(4, 2), "Medium": MineSweeper(6, 6), "Hard": MineSweeper(8, 10)}
LIMIT = 60


def original(level: str):
    return vars(minesweeper)[f"MineSweeper{level}"]()


def other_original(size: int, mines: int):
    """The original has three levels only; its fields make others."""
    env, cells = original("Easy"), size * size - mines
    env.dims, env.num_mines, env.max_episode_length = (size, size), mines, cells
    env.success_reward_scale = 1 / cells
    env.fail_reward_scale = -0.5 - 1 / cells
    env.bad_action_reward_scale = -0.5 / (cells - 2)
    return env


def look(env) -> np.ndarray:
    return env.hidden_grid.copy()


def inject(grid: np.ndarray) -> MineSweeperState:
    return MineSweeperState(jnp.asarray(grid, jnp.int8), jnp.zeros((), jnp.int32))


def oracle(env, observation):
    return np.argwhere(env.hidden_grid == 0)[-1]


def stall(env, observation):
    """The same clear cell for ever."""
    viewed = np.argwhere(env.hidden_grid == 2)
    return viewed[0] if len(viewed) else oracle(env, observation)


def late_mine(env, observation):
    """All clear cells but one, then a mine at the last step."""
    clear = np.argwhere(env.hidden_grid == 0)
    return clear[0] if len(clear) > 1 else np.argwhere(env.hidden_grid == 1)[0]


def one_repeat(env, observation):
    """One cell twice, then the others: time is up with one left."""
    return stall(env, observation) if env.timestep == 1 else oracle(env, observation)


class Random:
    def __init__(self, seed: int):
        self.generator = np.random.default_rng(seed)

    def __call__(self, env, observation):
        return self.generator.integers(env.dims[0], size=2)


POLICIES = {
    "oracle": oracle,
    "stall": stall,
    "late mine": late_mine,
    "one repeat": one_repeat,
    "random": Random(3),
}


def compare(reference, env, seed: int, policy):
    episode, actions, hidden = record(reference, seed, policy, look)
    ours = play_from(env, env.default_params(), inject(hidden[0]), actions, LIMIT)
    return differences(episode, ours), episode


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("level", LEVELS)
def test_every_step_equals_the_original(level, policy):
    for seed in range(5):
        wrong, _ = compare(original(level), LEVELS[level], seed, POLICIES[policy])
        assert not wrong, (seed, wrong)


@pytest.mark.parametrize(
    ("policy", "total", "terminated"),
    [("oracle", 1.0, True), ("late mine", -0.5 + 13 / 14 - 1 / 14, True), ("stall", None, False)],
)
def test_the_policies_reach_the_end_of_easy(policy, total, terminated):
    _, episode = compare(original("Easy"), LEVELS["Easy"], 0, POLICIES[policy])
    assert len(episode.rewards) == 14
    assert episode.terminated[-1] == terminated
    assert episode.truncated[-1] == (not terminated)
    expected = 1 / 14 - 0.5 * 13 / 12 if total is None else total
    assert abs(episode.rewards.sum() - expected) < 1e-9


@pytest.mark.parametrize(("size", "mines"), [(2, 1), (5, 14), (7, 46)])
def test_other_arguments_equal_the_original(size, mines):
    for policy in ("random", "oracle", "late mine"):
        reference = other_original(size, mines)
        wrong, episode = compare(reference, MineSweeper(size, mines), 7, POLICIES[policy])
        assert not wrong
    env = MineSweeper(size, mines)
    space = env.observation_space(env.default_params())
    assert space.n == min(mines + 1, 10)
    assert episode.observations.max() < space.n


def test_a_count_of_nine_is_shown():
    grid = np.zeros((5, 5), np.int8)
    grid[:3, :3] = 1
    reference = other_original(5, 9)
    env = MineSweeper(5, 9)
    action = np.array([[1, 1]])
    episode = play_from(env, env.default_params(), inject(grid), action, LIMIT)
    assert episode.observations.tolist() == [9]
    assert episode.terminated.tolist() == [True]
    assert reference.num_mines == 9


@pytest.mark.parametrize("level", LEVELS)
def test_the_oracle_returns_one(level):
    env = LEVELS[level]
    cells = env.size**2 - env.num_mines
    keys = jax.random.split(jax.random.key(0), 64)
    totals, lengths, ended = oracle_returns(env, env.default_params(), keys, cells)
    assert ended.all()
    assert (lengths == cells).all()
    np.testing.assert_allclose(totals, 1.0, atol=1e-6)


# The law of a board: every set of cells alike.

SETS = {cells: i for i, cells in enumerate(itertools.combinations(range(9), 2))}
LIMIT_35 = 75.0  # 35 degrees, exceeded once in 10,000


def set_counts(choose) -> np.ndarray:
    """How often each pair of 9 cells comes up in 50,000 draws; other sets are not counted."""
    uniforms = jax.random.uniform(jax.random.key(2), (50_000, 2), jnp.float32)
    chosen = np.sort(np.asarray(jax.vmap(lambda u: choose(u, 9, jnp.int32(2)))(uniforms)), 1)
    known = [SETS[tuple(pair)] for pair in chosen.tolist() if tuple(pair) in SETS]
    return np.bincount(known, minlength=36)


def with_replacement(uniforms, cells, count):
    return (uniforms * cells).astype(jnp.int32)


def one_cell_short(uniforms, cells, count):
    """Draws from 0..j-1 instead of 0..j."""
    return choose_cells(uniforms * (1 - 1 / cells), cells, count)


def test_every_set_of_cells_is_equally_likely():
    assert chi_squared(set_counts(choose_cells), np.full(36, 50_000 / 36)) < LIMIT_35


@pytest.mark.parametrize("wrong", [with_replacement, one_cell_short])
def test_a_wrong_choice_of_cells_is_seen(wrong):
    assert chi_squared(set_counts(wrong), np.full(36, 50_000 / 36)) > LIMIT_35


@pytest.mark.parametrize("level", LEVELS)
def test_mines_are_as_many_as_they_should_be_and_everywhere(level):
    env, episodes = LEVELS[level], 20_000
    reset = jax.jit(jax.vmap(env.reset, in_axes=(0, None)))
    _, state = reset(jax.random.split(jax.random.key(1), episodes), env.default_params())
    boards = np.asarray(state.board)
    assert (boards.sum((1, 2)) == env.num_mines).all()
    share = env.num_mines / env.size**2
    error = np.sqrt(share * (1 - share) / episodes)
    assert np.abs((boards.mean(0) - share) / error).max() < 4.5


def test_the_number_of_mines_varies_without_a_new_program():
    env = MineSweeper(8, 10)
    each = [MineSweeperParams(jnp.asarray(mines, jnp.int32)) for mines in (1, 4, 10)]
    params = jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)
    _, state = jax.jit(jax.vmap(env.reset, in_axes=(None, 0)))(jax.random.key(0), params)
    assert np.asarray(state.board).sum((1, 2)).tolist() == [1, 4, 10]
    totals, lengths, _ = oracle_returns(env, each[1], jax.random.split(jax.random.key(0), 4), 60)
    assert lengths.tolist() == [60] * 4
    np.testing.assert_allclose(totals, 1.0, atol=1e-6)


# Faults.


def mines_must_be_clicked(env, state, outcome, params):
    """Over when everything, mines too, was clicked."""
    observation, after, reward, terminated, _ = outcome
    terminated = terminated & jnp.all(after.board == 2)
    return observation, after, reward, terminated, (after.time >= 14) & ~terminated


def one_step_longer(env, state, outcome, params):
    *rest, terminated, _ = outcome
    return *rest, terminated, (state.time >= 14) & ~terminated


def count_of_all_mines_is_lost(env, state, outcome, params):
    observation, *rest = outcome
    return jnp.where(observation == env.num_mines, 0, observation), *rest


def count_without_self(env, state, outcome, params):
    observation, after, reward, *ends = outcome
    return jnp.where(reward < -0.5, observation - 1, observation), after, reward, *ends


FAULTS = {
    "truncation as termination": (truncation_as_termination, "stall", "truncated"),
    "mines must be clicked": (mines_must_be_clicked, "oracle", "terminated"),
    "one step longer": (one_step_longer, "stall", "truncated"),
    "the count of all mines is lost": (count_of_all_mines_is_lost, "oracle", "observations"),
    "the clicked mine is not counted": (count_without_self, "late mine", "observations"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_seen(fault):
    change, policy, part = FAULTS[fault]
    env = Faulty(LEVELS["Easy"], change)
    found = [compare(original("Easy"), env, seed, POLICIES[policy])[0] for seed in range(3)]
    assert any(line.startswith(part) for lines in found for line in lines), found


BAD_ARGUMENTS = {
    "size": (lambda: MineSweeper(31, 5), r"size=.* from 2 to 30, got 31"),
    "none": (lambda: MineSweeper(4, 0), r"num_mines=.* from 1 to 13, got 0"),
    "many": (lambda: MineSweeper(4, 14), r"num_mines=.* from 1 to 13, got 14"),
}


@pytest.mark.parametrize("case", BAD_ARGUMENTS)
def test_bad_arguments_are_explained(case, without_hook):
    build, message = BAD_ARGUMENTS[case]
    with pytest.raises(ValueError, match=message):
        build()


def test_bad_actions_are_explained(without_hook):
    env, key = LEVELS["Easy"], jax.random.key(0)
    with pytest.raises(ValueError, match=r"integers of shape \(2,\), got float32 of shape \(2,\)"):
        env.transition(key, inject(np.zeros((4, 4))), jnp.zeros(2), env.default_params())


def test_pictures():
    pytest.importorskip("PIL")
    for env in (LEVELS["Easy"], LEVELS["Hard"]):
        start = inject(np.eye(env.size))
        after = eqx.tree_at(lambda state: state.board, start, start.board.at[0].add(1))
        check_picture(env, [start, after])


def test_names():
    assert [env.name for env in LEVELS.values()] == [f"popgym/MineSweeper{k}" for k in LEVELS]
    assert MineSweeper(5, 9).name == "popgym/MineSweeper(5, 9)"
