"""Studies: every cell once, whatever happens in between."""

import csv
import os
import signal
import subprocess
import sys
import threading
import time

import jax
import pytest

from memoalg.rl import (
    FitArgumentError,
    NoProgress,
    PPOConfig,
    RunFolder,
    _experiment,
    _run,
    _study_run,
    _study_workers,
)
from memoalg.rl._experiment import load_experiment
from memoalg.rl._progress import AbstractProgress
from memoalg.rl._study import Cell, Study, StudyError
from memoalg.rl._study_cell import CellFolder
from memoalg.rl._study_run import study
from memoalg.rl._study_table import StudyResult, draw_study
from memoalg.rl._study_workers import in_processes, in_threads, one_by_one

from .fake_algorithm import FakeConfig
from .fake_kind import FakeKind

FIRST, PREVIOUS = "popgym/RepeatFirstEasy", "popgym/RepeatPreviousEasy"
GRID = Study(
    environments=(FIRST, PREVIOUS),
    memories=("lru", "gilr"),
    configs=(FakeConfig(),),
    steps=32 * 40,
    seeds=2,
    width=4,
    evaluate_every=32 * 16,
    evaluation_episodes=4,
)
NAMES = [
    f"{task}-{m}-fake" for task in ("RepeatFirstEasy", "RepeatPreviousEasy") for m in GRID.memories
]


@pytest.fixture(autouse=True)
def fake(monkeypatch):
    """The algorithm is known; pictures, which take longer than the fake's training, are not drawn."""
    monkeypatch.setitem(_experiment.ALGORITHMS, "fake", FakeKind)
    monkeypatch.setattr(_run, "plot_runs", lambda folders: None)
    monkeypatch.setattr(_study_run, "draw_study", lambda *_: [])


class Told(AbstractProgress):
    """Remembers what was said, and does something at the n-th report."""

    def __init__(self, at=None, action=None):
        self.lines, self.reports, self.closed = [], 0, 0
        self.at, self.action = at, action

    def message(self, text):
        self.lines.append(text)

    def report(self, report):
        self.reports += 1
        if self.action is not None and self.reports == self.at:
            self.action()

    def close(self):
        self.closed += 1


def run(folder, grid=GRID, **options):
    options.setdefault("progress", NoProgress())
    return study(grid, folder, **options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The study in one go."""
    told = Told()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(_experiment.ALGORITHMS, "fake", FakeKind)
        patch.setattr(_run, "plot_runs", lambda folders: None)
        return run(tmp_path_factory.mktemp("whole"), progress=told), told


def table(result: StudyResult, drop=("seconds",)):
    with open(result.folder / "study.csv") as file:
        return [{k: v for k, v in row.items() if k not in drop} for row in csv.DictReader(file)]


def same_files(left: StudyResult, right: StudyResult):
    """The runs of both are the same, byte for byte."""
    for name in NAMES:
        one, other = (RunFolder(r.folder / "cells" / name) for r in (left, right))
        assert one.metrics.read_bytes() == other.metrics.read_bytes()
        assert one.evaluation.read_bytes() == other.evaluation.read_bytes()
        last = "checkpoint-00000040.ckpt"
        assert (one.checkpoints / last).read_bytes() == (other.checkpoints / last).read_bytes()


# In one go


def test_the_table_has_a_row_per_cell_and_seed(whole):
    result, _ = whole
    rows = table(result, drop=())
    assert [(r["env"], r["memory"], r["seed"]) for r in rows] == [
        (env, memory, str(seed))
        for env in GRID.environments
        for memory in GRID.memories
        for seed in range(2)
    ]
    for row in rows:
        last = RunFolder(
            result.folder / "cells" / f"{row['env'].split('/')[1]}-{row['memory']}-fake"
        )
        evaluated = last.evaluation_rows()[-2:][int(row["seed"])]
        assert float(row["greedy"]) == evaluated["mean"]
        assert float(row["stochastic"]) < float(row["greedy"]) - 9
        assert float(row["normalised"]) == pytest.approx((evaluated["mean"] + 0.5) / 1.5, abs=1e-5)
        assert (row["random"], row["optimal"], row["steps"]) == ("-0.5", "1.0", "1280")
        assert row["parameters"] == str(len(row["memory"]))
        assert float(row["seconds"]) > 0
    assert [row["seed"] for row in result.rows] == [0, 1] * 4


def test_every_cell_is_a_run_folder_of_its_own(whole):
    result, _ = whole
    for name in NAMES:
        folder = result.folder / "cells" / name
        assert len(RunFolder.open(folder).metric_rows()) == 80
        assert load_experiment(folder).memory == name.split("-")[1]


def test_progress_counts_cells_and_estimates_the_end(whole):
    _, told = whole
    assert told.closed == 1
    assert told.lines[0].startswith("4 cells of 2 seeds, 1,280 steps each")
    assert [line.split("]")[0] for line in told.lines[1:]] == ["[1/4", "[2/4", "[3/4", "[4/4"]
    assert "3 left, about 0:" in told.lines[1]
    assert "until " in told.lines[1]
    assert "left" not in told.lines[4]
    assert told.reports == 4 * 5


def test_the_figures(whole):
    result, _ = whole
    curves = {f"curves-popgym-{task}.png" for task in ("RepeatFirstEasy", "RepeatPreviousEasy")}
    figures = draw_study(result.folder, GRID, GRID.cells())
    assert {path.name for path in figures} == curves | {"profiles.png", "aggregate.png"}
    assert all(path.stat().st_size > 1000 for path in figures)


def test_the_summary(whole):
    text = repr(whole[0])
    assert "fake lru: normalised score, IQM " in text
    assert "2 environments × 2 seeds" in text
    assert "study.csv, 8 rows" in text


# Continued


def interrupt():
    signal.raise_signal(signal.SIGINT)


# In the first cell, in the last chunk of a cell, where its evaluation is due, and at the very end.
@pytest.mark.parametrize(("at", "finished"), [(1, 0), (10, 2), (12, 2), (20, 4)])
def test_ctrl_c_anywhere_and_continued_is_the_whole_study(at, finished, whole, tmp_path):
    first, second = Told(at, interrupt), Told()
    with pytest.raises(KeyboardInterrupt, match="stopped after"):
        run(tmp_path, progress=first)
    assert "stopping after this chunk" in first.lines[-1 if at % 5 else -2]
    result = run(tmp_path, progress=second)
    assert f"{finished} finished before" in second.lines[0]
    assert first.reports + second.reports == 20  # nothing is done twice
    assert table(result) == table(whole[0])
    same_files(result, whole[0])


def test_killed_between_checkpoints_and_continued_is_the_whole_study(whole, tmp_path):
    """What the power's going out leaves: nothing is saved of what was at work."""

    def kill():
        raise SystemExit

    with pytest.raises(SystemExit):
        run(tmp_path, progress=Told(8, kill))
    assert not (tmp_path / "cells" / NAMES[1] / "result.json").exists()
    second = Told()
    result = run(tmp_path, progress=second)
    assert second.reports >= 15 - 3
    assert table(result) == table(whole[0])
    same_files(result, whole[0])


def test_killed_before_the_result_was_written(whole, tmp_path, monkeypatch):
    def kill(self, rows):
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(CellFolder, "finish", kill)
        with pytest.raises(SystemExit):
            run(tmp_path)
    result = run(tmp_path)
    assert table(result) == table(whole[0])
    same_files(result, whole[0])


def test_a_finished_study_does_nothing_again(whole, tmp_path):
    result, _ = whole
    told = Told()
    before = (result.folder / "study.csv").read_bytes()
    again = run(result.folder, progress=told)
    assert told.reports == 0
    assert "4 finished before" in told.lines[0]
    assert (result.folder / "study.csv").read_bytes() == before
    assert len(again.rows) == 8


# Failures


SWEPT = Study(
    environments=(FIRST,),
    memories=("lru",),
    configs=(FakeConfig(nan_at=3), FakeConfig(rate=0.2)),
    steps=32 * 8,
    seeds=1,
    evaluation_episodes=3,
)


def test_a_cell_that_fails_is_recorded_and_the_others_go_on(tmp_path, monkeypatch):
    told = Told()
    result = run(tmp_path, SWEPT, progress=told)
    bad = "RepeatFirstEasy-lru-fake-rate=0.1-nan_at=3"
    assert list(result.failures) == [bad]
    assert (
        "NonFiniteLossError: update 3: policy_loss of seed 0 is not finite" in result.failures[bad]
    )
    assert f"failed: {bad}: NonFiniteLossError" in repr(result)
    assert "failed: NonFiniteLossError" in told.lines[1]
    assert [(row["rate"], row["nan_at"]) for row in result.rows] == [(0.2, -1)]
    # It is not tried again, unless that is asked for.
    told = Told()
    again = run(tmp_path, SWEPT, progress=told)
    assert (told.reports, list(again.failures)) == (0, [bad])
    assert "1 failed before (retry tries them again)" in told.lines[0]
    told = Told()
    run(tmp_path, SWEPT, retry=True, progress=told)
    assert told.reports > 0


def test_a_full_disk_ends_the_study(tmp_path, monkeypatch):
    from memoalg.rl import _study_cell

    def fit(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_study_cell, "fit", fit)
    with pytest.raises(OSError, match="No space left"):
        run(tmp_path)
    assert not list(tmp_path.glob("cells/*/error.json"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"environments": (FIRST, "popgym/RepeatFirstEsy")}, "nearest: popgym/RepeatFirstEasy"),
        ({"memories": ("lru", "gruu"), "configs": (PPOConfig(),)}, "unknown model 'gruu'"),
        ({"configs": (3,)}, r"write configs=\(ma.rl.PPOConfig"),
    ],
    ids=["env", "memory", "config"],
)
def test_what_does_not_exist_is_said_before_anything_runs(changes, message, tmp_path, without_hook):
    grid = Study(**{"environments": (FIRST,), "memories": ("lru",), **changes})
    with pytest.raises(StudyError, match=message):
        run(tmp_path / "new", grid)
    assert not (tmp_path / "new").exists()


def test_a_changed_study_says_what_differs(whole):
    import dataclasses

    changed = dataclasses.replace(GRID, steps=64, configs=(FakeConfig(rate=0.5),))
    with pytest.raises(
        StudyError,
        match=r"another study: configs\[0\].rate: saved 0.1, requested 0.5; steps: saved",
    ):
        run(whole[0].folder, changed)


def test_jobs_are_at_least_one(tmp_path):
    with pytest.raises(FitArgumentError, match="jobs must be an int of at least 1"):
        run(tmp_path, jobs=0)


def test_an_option_that_an_algorithm_does_not_know_is_left_out_for_it():
    pqn = _experiment.ALGORITHMS["pqn"].config_kind
    grid = Study((FIRST,), ("mlp",), configs=(PPOConfig(), pqn()), dueling=True, separate=True)
    flags = [(c.experiment.separate, c.experiment.dueling) for c in grid.cells()]
    assert flags == [(True, False), (False, True)]


def test_ids_that_end_alike_have_folders_of_their_own():
    grid = Study(("memory/PendulumEasy", "gymnax/PendulumEasy"), ("mlp",))
    assert [c.name for c in grid.cells()] == [
        "memory-PendulumEasy-mlp-ppo",
        "gymnax-PendulumEasy-mlp-ppo",
    ]


# Side by side


def test_threads_make_the_same_study(whole, tmp_path, monkeypatch):
    places: set = set()
    here = jax.devices()[0]
    original = _study_workers.run_cell

    def run_cell(*arguments):
        places.add((threading.current_thread().name, jax.config.jax_default_device))  # pyright: ignore
        original(*arguments)

    monkeypatch.setattr(_study_workers, "run_cell", run_cell)
    monkeypatch.setattr(_study_run, "_choose", lambda jobs, count: in_threads([here, here]))
    result = run(tmp_path)
    assert len(places) == 2
    assert {device for _, device in places} == {here}
    assert table(result) == table(whole[0])
    same_files(result, whole[0])


def test_ctrl_c_stops_threads(tmp_path, whole, monkeypatch):
    here = jax.devices()[0]
    monkeypatch.setattr(_study_run, "_choose", lambda jobs, count: in_threads([here, here]))

    class Stop(Told):
        def message(self, text):
            if text.startswith("[1/"):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, progress=Stop())
    done = [name for name in NAMES if CellFolder(tmp_path / "cells" / name).rows()]
    assert 1 <= len(done) < 4
    assert table(run(tmp_path)) == table(whole[0])


def start_python(code):
    def start(cell: Cell, study, folder):
        path = folder / "cells" / cell.name
        path.mkdir(parents=True, exist_ok=True)
        (path / "worker.log").write_text("some lines\nthe last one\n\n")
        return subprocess.Popen([sys.executable, "-c", code, str(path)], start_new_session=True)

    return start


SLEEP = """
import signal, sys, time
def save(*_):
    open(sys.argv[1] + "/saved", "w").close()
    sys.exit(130)
signal.signal(signal.SIGINT, save)
open(sys.argv[1] + "/begun", "w").close()
time.sleep(60)
"""


def test_processes_get_ctrl_c_once_and_are_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(_study_workers, "_start", start_python(SLEEP))
    begun = [tmp_path / "cells" / name / "begun" for name in NAMES[:2]]

    def stop():
        while not all(path.exists() for path in begun):
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        in_processes(2)(GRID.cells(), GRID, tmp_path, lambda *_: None, NoProgress())
    thread.join()
    assert sorted(p.parent.name for p in tmp_path.glob("cells/*/saved")) == sorted(NAMES[:2])


def test_a_process_that_dies_is_a_failure_with_its_last_words(tmp_path, monkeypatch):
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    monkeypatch.setattr(_study_workers, "_start", start_python(code))
    ended = []
    in_processes(2)(
        GRID.cells(), GRID, tmp_path, lambda cell, seconds: ended.append(cell.name), NoProgress()
    )
    assert sorted(ended) == sorted(NAMES)
    error = CellFolder(tmp_path / "cells" / NAMES[0]).error()
    assert error == "RuntimeError: the process ended with status -9: the last one"


@pytest.mark.parametrize(
    ("jobs", "count", "expected"),
    [(None, 4, one_by_one), (1, 4, one_by_one), (2, 1, one_by_one), (2, 0, one_by_one)],
)
def test_one_process_where_more_would_be_idle(jobs, count, expected):
    from memoalg.rl._study_run import _choose

    assert _choose(jobs, count) is expected
    assert _choose(3, 2) == in_processes(2)


TINY = Study(
    environments=(FIRST, PREVIOUS),
    memories=("mlp",),
    configs=(PPOConfig(num_envs=4, num_steps=8, minibatches=1, epochs=1),),
    steps=96,
    seeds=1,
    width=4,
    evaluation_episodes=3,
)


@pytest.mark.slow
def test_processes_make_the_same_study(tmp_path):
    alone, beside = run(tmp_path / "a", TINY), run(tmp_path / "b", TINY, jobs=2)
    assert not alone.failures
    assert not beside.failures
    assert table(alone) == table(beside)


@pytest.mark.slow
def test_several_devices_are_worked_on_side_by_side(tmp_path):
    """Two devices on the host, in a process of their own: the number is fixed when jax starts."""
    code = f"""
import sys; sys.path[:0] = {sys.path!r}
import jax
from memoalg.rl import NoProgress, _study_workers
from memoalg.rl._study_run import study
from tests.rl.test_study import TINY
seen, original = set(), _study_workers.run_cell
def run_cell(*arguments):
    seen.add(jax.config.jax_default_device)
    original(*arguments)
_study_workers.run_cell = run_cell
result = study(TINY, {str(tmp_path)!r}, progress=NoProgress())
assert not result.failures, result
print(len(result.rows), sorted(d.id for d in seen))
"""
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **flags},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "2 [0, 1]\n", done.stderr
