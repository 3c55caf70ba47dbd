"""Ending early, and the checkpoint that is never lost: the best."""

import os
import signal
from typing import Any

import jax
import numpy as np
import pytest

from memoalg import rl
from memoalg.rl import RunFolder, load_run
from memoalg.rl._checkpoint import best_checkpoint, checkpoint_paths, save_checkpoint

from .fake_algorithm import FRAMES, FakeAlgorithm, FakeConfig
from .test_checkpoint import same
from .test_fit import Script, files, fit

PERIOD = 4
UPDATES = 16
STEPS = UPDATES * FRAMES
KEY = jax.random.key(8)  # its mean return rises, and falls again
ALGO = FakeAlgorithm(FakeConfig(rate=0.3))


def run(folder, updates=UPDATES, **options: Any):
    options = {"evaluate_every": PERIOD * FRAMES, "chunk": 3, "seeds": 2, **options}
    return fit(ALGO, KEY, steps=updates * FRAMES, checkpoint_dir=folder, **options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return folder, run(folder, keep=1)


def scores(folder):
    """Mean evaluation return of both seeds, by update."""
    rows = RunFolder(folder).evaluation_rows()
    pairs = zip(rows[::2], rows[1::2], strict=True)
    return {a["update"]: (a["mean"] + b["mean"]) / 2 for a, b in pairs}


def names(folder):
    return [path.name for path in checkpoint_paths(RunFolder(folder).checkpoints)]


def test_the_best_is_kept_beside_the_newest(whole):
    folder, _ = whole
    known = scores(folder)
    best = max(known, key=lambda update: known[update])
    assert 0 < best < UPDATES  # otherwise this shows nothing
    assert names(folder) == [f"checkpoint-{best:08d}.ckpt", f"checkpoint-{UPDATES:08d}.ckpt"]
    found = load_run(folder, ALGO, which="best")
    assert (found.update, found.score) == (best, known[best])
    same(found.state, fit(ALGO, KEY, steps=best * FRAMES, seeds=2).state)
    assert load_run(folder, ALGO).update == UPDATES


def test_the_best_is_the_same_after_a_resume(whole, tmp_path):
    folder, result = whole
    for updates in (5, 14, UPDATES):
        resumed = run(tmp_path, updates, resume=True, keep=1)
    same(resumed.state, result.state)
    assert files(tmp_path) == files(folder)
    # An update that only ended a shorter run may have been better still; never a worse one stays.
    found, expected = (load_run(f, ALGO, which="best") for f in (tmp_path, folder))
    assert found.score is not None
    assert expected.score is not None
    assert found.score >= expected.score


def test_a_best_checkpoint_that_is_damaged_is_no_best(tmp_path):
    for update, score in [(1, 0.9), (2, 0.5), (3, None)]:
        save_checkpoint(tmp_path, {}, update=update, score=score, keep=1)
    path, score = best_checkpoint(tmp_path) or (None, None)
    assert path is not None
    assert (path.name, score) == ("checkpoint-00000001.ckpt", 0.9)
    path.write_bytes(path.read_bytes()[:30])
    assert best_checkpoint(tmp_path) is None  # the one of 0.5 was not among the newest, nor best


def test_a_run_that_was_never_evaluated_has_no_best(tmp_path):
    press = Script(1, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        fit(checkpoint_dir=tmp_path, chunk=2, progress=press)
    with pytest.raises(FileNotFoundError, match="has no checkpoint that was evaluated"):
        load_run(tmp_path, FakeAlgorithm(), which="best")
    other: Any = "last"
    with pytest.raises((ValueError, TypeError), match="last"):
        load_run(tmp_path, FakeAlgorithm(), which=other)


# Ending early


@pytest.fixture(scope="module")
def reached(whole):
    """A return that is reached first on the way, and the update."""
    known = scores(whole[0])
    first = min(known)
    later = [
        update for update in known if first < update < UPDATES and known[update] > known[first]
    ]
    return known[later[0]], later[0]


def test_it_ends_when_the_return_is_reached(whole, reached, tmp_path):
    stop_at, update = reached
    said = []
    result = run(tmp_path, stop_at=stop_at, progress=Listener(said))
    assert result.steps == update * FRAMES
    same(result.state, fit(ALGO, KEY, steps=update * FRAMES, seeds=2).state)
    assert load_run(tmp_path, ALGO).update == update
    assert scores(tmp_path) == {u: s for u, s in scores(whole[0]).items() if u <= update}
    means = [float(np.mean(r, dtype=np.float64)) for r in result.complete_returns()]
    assert np.mean(means) == pytest.approx(stop_at, rel=1e-6)
    assert any(f"reached stop_at={stop_at:g}" in line for line in said)


class Listener(rl.NoProgress):
    def __init__(self, said):
        self.said = said

    def message(self, text):
        self.said.append(text)


def test_what_ended_early_goes_on_as_if_it_had_not(whole, reached, tmp_path):
    folder, result = whole
    stop_at, update = reached
    ended = run(tmp_path, stop_at=stop_at)
    before = files(tmp_path)
    # The same again ends at once, and leaves everything as it was.
    again = run(tmp_path, 2 * UPDATES, stop_at=stop_at, resume=True)
    assert again.steps == update * FRAMES
    same(again.state, ended.state)
    same(again.evaluation, ended.evaluation)
    assert files(tmp_path) == before
    # Without the bound, or with one that is not reached, it is the run that nothing stopped.
    resumed = run(tmp_path, resume=True, stop_at=1e9)
    same(resumed.state, result.state)
    assert files(tmp_path) == files(folder)


def test_a_bound_that_was_only_reached_where_nobody_looks_does_not_end_it(reached, tmp_path):
    """A shorter run's final evaluation is not one that the uninterrupted run makes."""
    run(tmp_path, 5)
    resumed = run(tmp_path, 7, resume=True, stop_at=-1e9)
    assert resumed.steps == 7 * FRAMES


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stop_at": 1.0}, r"stop_at=1\.0 needs evaluate_every"),
        ({"stop_at": float("nan"), "evaluate_every": 32}, "stop_at must be a return, not nan"),
    ],
    ids=["never evaluated", "nan"],
)
def test_bad_bounds(options, message, without_hook):
    with pytest.raises(rl.FitArgumentError, match=message):
        fit(key=KEY, **options)
