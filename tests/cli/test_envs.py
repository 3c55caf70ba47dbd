"""`memoalg envs` and `memoalg envs show`."""

import numpy as np
import pytest
from PIL import Image

from memoalg import envs
from memoalg.cli import _eval, main
from memoalg.cli._episode import random_player

ENV = "popgym/RepeatPreviousEasy"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_part_of_the_name_filters_the_list(capsys):
    assert main(["envs", "repeatPrev"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0].removeprefix("popgym/RepeatPrevious") for line in lines[1:]] == [
        *("Easy", "Medium", "Hard")
    ]
    assert main(["envs", "nothing-like-it"]) == 2
    assert "no id contains 'nothing-like-it'" in capsys.readouterr().err


def test_a_gif_has_a_frame_for_every_step(capsys, tmp_path):
    assert main(["envs", "show", ENV, "--policy", "oracle"]) == 0
    out = capsys.readouterr().out
    assert out == "wrote RepeatPreviousEasy.gif: 51 steps, return 1.000; the episode ended\n"
    with Image.open(tmp_path / "RepeatPreviousEasy.gif") as gif:
        # Frames that look alike are merged: the first ones, before an answer is asked for, are not.
        assert gif.n_frames == 52  # pyright: ignore[reportAttributeAccessIssue]
        assert gif.size == (200, 176)


def test_a_sheet_shows_the_frames_in_rows(capsys, tmp_path):
    command = f"envs show {ENV} --out sheet.png --steps 7 --columns 3 --seed 1"
    assert main(command.split()) == 0
    assert "7 steps" in capsys.readouterr().out
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (3 * 204, 3 * 180)
        first, second = (np.asarray(sheet)[:176, x : x + 200] for x in (0, 204))
        assert (first != second).any()


def test_an_agent_plays_in_its_environment(capsys):
    train = (
        f"train --env {ENV} --out run --steps 64 --seeds 2 --memory lru --width 4 "
        "--num-envs 4 --num-steps 8 --minibatches 1 --epochs 1 --evaluation-episodes 2"
    )
    assert main(train.split()) == 0
    assert main(f"envs show {ENV} --policy run --out a.png --steps 3".split()) == 0
    assert "wrote a.png: 3 steps" in capsys.readouterr().out
    assert main(["envs", "show", "popgym/RepeatFirstEasy", "--policy", "run"]) == 2
    error = capsys.readouterr().err
    assert "run was trained on popgym/RepeatPreviousEasy, not on popgym/RepeatFirstEasy" in error


WRONG = {
    "suffix": (f"{ENV} --out a.jpg", "--out ends with .gif or .png, got a.jpg"),
    "steps": (f"{ENV} --steps 0", "at least 1"),
    "unknown": ("popgym/RepeatPreviosEasy", "nearest: popgym/RepeatPreviousEasy"),
    "no folder": (f"{ENV} --out nowhere/a.gif", "there is no folder nowhere"),
    "on the host": ("gymnasium/CartPole-v1", "got a HostEnvironment; one that runs on the host"),
    "no run": (f"{ENV} --policy nowhere", "neither random nor oracle nor the folder of a run"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_is_one_line(case, capsys):
    arguments, message = WRONG[case]
    assert main(["envs", "show", *arguments.split()]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_an_environment_without_a_picture_says_so(capsys):
    pytest.importorskip("gymnax")
    assert main(["envs", "show", "gymnax/CartPole-v1"]) == 2
    assert (
        "gymnax/CartPole-v1 has no picture; define render(self, state)" in capsys.readouterr().err
    )


def test_watching_an_agent_where_there_is_no_picture_says_so(capsys, monkeypatch):
    pytest.importorskip("gymnax")
    player = random_player(*envs.make("gymnax/CartPole-v1"))
    monkeypatch.setattr(_eval, "agent_player", lambda *_, **options: player)
    assert main(["eval", "run", "--render"]) == 2
    error = capsys.readouterr().err
    assert "gymnax/CartPole-v1 has no picture; define render(self, state)" in error
    assert error.count("\n") == 1
