"""Final evaluations of run folders as matrices, and the pictures that compare them."""

import numpy as np
import pytest

import memoalg as ma
from memoalg import envs
from memoalg.rl._describe import describe
from memoalg.rl._profiles import plot_aggregates, plot_profiles
from memoalg.rl._scores import method_labels, read_scores, task_name

from .run_folders import write_run
from .worlds import Ticker

FIRST, PREVIOUS = "popgym/RepeatFirstEasy", "popgym/RepeatPreviousEasy"


def algorithm(env, memory="lru", **config):
    return {
        "class": "PPO",
        "env": describe(env if not isinstance(env, str) else envs.make(env)[0]),
        "params": {"steps": 3},
        "agent": {"class": "ActorCritic", "memory": memory},
        "config": {"class": "PPOConfig", **config},
    }


def write(folder, name, means, described, **config):
    return write_run(folder / name, {**config, "algorithm": described}, means)


@pytest.mark.parametrize("name", [FIRST, "popgym/CountRecallHard", "memory/TMazeMedium"])
def test_the_task_is_found_behind_its_wrappers(name):
    env = envs.make(name)[0]
    wrapped = envs.Flatten(envs.EpisodeStart(envs.PreviousAction(env)))
    assert task_name(algorithm(env)) == name
    assert task_name(algorithm(wrapped)) == name


def test_a_task_of_ones_own_is_named_by_its_class():
    assert task_name(algorithm(Ticker())) == "Ticker"


def test_methods_differ_by_what_differs():
    wrapped = envs.Flatten(envs.EpisodeStart(envs.make(FIRST)[0]))
    plain = envs.Flatten(envs.make(FIRST)[0])
    assert method_labels(
        [
            algorithm(FIRST, "lru", rate=0.1, width=3),
            algorithm(PREVIOUS, "lru", rate=0.1, width=3),
            algorithm(FIRST, "lru", rate=0.2, width=3),
            algorithm(FIRST, "gru", rate=0.2, width=3),
        ]
    ) == ["PPO lru rate=0.1", "PPO lru rate=0.1", "PPO lru rate=0.2", "PPO gru"]
    assert len(set(method_labels([algorithm(wrapped), algorithm(plain)]))) == 2


def test_scores_are_pooled_and_normalised(tmp_path):
    runs = [
        write(tmp_path, "a", [1.0, 0.25], algorithm(FIRST), seeds=2),
        write(tmp_path, "b", [-0.5], algorithm(FIRST)),
        write(tmp_path, "c", [0.25, 1.0, 0.25, 1.0], algorithm(PREVIOUS), seeds=4),
        write(tmp_path, "d", [-0.5, 1.0], algorithm(FIRST, "gru"), seeds=2),
        write(tmp_path, "e", [1.0, None, 1.0], algorithm(PREVIOUS, "gru"), seeds=3),
    ]
    scores = read_scores(runs)
    assert scores.normalised
    assert scores.tasks == (FIRST, PREVIOUS)
    # Three runs of the first task, so the first three of the four of the second.
    np.testing.assert_allclose(scores.methods["PPO lru"], [[1, 0.5], [0.5, 1], [0, 0.5]])
    np.testing.assert_allclose(scores.methods["PPO gru"], [[0, 1], [1, 1]])


def test_points_of_a_sweep_are_methods(tmp_path):
    sweep = {"seeds": 2, "sweep": {"rate": [0.1, 0.2]}}
    run = write(tmp_path, "a", [1.0, 0.25, -0.5, -0.5], algorithm(FIRST), **sweep)
    scores = read_scores([run])
    assert list(scores.methods) == ["PPO lru rate=0.1", "PPO lru rate=0.2"]
    np.testing.assert_allclose(scores.methods["PPO lru rate=0.1"], [[1], [0.5]])


def test_one_task_without_anchors_is_not_normalised(tmp_path):
    run = write(tmp_path, "a", [7.0, 9.0], algorithm(Ticker()), seeds=2)
    scores = read_scores([run])
    assert not scores.normalised
    np.testing.assert_array_equal(scores.methods["PPO lru"], [[7], [9]])
    assert "return on Ticker" in plot_profiles([run], tmp_path / "a.svg").read_text()


def test_what_cannot_be_compared_is_said(tmp_path):
    first = write(tmp_path, "a", [1.0], algorithm(FIRST))
    other = write(tmp_path, "b", [1.0], algorithm(PREVIOUS, "gru"))
    ticker = write(tmp_path, "c", [1.0], algorithm(Ticker()))
    silent = write(tmp_path, "d", [None], algorithm(FIRST))
    with pytest.raises(ValueError, match=rf"PPO lru has no run on {PREVIOUS}"):
        read_scores([first, other])
    with pytest.raises(ValueError, match="Ticker has no anchors"):
        read_scores([first, ticker])
    with pytest.raises(ValueError, match=r"d has no complete episode in its last evaluation"):
        read_scores([silent])
    with pytest.raises(FileNotFoundError, match=r"no config\.json"):
        read_scores([tmp_path])


@pytest.mark.parametrize("draw", [plot_profiles, plot_aggregates])
def test_the_pictures_name_every_method_and_how_many_runs(draw, tmp_path):
    runs = [
        write(tmp_path, "a", [1.0, 0.25], algorithm(FIRST), seeds=2),
        write(tmp_path, "b", [0.5, 0.25], algorithm(FIRST, "gru"), seeds=2),
    ]
    text = draw(runs, tmp_path / "picture.svg").read_text()
    assert all(f"PPO {memory}, 1 task × 2 runs" in text for memory in ("lru", "gru"))
    assert "normalised score" in text
    assert [p.name for p in tmp_path.glob("*picture*")] == ["picture.svg"]


def test_an_unknown_ending_leaves_nothing_behind(tmp_path):
    run = write(tmp_path, "a", [1.0], algorithm(FIRST))
    with pytest.raises(ValueError, match="xyz"):
        plot_profiles([run], tmp_path / "picture.xyz")
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_real_description_has_the_fields_that_are_read():
    """What the files above imitate."""
    env, params = ma.envs.make(FIRST)
    config = describe(ma.rl.PPO(env, params, ma.rl.ActorCritic("mlp", width=4)))
    assert task_name(config) == FIRST
    assert method_labels([config]) == ["PPO mlp"]
