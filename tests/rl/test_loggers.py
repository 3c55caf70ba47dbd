"""Adapters for TensorBoard and Weights & Biases, with stand-ins for the packages."""

import sys
import types

import pytest

from memoalg import rl
from memoalg.rl._loggers import AbstractLogger, TensorBoard, WandB
from memoalg.rl._population import Population

from .fake_algorithm import FRAMES, FakeAlgorithm, FakeConfig
from .test_fit import fit


class FakeWriter:
    def __init__(self, folder, purge_step=None):
        self.folder, self.purge_step, self.scalars, self.closed = folder, purge_step, [], False

    def add_scalar(self, name, value, step):
        self.scalars.append((name, value, step))

    def close(self):
        self.closed = True


@pytest.fixture
def writers(monkeypatch):
    made = []

    def writer(folder, **options):
        made.append(FakeWriter(folder, **options))
        return made[-1]

    module = types.SimpleNamespace(SummaryWriter=writer)
    monkeypatch.setitem(sys.modules, "tensorboardX", module)
    return made


class FakeWandB:
    def __init__(self):
        self.options, self.logged, self.finished = None, [], False

    def init(self, **options):
        self.options = options
        return self

    def log(self, values, step):
        self.logged.append((step, values))

    def finish(self):
        self.finished = True


@pytest.fixture
def wandb(monkeypatch):
    module = FakeWandB()
    monkeypatch.setitem(sys.modules, "wandb", module)
    return module


def test_tensorboard_gets_every_number(writers, tmp_path):
    result = fit(steps=3 * FRAMES, loggers=[TensorBoard(tmp_path)], evaluate_every=2 * FRAMES)
    (writer,) = writers
    assert (writer.folder, writer.purge_step, writer.closed) == (str(tmp_path), None, True)
    losses = [(v, s) for name, v, s in writer.scalars if name == "train/policy_loss"]
    assert [s for _, s in losses] == [32, 64, 96]
    assert [v for v, _ in losses] == pytest.approx(list(result.metrics["policy_loss"][0]))
    # An update in which no episode ended has no return.
    assert [s for name, _, s in writer.scalars if name == "train/return"] == [32, 64]
    assert [s for name, _, s in writer.scalars if name == "evaluation/mean"] == [64, 96]
    assert {name.split("/")[1] for name, _, _ in writer.scalars} == {
        "return", "length", "episodes", "return_sum", "length_sum", "policy_loss", "mean",
    }  # fmt: skip


def test_tensorboard_keeps_members_apart(writers, tmp_path):
    fit(steps=FRAMES, seeds=2, loggers=[TensorBoard(tmp_path)])
    assert [w.folder for w in writers] == [str(tmp_path / "seed-0"), str(tmp_path / "seed-1")]
    assert writers[0].scalars != writers[1].scalars
    writers.clear()
    population = Population(FakeAlgorithm(), sweep={"rate": [0.1, 0.2]})
    fit(population, steps=FRAMES, loggers=[TensorBoard(tmp_path)])
    assert [w.folder[-8:] for w in writers] == ["member-0", "member-1"]


def test_tensorboard_forgets_what_is_repeated(writers, tmp_path):
    options = {"checkpoint_dir": tmp_path / "run", "loggers": [TensorBoard(tmp_path)]}
    fit(steps=2 * FRAMES, **options)
    fit(steps=3 * FRAMES, resume=True, **options)
    assert [w.purge_step for w in writers] == [None, 2 * FRAMES + 1]
    steps = {step for name, _, step in writers[1].scalars if name.startswith("train")}
    assert steps == {96}


def test_wandb_gets_one_call_for_each_update(wandb, tmp_path):
    fit(steps=2 * FRAMES, loggers=[WandB("memory", group="a", run_id="x", folder=tmp_path)])
    assert wandb.options["project"] == "memory"
    assert (wandb.options["group"], wandb.options["id"], wandb.options["resume"]) == (
        "a", "x", "allow")  # fmt: skip
    assert wandb.options["dir"] == str(tmp_path)
    assert wandb.options["config"]["algorithm"]["config"]["rate"] == 0.1
    assert [step for step, _ in wandb.logged] == [32, 64, 64]
    assert "train/policy_loss" in wandb.logged[0][1]
    assert set(wandb.logged[2][1]) == {"evaluation/mean"}
    assert wandb.finished


def test_wandb_keeps_members_apart(wandb):
    fit(steps=FRAMES, seeds=2, loggers=[WandB("memory")])
    (step, values), _ = wandb.logged
    assert step == 32
    assert values["seed-0/train/policy_loss"] != values["seed-1/train/policy_loss"]
    assert (wandb.options["id"], wandb.options["resume"]) == (None, None)


class Recorder(AbstractLogger):
    def __init__(self):
        self.events = []

    def begin(self, config, steps):
        self.events.append(("begin", steps))

    def log(self, kind, rows):
        self.events.append((kind, len(rows)))

    def close(self):
        self.events.append(("close", None))


def test_a_logger_of_ones_own_is_closed_whatever_happens(tmp_path):
    recorder = Recorder()
    with pytest.raises(rl.NonFiniteLossError):
        fit(FakeAlgorithm(FakeConfig(nan_at=3)), seeds=2, loggers=[recorder])
    assert recorder.events == [("begin", 0), ("train", 4), ("close", None)]


@pytest.mark.parametrize(
    ("make", "package"),
    [(lambda: TensorBoard("x"), "tensorboardX"), (lambda: WandB("x"), "wandb")],
    ids=["tensorboard", "wandb"],
)
def test_a_missing_package_is_named(make, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModuleNotFoundError, match=f"needs {package}: pip install {package}"):
        make()
