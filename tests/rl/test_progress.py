"""What a user sees while a run is going on."""

import calendar
import io
import itertools
import time
import types

import jax
import numpy as np
import pytest

from memoalg import rl
from memoalg.rl import _progress
from memoalg.rl._progress import NoProgress, Report, TextProgress, clock, default_progress

from .fake_algorithm import FRAMES, FakeAlgorithm


class Clock:
    """Time that goes on when it is told to."""

    now = 0.0

    def monotonic(self):
        return self.now


def report(steps):
    return Report(steps, 1000, 50.0, 0.25, 12.0)


def test_a_report_as_text():
    text = "  500 / 1,000 steps  50 steps/s  return 0.250  0:12 left"
    assert str(report(500)) == text
    assert str(Report(0, 1000, None, None, None)) == "    0 / 1,000 steps"


def test_a_report_with_all_there_is():
    several = Report(500, 1000, 50.0, 0.25, 12.0, 0.5, 3.21)
    text = "  500 / 1,000 steps  50 steps/s  return 0.250  IQM 0.500  compiled in 3.2 s  0:12 left"
    assert str(several) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (599.0, "  9:59 left"),
        (600.0, "  10:00 left, until 12:10"),
        (36_000.0, "  10:00:00 left, until 22:00"),
        (72_000.0, "  20:00:00 left, until 02 Jan 08:00"),
    ],
    ids=str,
)
def test_of_a_long_wait_the_end_is_said(seconds, text, monkeypatch):
    noon = calendar.timegm((2030, 1, 1, 12, 0, 0))
    fake = types.SimpleNamespace(
        time=lambda: noon, localtime=time.gmtime, strftime=time.strftime, monotonic=time.monotonic
    )
    monkeypatch.setattr(_progress, "time", fake)
    assert str(Report(0, 10, None, None, seconds)).endswith(text)


def test_several_members_show_their_interquartile_mean():
    """The highest and the lowest quarter are left out; every member counts once."""
    shown = []

    class Listener(NoProgress):
        def report(self, report):
            shown.append(report)

    result = rl.fit(
        FakeAlgorithm(), jax.random.key(0), 64, seeds=5, evaluation_episodes=4, progress=Listener()
    )
    means = np.sort(result.metrics["return"].mean(axis=1))
    assert shown[-1].iqm == pytest.approx(means[1:4].mean(), rel=1e-5)
    assert shown[-1].episode_return == pytest.approx(means.mean(), rel=1e-5)
    assert shown[-1].compile_seconds > 0


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (61, "1:01"), (7322, "2:02:02")]
)
def test_clock(seconds, text):
    assert clock(seconds) == text


def test_lines_come_at_once_then_ever_more_rarely_and_at_the_end(monkeypatch):
    fake = Clock()
    monkeypatch.setattr(_progress, "time", fake)
    stream = io.StringIO()
    progress = TextProgress(stream, first_interval=2.0, last_interval=60.0)
    shown = []
    for second in range(1000):
        fake.now = float(second)
        before = stream.getvalue()
        progress.report(report(second))
        if stream.getvalue() != before:
            shown.append(second)
    progress.report(report(1000))
    assert shown[:3] == [0, 2, 4]
    gaps = [b - a for a, b in itertools.pairwise(shown)]
    assert gaps == sorted(gaps)
    assert gaps[-1] == 60
    assert stream.getvalue().splitlines()[-1].startswith("1,000 / 1,000 steps")


def test_without_a_terminal_fit_writes_plain_lines(capsys, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    rl.fit(FakeAlgorithm(), jax.random.key(0), 20 * FRAMES, evaluation_episodes=4)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "640 steps = 20 updates of 32, 1 seed, on cpu"
    assert lines[1] == "compiling"
    assert lines[2].startswith("compiled in ")
    assert lines[3].startswith("memory: state ")
    assert lines[4].startswith("256 / 640 steps")
    assert "steps/s  return " in lines[4]
    assert "IQM" not in lines[4]  # of one seed it would be the return
    assert lines[-2].startswith("640 / 640 steps")
    assert "greedy evaluation return" in lines[-1]
    assert not any("\x1b" in line for line in lines)


def test_quiet_is_quiet(capsys):
    algo = FakeAlgorithm()
    rl.fit(algo, jax.random.key(0), 64, evaluation_episodes=4, progress=NoProgress())
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_gets_a_bar(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    progress = default_progress()
    assert isinstance(progress, _progress.BarProgress)
    progress.message("hello [bold]")
    progress.report(report(500))
    progress.close()
    assert "hello [bold]" in terminal.getvalue()


@pytest.mark.parametrize("missing", ["terminal", "rich", "nobody there"])
def test_elsewhere_there_are_lines(missing, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr("sys.stderr", io.StringIO() if missing == "terminal" else Terminal())
    if missing == "rich":
        monkeypatch.setattr(_progress, "find_spec", lambda name: None)
    if missing == "nobody there":
        monkeypatch.setenv("CI", "true")
    assert isinstance(default_progress(), TextProgress)
