"""Killed without warning, continued in another process: the same bytes as if nothing had been."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from memoalg.rl import RunFolder, load_run

from .fake_algorithm import FRAMES, FakeAlgorithm
from .test_checkpoint import same
from .test_fit import files, fit

UPDATES = 30

# Where the process kills itself: the function, and at which call.
MOMENTS = {
    "before-the-first-checkpoint": ("send", 2),
    "in-the-middle-of-a-chunk": ("send", 7),
    "while-a-checkpoint-is-written": ("fsync-checkpoint", 3),
    "between-writing-and-naming-it": ("replace", 3),
    "after-naming-it": ("after-replace", 3),
    "after-half-a-row": ("row", 5),
}

CHILD = """
import json, os, signal, sys
import jax
from memoalg import rl
from memoalg.rl import _checkpoint, _metrics, _run
from tests.rl.fake_algorithm import FRAMES, FakeAlgorithm

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def dying(function, call, after=False):
    count = 0
    def wrapped(*args, **kwargs):
        nonlocal count
        count += 1
        if count == call and not after:
            die()
        result = function(*args, **kwargs)
        if count == call:
            die()
        return result
    return wrapped

def half_a_row(file, rows):
    file._file.write(json.dumps(list(rows)).encode()[:20])
    file._file.flush()
    die()

class Os:
    # `os`, but one of its functions kills.
    def __init__(self, **changed):
        self.__dict__.update(changed)
    def __getattr__(self, name):
        return getattr(os, name)

def arm(place, call):
    if place == "send":
        _run.Run._send = dying(_run.Run._send, call)
    elif place == "fsync-checkpoint":
        _checkpoint.os = Os(fsync=dying(os.fsync, call))
    elif place in ("replace", "after-replace"):
        _checkpoint.os = Os(replace=dying(os.replace, call, place == "after-replace"))
    elif place == "row":
        real, count = _metrics.RowFile.append, [0]
        def append(self, rows):
            count[0] += 1
            return half_a_row(self, rows) if count[0] == call else real(self, rows)
        _metrics.RowFile.append = append

for folder, place, call in json.loads(sys.argv[1]):
    arm(place, call)
    rl.fit(
        FakeAlgorithm(), jax.random.key(0), int(sys.argv[2]) * FRAMES, checkpoint_dir=folder, resume=True,
        checkpoint_seconds=0, chunk=4, evaluate_every=10 * FRAMES, evaluation_episodes=4,
        progress=rl.NoProgress(),
    )
"""


def child(jobs):
    root = Path(__file__).parents[2]
    path = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, json.dumps(jobs), str(UPDATES)],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def continued(tmp_path_factory):
    """One folder per moment: begun and killed in a process each, then all continued in another."""
    root = tmp_path_factory.mktemp("killed")
    processes = [child([(str(root / name), *moment)]) for name, moment in MOMENTS.items()]
    for process in processes:
        _, error = process.communicate()
        assert process.returncode == -9, error
    progress = {}
    for name in MOMENTS:
        rows = RunFolder(root / name).metrics.read_bytes()
        progress[name] = rows.count(b"\n")
    process = child([(str(root / name), "nowhere", 0) for name in MOMENTS])
    _, error = process.communicate()
    assert process.returncode == 0, error
    return root, progress


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    path = tmp_path_factory.mktemp("undisturbed")
    options = {"evaluate_every": 10 * FRAMES, "checkpoint_dir": path, "chunk": 8}
    return path, fit(steps=UPDATES * FRAMES, **options)


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_and_continued(moment, continued, undisturbed):
    root, progress = continued
    path, result = undisturbed
    assert progress[moment] < UPDATES  # it was killed on the way
    found = load_run(root / moment, FakeAlgorithm())
    assert found.update == UPDATES
    same(found.state, result.state)
    assert files(root / moment) == files(path)
    left = [p.name for p in (root / moment).rglob("*") if p.name.startswith(".")]
    assert left == []
