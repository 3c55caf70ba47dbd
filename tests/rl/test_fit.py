"""The driver: nothing it does changes what is learned, and everything it learned is on the disk."""

import dataclasses
import json
import os
import signal
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memoalg import rl
from memoalg.rl import NoProgress, RunFolder, _checkpoint, _fit, _run
from memoalg.rl._layout import Layout
from memoalg.rl._metrics import RowFile
from memoalg.rl._progress import AbstractProgress

from .fake_algorithm import FRAMES, FakeAlgorithm, FakeConfig
from .test_checkpoint import same
from .worlds import Ticker

UPDATES = 20
STEPS = UPDATES * FRAMES
KEY = jax.random.key(0)


def fit(algo=None, key=KEY, steps: Any = STEPS, **options: Any):
    """`fit` without output and with few episodes."""
    options = {"evaluation_episodes": 4, "progress": NoProgress(), **options}
    return rl.fit(algo or FakeAlgorithm(), key, steps, **options)


@pytest.fixture(scope="module")
def plain():
    """The run that nothing disturbed."""
    return fit()


class Script(AbstractProgress):
    """Does something after a given number of chunks."""

    def __init__(self, chunks, action):
        self.chunks, self.action = chunks, action

    def message(self, text):
        pass

    def report(self, report):
        self.chunks -= 1
        if self.chunks == 0:
            self.action()

    def close(self):
        pass


def files(path):
    """What must be the same however often a run was interrupted."""
    folder = RunFolder(path)
    return folder.metrics.read_bytes(), folder.evaluation.read_bytes()


# Nothing changes what is learned


def test_fit_is_init_and_updates(plain):
    algo = FakeAlgorithm()
    state, losses = jax.jit(algo.init)(KEY), []
    update = jax.jit(algo.update)
    for _ in range(UPDATES):
        state, metrics = update(state)
        losses.append(float(metrics.policy_loss))
    same(plain.state, state)
    np.testing.assert_allclose(plain.metrics["policy_loss"], [losses], rtol=1e-6)
    assert plain.steps == STEPS


@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_the_chunk_does_not_matter(chunk, plain):
    result = fit(chunk=chunk)
    same(result.state, plain.state)
    for name, values in plain.metrics.items():
        np.testing.assert_array_equal(result.metrics[name], values)


def test_evaluation_does_not_disturb(plain, tmp_path):
    result = fit(evaluate_every=3 * FRAMES, checkpoint_dir=tmp_path, checkpoint_seconds=0)
    same(result.state, plain.state)
    same(result.evaluation, plain.evaluation)
    rows = RunFolder(tmp_path).evaluation_rows()
    assert [row["update"] for row in rows] == [3, 6, 9, 12, 15, 18, 20]


def test_evaluation_has_a_stream_of_its_own(plain):
    """Not the state's key, which training will use; another one for every evaluation and run."""
    seen = np.asarray(plain.evaluation.returns)
    assert not np.array_equal(seen, fit(key=jax.random.key(1)).evaluation.returns)
    noise = (seen - np.asarray(plain.state.agent.params["w"][0])) / 0.1
    for key in (plain.state.key, KEY):
        assert not np.allclose(noise, jax.random.normal(key, (4,)), atol=1e-3)


def test_every_evaluation_draws_anew(tmp_path):
    """Of an agent that does not change."""
    algo = FakeAlgorithm(FakeConfig(rate=0.0))
    fit(algo, checkpoint_dir=tmp_path, evaluate_every=10 * FRAMES)
    first, second = RunFolder(tmp_path).evaluation_rows()
    assert first["update"] != second["update"]
    assert first["returns"] != second["returns"]


def test_steps_are_rounded_up_to_whole_updates():
    assert fit(steps=1).steps == FRAMES
    assert fit(steps=FRAMES + 1).steps == 2 * FRAMES


def test_an_old_key_is_as_good(plain):
    same(fit(key=jax.random.key_data(KEY)).state, plain.state)
    jax.random.split(KEY)  # the caller's key was not given away


def test_only_complete_episodes_count(plain):
    complete = np.asarray(plain.evaluation.complete)
    assert complete.sum() == 3
    np.testing.assert_array_equal(
        plain.complete_returns()[0], plain.evaluation.returns[0][complete[0]]
    )


# Seeds


def test_several_seeds_are_the_separate_runs():
    """Bit for bit on a CPU, where they run one after another in one program."""
    keys = jax.random.split(KEY, 3)
    together = fit(seeds=3)
    for i in range(3):
        alone = fit(key=keys[i])
        for part in ("agent", "rollout", "key"):
            mine = jax.tree.map(lambda x, i=i: x[i], getattr(together.state, part))
            same(mine, getattr(alone.state, part))
        same(together.state.shared, alone.state.shared)  # counters have no axis of seeds
        np.testing.assert_array_equal(together.evaluation.returns[i], alone.evaluation.returns[0])
        np.testing.assert_array_equal(together.metrics["return"][i], alone.metrics["return"][0])


def test_several_seeds_by_vmap_agree(monkeypatch):
    """What an accelerator does."""
    looped = fit(seeds=3)
    monkeypatch.setattr(_fit, "choose_layout", lambda members: Layout(members, False))
    mapped = fit(seeds=3)
    assert mapped.state.shared.update.shape == ()
    np.testing.assert_allclose(
        mapped.state.agent.params["w"], looped.state.agent.params["w"], rtol=1e-5
    )
    np.testing.assert_allclose(mapped.evaluation.returns, looped.evaluation.returns, rtol=1e-5)


def test_seeds_resume(tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    a = fit(seeds=2, checkpoint_dir=whole)
    fit(seeds=2, steps=STEPS // 2, checkpoint_dir=cut)
    b = fit(seeds=2, checkpoint_dir=cut, resume=True)
    same(b.state, a.state)
    assert files(whole) == files(cut)


# Resume


def test_a_longer_run_goes_on(plain, tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    options: dict[str, Any] = {"evaluate_every": 4 * FRAMES}
    fit(checkpoint_dir=whole, **options)
    for updates in (1, 6, 7, UPDATES, UPDATES):
        result = fit(steps=updates * FRAMES, checkpoint_dir=cut, resume=True, **options)
    same(result.state, plain.state)
    assert files(whole) == files(cut)
    np.testing.assert_array_equal(result.metrics["policy_loss"], plain.metrics["policy_loss"])


def test_a_damaged_checkpoint_costs_only_time(plain, tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    fit(checkpoint_dir=whole)
    fit(steps=STEPS // 2, checkpoint_dir=cut, checkpoint_seconds=0)
    newest = _checkpoint.checkpoint_paths(cut / "checkpoints")[-1]
    newest.write_bytes(newest.read_bytes()[:100])
    with pytest.warns(UserWarning, match="damaged checkpoint"):
        result = fit(checkpoint_dir=cut, resume=True)
    same(result.state, plain.state)
    assert files(whole) == files(cut)


def test_resume_where_nothing_was_saved_begins(plain, tmp_path):
    same(fit(checkpoint_dir=tmp_path / "new", resume=True).state, plain.state)
    folder = RunFolder(tmp_path / "early")
    fit(steps=FRAMES, checkpoint_dir=folder.path)
    for path in folder.checkpoints.iterdir():
        path.unlink()
    same(fit(checkpoint_dir=folder.path, resume=True).state, plain.state)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"algo": FakeAlgorithm(FakeConfig(rate=0.2))},
            r"config\.rate: saved 0\.1, requested 0\.2",
        ),
        ({"seeds": 2}, "seeds: saved 1, requested 2"),
        ({"key": jax.random.key(9)}, r"key\[0\]\[1\]: saved 0, requested 9"),
    ],
    ids=["config", "seeds", "key"],
)
def test_another_configuration_is_refused(changed, message, tmp_path):
    fit(steps=FRAMES, checkpoint_dir=tmp_path)
    before = files(tmp_path)
    with pytest.raises(rl.CheckpointError, match=message):
        fit(checkpoint_dir=tmp_path, resume=True, **changed)
    assert files(tmp_path) == before


def test_a_run_is_not_overwritten(tmp_path):
    fit(steps=FRAMES, checkpoint_dir=tmp_path)
    with pytest.raises(FileExistsError, match="already holds a run: continue it with resume=True"):
        fit(checkpoint_dir=tmp_path)


def test_a_longer_run_is_not_cut_short(tmp_path):
    fit(steps=2 * FRAMES, checkpoint_dir=tmp_path)
    with pytest.raises(rl.FitArgumentError, match="holds a run of 64 steps, more than the 32"):
        fit(steps=FRAMES, checkpoint_dir=tmp_path, resume=True)


def test_rows_changed_from_outside_are_noticed(tmp_path):
    fit(steps=4 * FRAMES, checkpoint_dir=tmp_path)
    path = RunFolder(tmp_path).metrics
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:2]))
    with pytest.raises(ValueError, match="has 2 rows up to update 4, expected 4"):
        fit(checkpoint_dir=tmp_path, resume=True)


# Trouble on the way


def test_ctrl_c_saves_and_the_rest_follows(plain, tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    fit(checkpoint_dir=whole)
    before = signal.getsignal(signal.SIGINT)
    press = Script(1, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt, match=r"stopped after update \d+; saved in"):
        fit(checkpoint_dir=cut, chunk=2, progress=press)
    assert signal.getsignal(signal.SIGINT) is before
    saved = json.loads(RunFolder(cut).metrics.read_text().splitlines()[-1])["update"]
    assert 0 < saved < UPDATES
    same(fit(checkpoint_dir=cut, resume=True).state, plain.state)
    assert files(whole) == files(cut)


def test_ctrl_c_without_a_folder():
    press = Script(1, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt, match="nothing was saved"):
        fit(chunk=2, progress=press)


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_loss_that_is_nan_stops_before_it_does_harm(seeds, tmp_path):
    algo = FakeAlgorithm(FakeConfig(nan_at=11))
    with pytest.raises(rl.NonFiniteLossError, match=r"update 11: policy_loss of seed 0") as caught:
        fit(algo, seeds=seeds, checkpoint_dir=tmp_path, chunk=4)
    assert caught.value.update == 11
    good = fit(algo, steps=10 * FRAMES, seeds=seeds)
    same(caught.value.state, good.state)
    found = rl.load_run(tmp_path, algo)
    assert found.update == 10
    same(found.state, good.state)
    assert RunFolder(tmp_path).metric_rows()[-1]["update"] == 10


def test_a_full_disk_names_the_last_good_checkpoint(tmp_path, monkeypatch):
    real, calls = _checkpoint.save_checkpoint, []

    def save(*args, **kwargs):
        calls.append(args)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        return real(*args, **kwargs)

    monkeypatch.setattr(_checkpoint, "save_checkpoint", save)
    message = r"could not write to .* \(No space left on device\); the last good .*00000002\.ckpt"
    with pytest.raises(OSError, match=message):
        fit(checkpoint_dir=tmp_path, chunk=2, checkpoint_seconds=0)
    assert rl.load_run(tmp_path, FakeAlgorithm()).update == 2


def test_rows_are_on_the_disk_before_the_checkpoint_that_counts_on_them(tmp_path, monkeypatch):
    """Otherwise a power cut could leave a checkpoint whose rows are gone."""
    order = []
    real, sync = _checkpoint.save_checkpoint, RowFile.sync

    def save(*args, **kwargs):
        order.append("save")
        return real(*args, **kwargs)

    def synced(self):
        order.append("sync")
        sync(self)

    monkeypatch.setattr(_checkpoint, "save_checkpoint", save)
    monkeypatch.setattr(RowFile, "sync", synced)
    fit(steps=2 * FRAMES, checkpoint_dir=tmp_path)
    assert order == ["sync", "sync", "sync", "save"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps must be an int of at least 1, got 0"),
        ({"seeds": 0}, "seeds must be an int of at least 1"),
        ({"chunk": -1}, "chunk must be an int of at least 1"),
        ({"keep": 0}, "keep must be an int of at least 1"),
        ({"evaluation_episodes": 0}, "evaluation_episodes must be an int"),
        ({"evaluate_every": 0}, "evaluate_every must be an int"),
        ({"steps": 1e6}, r"steps must be an int of at least 1, got 1000000\.0"),
        ({"seeds": True}, "seeds must be an int"),
        ({"checkpoint_seconds": -1.0}, "checkpoint_seconds must be at least 0"),
        ({"checkpoint_seconds": float("nan")}, "checkpoint_seconds must be at least 0"),
        ({"resume": True}, "resume=True needs checkpoint_dir"),
    ],
    ids=str,
)
def test_bad_arguments(options, message, without_hook):
    with pytest.raises(rl.FitArgumentError, match=message):
        fit(**options)


# What it leaves behind


def test_the_run_folder(tmp_path):
    result = fit(checkpoint_dir=tmp_path, seeds=2, keep=3, checkpoint_seconds=0, chunk=4)
    folder = RunFolder.open(tmp_path)
    assert folder.seeds == 2
    rows = folder.metric_rows()
    assert [(r["update"], r["seed"]) for r in rows[:3]] == [(1, 0), (1, 1), (2, 0)]
    assert len(rows) == 2 * UPDATES
    assert folder.curve.read_bytes().startswith(b"\x89PNG")
    assert len(list(folder.checkpoints.iterdir())) == 3
    assert result.folder == tmp_path
    timing = [json.loads(line) for line in folder.timing.read_text().splitlines()]
    assert [t["update"] for t in timing] == [4, 8, 12, 16, 20]
    (last,) = {row["mean"] for row in folder.evaluation_rows() if row["seed"] == 1}
    assert last == pytest.approx(result.complete_returns()[1].mean(), rel=1e-6)
    assert all(path.name[0] != "." for path in tmp_path.rglob("*"))


def test_two_runs_write_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        fit(checkpoint_dir=tmp_path / name)
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_without_matplotlib_a_line_says_so(tmp_path, monkeypatch):
    said = []
    progress = Script(0, None)
    monkeypatch.setattr(progress, "message", said.append)
    monkeypatch.setattr(_run, "find_spec", lambda name: None)
    fit(steps=FRAMES, checkpoint_dir=tmp_path, progress=progress)
    assert 'pip install "memoalg[plot]"' in said[-1]


def test_the_result_prints_what_one_wants_to_know(plain, tmp_path):
    text = str(plain)
    assert text.startswith("640 steps, ")
    assert "seed 0: evaluation return " in text
    assert "(3 greedy episodes)" in text
    several = str(fit(seeds=2, steps=FRAMES, checkpoint_dir=tmp_path))
    assert "all 2 seeds: evaluation return" in several
    assert several.endswith(f"run folder: {tmp_path}")


def test_a_saved_run_can_be_evaluated(plain, tmp_path):
    algo = FakeAlgorithm()
    fit(checkpoint_dir=tmp_path)
    loaded = rl.load_run(tmp_path, algo)
    assert loaded.update == UPDATES
    same(loaded.state, plain.state)
    result = rl.evaluate_run(algo, loaded.state, jax.random.key(5), 6)
    assert result.returns.shape == (1, 6)
    expected = algo.evaluate(plain.state, jax.random.key(5), 6)
    np.testing.assert_allclose(result.returns[0], expected.returns, rtol=1e-6)
    with pytest.raises(rl.CheckpointError, match=r"another algorithm: config\.rate: saved 0\.1"):
        rl.load_run(tmp_path, FakeAlgorithm(FakeConfig(rate=0.3)))


# The real thing


def test_ppo_in_one_piece_in_chunks_and_stopped_on_the_way(tmp_path):
    """`train`, `fit`, and `fit` that was stopped and resumed: one state, bit for bit."""
    config = rl.PPOConfig(num_envs=4, num_steps=8, minibatches=2, epochs=2)
    algo = rl.PPO(Ticker(), None, rl.ActorCritic("lru", width=8), config)
    steps = 7 * algo.frames_per_update
    expected, metrics = jax.jit(algo.train, static_argnums=1)(KEY, steps)
    fit(algo, steps=steps // 2, checkpoint_dir=tmp_path, chunk=3)
    resumed = fit(algo, steps=steps, checkpoint_dir=tmp_path, chunk=3, resume=True)
    same(resumed.state, expected)
    for field in dataclasses.fields(metrics):
        if field.name in resumed.metrics and field.name != "update":
            values = np.asarray(getattr(metrics, field.name), np.float32)
            np.testing.assert_array_equal(np.float32(resumed.metrics[field.name][0]), values)
    assert jnp.all(resumed.evaluation.complete)
