"""The command line: what it prints, and what it says to mistakes."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import memoalg as ma
from memoalg import rl
from memoalg.cli import _main, main
from memoalg.cli._episode_text import blocks
from memoalg.cli._experiment import given, without_prefix
from memoalg.cli._parse import condense
from memoalg.rl._experiment import ALGORITHMS

SMALL = "--num-envs 4 --num-steps 8 --minibatches 1 --epochs 1 --width 4 --memory mlp "
SMALL += "--evaluation-episodes 3 --chunk 2 --env popgym/RepeatFirstEasy"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder in which one small run was made, in the default place."""
    place = tmp_path_factory.mktemp("place")
    before = Path.cwd()
    os.chdir(place)
    try:
        assert main(["train", *SMALL.split(), "--steps", "96", "--seed", "3"]) == 0
    finally:
        os.chdir(before)
    return place


@pytest.fixture
def run(trained, monkeypatch):
    monkeypatch.chdir(trained)
    return Path("runs/RepeatFirstEasy-mlp-seed3")


def one_line_of(capsys):
    """The standard error stream, which must hold exactly one line."""
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


# The run


def test_train_leaves_a_run(run):
    names = {path.name for path in run.iterdir()}
    assert names == {
        "config.json",
        "command.json",
        "metrics.jsonl",
        "evaluation.jsonl",
        "timing.jsonl",
        "curve.png",
        "checkpoints",
    }
    assert json.loads((run / "command.json").read_text())["ppo"]["num_envs"] == 4


def test_train_goes_on_with_its_own_options(run, capsys):
    assert main(["train", "--resume", str(run), "--steps", "160", "--chunk", "2"]) == 0
    out = capsys.readouterr()
    assert "160 steps = 5 updates of 32, 1 seed" in out.err
    assert "continued at 96" in out.err
    assert "greedy evaluation return " in out.out
    assert "optimum 1, random -0.5; normalised score " in out.out
    assert f"run folder: {run}" in out.out
    assert len(rl.RunFolder(run).metric_rows()) == 5


def test_a_second_run_gets_a_folder_of_its_own(run):
    from memoalg.cli._train import _new_folder
    from memoalg.rl._experiment import Experiment

    same = Experiment(env="popgym/RepeatFirstEasy", memory="mlp", seed=3)
    assert _new_folder(same) == Path(f"{run}-2")


def test_eval_plays_greedily_and_stochastically(run, capsys):
    assert main(["eval", str(run), "--episodes", "5"]) == 0
    first, titles, *rows, greedy, stochastic = capsys.readouterr().out.splitlines()
    assert first.endswith("5 episodes per seed")
    assert titles.split()[:4] == ["policy", "seed", "complete", "return"]
    assert [row.split()[:3] for row in rows] == [["greedy", "0", "5"], ["stochastic", "0", "5"]]
    assert greedy.startswith("greedy, over episodes of one seed: mean ")
    assert ", IQM " in stochastic
    assert "; optimum 1, random -0.5, normalised score " in stochastic


def test_eval_of_one_policy_with_the_best_checkpoint(run, capsys):
    argv = ["eval", str(run), "--episodes", "5", "--policy", "greedy", "--checkpoint", "best"]
    assert main(argv) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_eval_shows_an_episode_as_lines(run, capsys):
    assert main(["eval", str(run), "--render", "--steps", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["t=0", "t=1", "t=2", "t=3", "3"]
    # The probabilities of the four suits, the chosen one marked; nothing is decided any more at
    # the end.
    assert lines[0].count(":0.") == 4
    assert lines[0].count("*") == 1
    assert "probability" not in lines[3]
    chosen = re.search(r"(\d):[\d.]+\*", lines[0])
    assert chosen is not None
    assert f"a={chosen[1]} " in lines[1]
    assert lines[4].endswith("the episode was cut by --steps")


def test_eval_shows_an_episode_on_a_terminal(run, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert main(["eval", str(run), "--render", "--steps", "2", "--per-second", "100"]) == 0
    assert capsys.readouterr().out.count("\x1b[2J") == 3


@pytest.mark.parametrize("ending", ["gif", "png"])
def test_eval_writes_an_episode_with_a_panel(ending, run, capsys, tmp_path):
    out = tmp_path / f"episode.{ending}"
    argv = ["eval", str(run), "--render", "--steps", "2", "--columns", "2", "--out", str(out)]
    assert main(argv) == 0
    assert capsys.readouterr().out.startswith(f"wrote {out}: 2 steps, return ")
    with Image.open(out) as picture:
        width = 200 + 96  # beside the task's own picture
        assert picture.size == ((width, 176) if ending == "gif" else (2 * (width + 4), 2 * 180))


def test_half_blocks_show_two_pixels_each():
    picture = np.zeros((4, 2, 3), np.uint8)
    picture[:2, :] = (10, 20, 30)
    picture[2:, 1] = (255, 0, 0)
    assert blocks(picture, 1) == "\x1b[38;2;10;20;30m\x1b[48;2;127;0;0m▀\x1b[0m"


def test_plot(run, capsys, tmp_path):
    picture = tmp_path / "two.svg"
    assert main(["plot", str(run), str(run), "--out", str(picture)]) == 0
    assert capsys.readouterr().out == f"{picture}\n"
    assert b"<svg" in picture.read_bytes()


@pytest.mark.parametrize("kind", ["profiles", "aggregate"])
def test_plot_compares_methods(kind, run, capsys, tmp_path):
    picture = tmp_path / "compared.svg"
    assert main(["plot", str(run), "--kind", kind, "--out", str(picture)]) == 0
    assert capsys.readouterr().out == f"{picture}\n"
    assert "PPO mlp, 1 task × 1 run" in picture.read_text()


def test_a_second_run_is_not_put_into_the_same_folder(run, capsys):
    before = (run / "command.json").read_bytes()
    assert main(["train", "--out", str(run), "--width", "16"]) == 2
    assert f"already holds a run: continue it with --resume {run}" in one_line_of(capsys)
    assert (run / "command.json").read_bytes() == before


def test_another_configuration_is_refused(run, capsys):
    before = (run / "command.json").read_bytes()
    assert main(["train", "--resume", str(run), "--learning-rate", "1"]) == 2
    assert "config.learning_rate: saved 0.001, requested 1.0" in one_line_of(capsys)
    assert (run / "command.json").read_bytes() == before


def test_a_nan_loss_is_one_line_and_another_status(run, capsys, monkeypatch):
    def fit(*args, **kwargs):
        raise rl.NonFiniteLossError("update 3: value_loss of seed 0 is not finite", None, 3)

    monkeypatch.setattr(rl, "fit", fit)
    assert main(["train", "--resume", str(run)]) == 1
    assert one_line_of(capsys) == "memoalg: update 3: value_loss of seed 0 is not finite"


def test_ctrl_c_says_how_to_go_on(run, capsys, monkeypatch):
    def fit(*args, **kwargs):
        raise KeyboardInterrupt("stopped after update 3; saved")

    monkeypatch.setattr(rl, "fit", fit)
    assert main(["train", "--resume", str(run), "--steps", "777"]) == 130
    text = capsys.readouterr().err
    assert f"to go on: memoalg train --resume {run} --steps 777" in text
    assert "memoalg: stopped after update 3; saved" in text


def test_a_fault_of_the_program_keeps_its_traceback(run, monkeypatch):
    def fit(*args, **kwargs):
        raise ValueError("incompatible shapes")

    monkeypatch.setattr(rl, "fit", fit)
    with pytest.raises(ValueError, match="incompatible shapes"):
        main(["train", "--resume", str(run)])


def test_a_run_does_not_go_on_with_another_algorithm(run, capsys):
    assert main(["train", "--resume", str(run), "--algorithm", "pqn"]) == 2
    assert "is a run of ppo, it cannot go on with pqn; leave out --algorithm" in one_line_of(capsys)


def test_a_member_that_is_not_there(run, capsys):
    assert main(["eval", str(run), "--render", "--member", "1"]) == 2
    assert "has members 0 to 0, not 1" in one_line_of(capsys)


@pytest.mark.parametrize(
    ("argv", "expected"),
    [("--seed 1 --out a", "a"), ("--out=a --seed 1", "a"), ("--seed 1", None), ("--out", None)],
)
def test_given(argv, expected):
    assert given(argv.split(), "--out") == expected


def test_without_prefix():
    argv = ["--pqn.discount", "0.9", "--pqn.epochs=2", "--out", "a.b", "--seed", "1"]
    plain = ["--discount", "0.9", "--epochs=2", "--out", "a.b", "--seed", "1"]
    assert without_prefix(argv, "pqn") == plain


# Other algorithms


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", [name for name in ALGORITHMS if name != "ppo"])
def test_every_algorithm_trains_evaluates_and_goes_on(algorithm, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    small = "--num-envs 4 --num-steps 8 --width 4 --memory gru --evaluation-episodes 3 --chunk 2"
    small += " --env popgym/RepeatFirstEasy --normalise-observations"
    small += " --capacity 1024 --batch-size 64" if algorithm == "dqn" else ""
    start = ["train", "--algorithm", algorithm, f"--{algorithm}.discount", "0.5", *small.split()]
    assert main([*start, "--steps", "96", "--out", "run"]) == 0
    assert json.loads(Path("run/command.json").read_text())[algorithm]["discount"] == 0.5
    assert main(["train", "--resume", "run", "--steps", "128", "--chunk", "2"]) == 0
    assert "continued at 96" in capsys.readouterr().err
    assert main(["eval", "run", "--episodes", "4"]) == 0
    assert main(["eval", "run", "--render", "--steps", "2"]) == 0
    assert "value 0:" in capsys.readouterr().out


# Lists and explanations


def test_envs(capsys):
    assert main(["envs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["id", "random", "memoryless", "optimum"]
    assert any(x.split()[:2] == ["popgym/RepeatPreviousEasy", "-0.5"] for x in lines)
    assert len(lines) == 1 + len(ma.envs.names())


def test_models(capsys):
    assert main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(ma.nn.names())


@pytest.mark.parametrize("name", ma.nn.names())
def test_explain_every_model(name, capsys):
    assert main(["explain", name, "--length", "64", "--width", "8"]) == 0
    text = capsys.readouterr().out
    assert ", 64 steps: " in text or "has no monoid" in text


@pytest.mark.parametrize("argv", [[], ["--help"], ["-h"]], ids=str)
def test_help_lists_the_commands(argv, capsys):
    assert main(argv) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in _main.COMMANDS)


@pytest.mark.parametrize("command", _main.COMMANDS)
def test_every_command_has_help(command, capsys):
    assert main([command, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"memoalg {command}" in text


def test_help_of_train_is_that_of_the_chosen_algorithm(capsys):
    main(["train", "--algorithm", "pqn", "--help"])
    text = capsys.readouterr().out
    assert "--trace-decay" in text
    assert "--clip" not in text


def test_help_of_train_comes_from_the_config_classes(capsys):
    main(["train", "--help"])
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "Adam's step size" in text
    assert "Least time between two checkpoints, in seconds" in text
    assert "(default: popgym/RepeatPreviousEasy)" in text


# Mistakes: one line, status 2


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("trian", "unknown command 'trian'; did you mean train?"),
        ("xyzzy", "unknown command 'xyzzy'; there are train, study"),
        ("train --memory gruu", "unknown model 'gruu'; nearest: gru"),
        ("train --env popgym/RepeatPreviousEsy", "nearest: popgym/RepeatPreviousEasy"),
        ("train --learning-rat 1", "nearest: --learning-rate"),
        ("train --steps many", "--steps: invalid literal for int"),
        ("train --steps 0", "steps must be an int of at least 1, got 0"),
        ("train --seeds 0", "seeds must be an int of at least 1, got 0"),
        ("train --width 0", "width must be an int of at least 1"),
        ("train --num-envs 6", "cannot be split into minibatches=4"),
        ("train --discount 1.5", "discount must lie in [0, 1]"),
        ("train --resume nowhere", "nowhere does not exist: it has no command.json"),
        ("train --resume .", "was not made by `memoalg train`"),
        ("train --out a extra", "extra"),
        ("train --algorithm sac", "unknown algorithm 'sac'; there are ppo, pqn"),
        ("train --algorithm pqo", "unknown algorithm 'pqo'; did you mean pqn?"),
        ("train --pqn.discount 0.9", "is for pqn, but this run is one of ppo; write --algorithm"),
        ("train --ppo.discunt 0.9", "nearest: --discount"),
        ("train --dueling", "ppo has no agent with dueling"),
        ("train --algorithm pqn --separate", "pqn has no agent with separate"),
        (
            "train --algorithm pqn --env popgym/PositionOnlyPendulumEasy",
            "action values need finitely many actions",
        ),
        ("study", "Missing from memoalg study: PATH"),
        ("study nowhere.toml", "there is no study file nowhere.toml"),
        ("eval . --out a.gif", "add --render"),
        ("eval . --render --out a.jpg", "--out ends with .gif or .png, got a.jpg"),
        ("eval . --render --steps 0", "--steps, --per-second and --columns are at least 1"),
        ("eval", "Missing from memoalg eval: PATH Run folder"),
        ("eval nowhere", "nowhere does not exist"),
        ("plot", "name at least one run folder"),
        ("plot nowhere", "nowhere is no run folder"),
        ("explain lruu", "unknown model 'lruu'; nearest: lru"),
        ("explain lru --length -1", "--length is a number of steps, got -1"),
        ("envs --all", "--all"),
    ],
)
def test_mistakes(argv, message, capsys, monkeypatch, tmp_path, without_hook):
    monkeypatch.chdir(tmp_path)
    assert main(argv.split()) == 2
    line = one_line_of(capsys)
    assert line.startswith("memoalg: ")
    assert message in line
    assert not (tmp_path / "runs").exists()


def test_eval_of_a_run_without_a_checkpoint(capsys, monkeypatch, tmp_path, trained):
    monkeypatch.chdir(tmp_path)
    source = trained / "runs/RepeatFirstEasy-mlp-seed3"
    for name in ("config.json", "command.json"):
        (tmp_path / name).write_bytes((source / name).read_bytes())
    assert main(["eval", "."]) == 2
    assert "there is no checkpoint in checkpoints" in one_line_of(capsys)


@pytest.mark.parametrize(
    ("missing", "argv", "extra"),
    [
        ("tyro", "envs", "cli"),
        ("gymnax", "train --env gymnax/CartPole-v1", "gymnax"),
        ("matplotlib.figure", "plot {run}", "plot"),
    ],
)
def test_a_missing_extra(missing, argv, extra, capsys, monkeypatch, run):
    if missing == "tyro":
        monkeypatch.setattr(_main, "find_spec", lambda name: None)
    else:
        monkeypatch.setitem(sys.modules, missing, None)
        monkeypatch.setitem(sys.modules, missing.split(".")[0], None)
    assert main(argv.format(run=run).split()) == 2
    assert f'pip install "memoalg[{extra}]"' in one_line_of(capsys)


def test_a_warning_is_one_line(capsys, monkeypatch):
    import warnings

    class Command:
        @staticmethod
        def run(argv):
            with warnings.catch_warnings():
                warnings.simplefilter("default")
                warnings.warn("damaged\n  checkpoint", stacklevel=1)

    monkeypatch.setattr(_main.importlib, "import_module", lambda name: Command)
    assert main(["envs"]) == 0
    assert one_line_of(capsys) == "memoalg: warning: damaged checkpoint"


BOX = """
╭─ Unrecognized options ──────────────────────╮
│ Unrecognized options: --learning-rat, 3     │
│ ─────────────────────────────────────────── │
│ Perhaps you meant:                          │
│     --learning-rate FLOAT                   │
│         Adam's step size. (default: 0.001) │
│ ─────────────────────────────────────────── │
│ For full helptext, run memoalg train --help │
╰─────────────────────────────────────────────╯
"""


ASCII_BOX = """
 Unrecognized options
 ---------------------------------------------
  Unrecognized options: --learning-rat, 3
  ---------------------------------------------
  Perhaps you meant:
      --learning-rate FLOAT
          Adam's step size. (default: 0.001)
"""


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        (BOX, "Unrecognized options: --learning-rat, 3; nearest: --learning-rate"),
        (ASCII_BOX, "Unrecognized options: --learning-rat, 3; nearest: --learning-rate"),
        ("no box\nat all\n", "no box at all"),
        ("", ""),
    ],
)
def test_condense(box, expected):
    assert condense(box) == expected


def test_the_installed_command_ends_with_the_status():
    """Through a real process: the exit status, one line, no traceback, and no jax where none is."""
    code = "import sys; from memoalg.cli import main; s = main(); print('jax' in sys.modules); "
    code += "sys.exit(s)"
    root = str(Path(importlib.util.find_spec("memoalg").origin).parents[1])  # type: ignore
    result = subprocess.run(
        [sys.executable, "-c", code, "trian"],
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert result.stderr == "memoalg: unknown command 'trian'; did you mean train?\n"
