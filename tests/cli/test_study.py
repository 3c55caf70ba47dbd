"""`memoalg study`; what a study does is tested in `tests/rl/test_study.py`."""

import pytest

from memoalg.cli import _study, main
from memoalg.rl import NoProgress
from memoalg.rl._study import Study, StudyError
from memoalg.rl._study_table import StudyResult

FILE = """
environments = ["popgym/RepeatFirstEasy"]
memories = ["mlp"]
steps = 96
width = 4
seeds = 1
evaluation_episodes = 3
ppo = { num_envs = 4, num_steps = 8, minibatches = 1, epochs = 1 }
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(FILE)
    return tmp_path


@pytest.fixture
def asked(monkeypatch):
    """What `study` was called with; it finds a failure of one cell."""
    calls = []

    def study(grid, folder, **options):
        calls.append((grid, folder, options))
        return StudyResult(folder, [], {"a-cell": "ValueError: no"} if options["retry"] else {}, [])

    monkeypatch.setattr(_study, "study", study)
    return calls


def test_the_options_reach_the_study(asked, capsys, folder):
    assert main(["study", "small.toml", "--jobs", "2", "--quiet"]) == 0
    ((grid, place, options),) = asked
    assert grid == _study.read_study("small.toml")
    assert isinstance(grid, Study)
    assert str(place) == "studies/small"
    assert (options["jobs"], options["retry"]) == (2, False)
    assert isinstance(options["progress"], NoProgress)
    assert "table: studies/small/study.csv, 0 rows" in capsys.readouterr().out


def test_failed_cells_make_another_status(asked, capsys):
    assert main(["study", "small.toml", "--out", "there", "--retry"]) == 1
    told = capsys.readouterr()
    assert "failed: a-cell: ValueError: no" in told.out
    assert told.err == "memoalg: 1 cells failed; memoalg study --retry tries them again\n"


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (StudyError("small.toml: no"), 2, "memoalg: small.toml: no"),
        (OSError(28, "No space left"), 1, "memoalg: [Errno 28] No space left"),
        (
            KeyboardInterrupt("stopped"),
            130,
            "to go on: memoalg study small.toml --out studies/small",
        ),
    ],
    ids=["usage", "disk", "interrupt"],
)
def test_what_goes_wrong(error, status, line, monkeypatch, capsys):
    def study(*args, **kwargs):
        raise error

    monkeypatch.setattr(_study, "study", study)
    assert main(["study", "small.toml"]) == status
    assert capsys.readouterr().err.splitlines()[0] == line


@pytest.mark.slow
def test_a_study_from_the_command_line(capsys):
    assert main(["study", "small.toml"]) == 0
    told = capsys.readouterr()
    assert "[1/1] RepeatFirstEasy-mlp-ppo: normalised score" in told.err
    assert "ppo mlp: normalised score, IQM" in told.out
    assert main(["eval", "studies/small/cells/RepeatFirstEasy-mlp-ppo", "--episodes", "3"]) == 0
