"""The program that trains any model on any task."""

import importlib.util
import os
import subprocess
import sys

import pytest

from tests.pages import ROOT

PROGRAM = ROOT / "examples" / "train_model.py"


def run(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-W", "error", str(PROGRAM), *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def program():
    spec = importlib.util.spec_from_file_location("train_model", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # A dataclass looks its module up.
    sys.modules["train_model"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["train_model"]


def test_it_trains_and_draws(tmp_path):
    small = ["--width", "4", "--depth", "1", "--steps", "12", "--picture", "curve.png"]
    done = run(tmp_path, "--model", "elman", "--task", "adding", *small)
    assert done.returncode == 0, done.stderr
    assert "12 updates; on new examples: loss" in done.stdout
    assert "(chance 0.461)" in done.stdout
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_an_unknown_name_is_told_in_one_line(program):
    with pytest.raises(SystemExit, match="unknown task 'coppy'; nearest: copy"):
        program.main(program.Options(task="coppy"))


def test_a_missing_library_is_told_in_one_line(program, monkeypatch):
    monkeypatch.setitem(sys.modules, "rich.console", None)
    told = pytest.raises(SystemExit, match=r'needs rich: pip install "memoalg\[cli\]"')
    with told, program.bar(3):
        pass
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(SystemExit, match=r'needs matplotlib: pip install "memoalg\[plot\]"'):
        program.new_figure()
