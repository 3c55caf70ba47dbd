"""Members of a sweep: the runs one would have made one by one, in one program."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memoalg import rl
from memoalg.rl import RunFolder, _fit, load_run
from memoalg.rl._layout import Layout, choose_layout
from memoalg.rl._members import state_shape, update_members
from memoalg.rl._population import Population, member_algorithm

from .fake_algorithm import FRAMES, FakeAlgorithm, FakeConfig
from .test_checkpoint import same
from .test_fit import KEY, files, fit

UPDATES = 12
STEPS = UPDATES * FRAMES
SWEEP = {"rate": [0.1, 0.3], "decay": [0.5, 0.9, 0.99]}
ALGO = FakeAlgorithm(FakeConfig(rate=0.2))


@pytest.fixture(scope="module")
def population():
    return Population(ALGO, seeds=2, sweep=SWEEP)


@pytest.fixture(scope="module")
def run(population, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    return fit(population, steps=STEPS, checkpoint_dir=folder, evaluate_every=4 * FRAMES)


def alone(values, key):
    """The member trained by itself, its values traced as they are in the population."""

    def train(values, key):
        own = member_algorithm(ALGO, values)
        body = lambda state, _: own.update(state)
        return jax.lax.scan(body, own.init(key), length=UPDATES)[0]

    arrays = {name: jnp.asarray(value, float) for name, value in values.items()}
    return jax.jit(train)(arrays, key)


def test_the_grid(population):
    assert population.size == 12
    assert [population.values(i) for i in (0, 1, 2, 6)] == [
        {"rate": 0.1, "decay": 0.5},
        {"rate": 0.1, "decay": 0.5},
        {"rate": 0.1, "decay": 0.9},
        {"rate": 0.3, "decay": 0.5},
    ]
    assert [population.seed(i) for i in range(4)] == [0, 1, 0, 1]
    stacked = population.stacked_values()
    for i in range(12):
        assert {k: np.float32(v[i]) for k, v in stacked.items()} == pytest.approx(
            population.values(i)
        )


def test_a_seed_has_the_same_key_at_every_point(population):
    words = np.asarray(jax.random.key_data(population.keys(KEY))).tolist()
    expected = np.asarray(jax.random.key_data(jax.random.split(KEY, 2))).tolist()
    assert words == expected * 6


def test_every_member_is_the_run_it_would_have_been_alone(population, run):
    """To the last digits, in whose rounding two programs may differ; `test_bit_for_bit` is stricter."""
    keys = jax.random.split(KEY, 2)
    for i in (0, 3, 11):
        own = run.member(i)
        assert (own.index, own.seed, own.values) == (i, i % 2, population.values(i))
        wanted = alone(own.values, keys[i % 2])
        mine, theirs = (jax.random.key_data(state.key) for state in (own.state, wanted))
        np.testing.assert_array_equal(mine, theirs)
        trees = own.state.agent, wanted.agent
        for mine, theirs in zip(*map(jax.tree.leaves, trees), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)
    assert run.state.shared.update.shape == ()


def test_constants_agree_with_traced_values(run):
    point = {"rate": 0.3, "decay": 0.9}
    constant = fit(ALGO.with_config(**point), steps=STEPS, seeds=2)
    for seed in range(2):
        i = 8 + seed
        assert run.member(i).values == point
        np.testing.assert_allclose(
            run.member(i).state.agent.params["w"], constant.member(seed).state.agent.params["w"],
            rtol=1e-5,
        )  # fmt: skip


def test_seeds_are_a_population_without_a_sweep():
    same(fit(ALGO, seeds=2, steps=STEPS).state, fit(Population(ALGO, 2), steps=STEPS).state)


def test_one_member_has_a_state_without_an_axis():
    one = fit(Population(ALGO, sweep={"rate": [0.1]}), steps=STEPS)
    assert one.state.key.shape == ()
    same(one.member(0).state, alone({"rate": 0.1}, KEY))


def test_rows_say_whose_they_are(run):
    rows = RunFolder.open(run.folder).metric_rows()
    assert len(rows) == 12 * UPDATES
    assert [(r["update"], r["member"], r["seed"]) for r in rows[10:13]] == [
        (1, 10, 0), (1, 11, 1), (2, 0, 0)]  # fmt: skip
    assert (rows[8]["config.rate"], rows[8]["config.decay"]) == (0.3, 0.9)
    np.testing.assert_array_equal(run.metrics["config.rate"][:, 0], [0.1] * 6 + [0.3] * 6)
    assert run.metrics["policy_loss"].shape == (12, UPDATES)
    evaluations = RunFolder.open(run.folder).evaluation_rows()
    assert [(r["update"], r["member"]) for r in evaluations[11:13]] == [(4, 11), (8, 0)]


def test_seeds_alone_write_the_rows_they_always_did(tmp_path):
    fit(ALGO, seeds=2, steps=FRAMES, checkpoint_dir=tmp_path)
    (first, second) = RunFolder(tmp_path).metric_rows()
    assert (first["seed"], second["seed"]) == (0, 1)
    assert not [name for name in first if name == "member" or name.startswith("config.")]


def test_a_sweep_resumes_bit_for_bit(population, run, tmp_path):
    options: dict[str, Any] = {"checkpoint_dir": tmp_path, "evaluate_every": 4 * FRAMES}
    fit(population, steps=5 * FRAMES, chunk=3, **options)
    resumed = fit(population, steps=STEPS, chunk=3, resume=True, **options)
    same(resumed.state, run.state)
    assert files(tmp_path) == files(run.folder)
    other = Population(ALGO, 2, {**SWEEP, "rate": [0.1, 0.4]})
    with pytest.raises(rl.CheckpointError, match=r"sweep\.rate\[1\]: saved 0\.3, requested 0\.4"):
        fit(other, steps=STEPS, resume=True, **options)


def test_the_best_member_is_saved_by_itself(run):
    means = [returns.mean() for returns in run.complete_returns()]
    assert run.best == int(np.argmax(means)) != 0
    found = load_run(run.folder, ALGO, member="best")
    same(found.state, run.member(run.best).state)
    assert found.config["of"]["member"] == run.best
    assert found.update == UPDATES
    same(load_run(run.folder, ALGO, member=4).state, run.member(4).state)
    same(load_run(run.folder, ALGO).state, run.state)
    # It is an ordinary state: its own values were needed to make it, none to go on from it.
    jax.jit(member_algorithm(ALGO, run.member(run.best).values).update)(found.state)


def test_there_is_no_such_member(run):
    with pytest.raises(IndexError, match="member 12 of 12: write 0 to 11"):
        run.member(12)
    with pytest.raises(IndexError, match="has members 0 to 11, not 12"):
        load_run(run.folder, ALGO, member=12)


def test_the_summary_has_a_line_for_every_point(run):
    text = str(run)
    assert "rate=0.1, decay=0.99: evaluation return " in text
    assert f"best: member {run.best} (rate=" in text
    assert "all 12 members: evaluation return" in text


def test_a_loss_that_is_nan_names_the_member():
    algo = FakeAlgorithm(FakeConfig(nan_at=3))
    message = r"update 3: policy_loss of member 0 \(rate=0.1, seed 0\), policy_loss of member 1"
    with pytest.raises(rl.NonFiniteLossError, match=message):
        fit(Population(algo, sweep={"rate": [0.1, 0.2]}), steps=STEPS)


def test_a_population_that_was_trained_can_be_evaluated(population, run):
    key = jax.random.key(5)
    result = rl.evaluate_run(population, run.state, key, 6)
    assert result.returns.shape == (12, 6)
    own = ALGO.evaluate(run.member(7).state, jax.random.split(key, 2)[1], 6)
    np.testing.assert_allclose(result.returns[7], own.returns, rtol=1e-5)


# Refused


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        ({"width": [3, 4]}, r"'width' cannot be swept: it is 3, and only a float .*: rate, decay$"),
        ({"bound": [1.0]}, "'bound' cannot be swept: it is None"),
        ({"learning_rte": [0.1]}, "FakeConfig has no such field; these can: rate, decay"),
        ({"rate": []}, r"must be a list of different finite numbers, such as .*, not \[\]"),
        ({"rate": [0.1, 0.1]}, "must be a list of different finite numbers"),
        ({"rate": [float("nan")]}, "must be a list of different finite numbers"),
        ({"rate": 0.1}, r"such as \[3e-4, 1e-3\], not 0\.1"),
        ({"rate": ["a"]}, r"such as \[3e-4, 1e-3\], not \['a'\]"),
        ({"rate": [0.1, -1.0]}, r"FakeConfig: rate must be at least 0, not -1\.0"),
    ],
    ids=["size", "none", "typo", "empty", "twice", "nan", "number", "word", "refused"],
)
def test_what_cannot_be_swept(sweep, message, without_hook):
    with pytest.raises(ValueError, match=message):
        Population(ALGO, sweep=sweep)


def test_seeds_are_said_once(population, without_hook):
    with pytest.raises(rl.FitArgumentError, match=r"write Population\(algo, seeds=3, sweep="):
        fit(population, seeds=3)
    with pytest.raises(rl.FitArgumentError, match="seeds must be an int of at least 1"):
        Population(ALGO, seeds=0)


class Bare:
    frames_per_update = FRAMES
    init = update = evaluate = None


def test_without_a_configuration_there_is_nothing_to_sweep(without_hook):
    bare: Any = Bare()
    with pytest.raises(rl.FitArgumentError, match="Bare cannot be swept over: it has no `config`"):
        Population(bare, sweep={"rate": [0.1]})


# How members are mapped


class Branching(eqx.Module):
    """Does something only after every other update."""

    inner: FakeAlgorithm = FakeAlgorithm()

    @property
    def config(self):
        return self.inner.config

    @property
    def frames_per_update(self):
        return FRAMES

    def with_config(self, **changes):
        return Branching(self.inner.with_config(**changes))

    def init(self, key):
        return self.inner.init(key)

    def update(self, state):
        even = state.shared.update % 2 == 0
        key = jax.lax.cond(even, lambda k: k, lambda k: jax.random.fold_in(k, 1), state.key)
        return self.inner.update(type(state)(state.shared, state.agent, state.rollout, key))

    def evaluate(self, state, key, episodes, *, greedy=True):
        return self.inner.evaluate(state, key, episodes, greedy=greedy)


@pytest.mark.parametrize("sequential", [True, False], ids=["lax.map", "vmap"])
def test_a_branch_on_a_shared_counter_survives(sequential):
    """Under vmap a branch on a mapped counter would become a select of both sides."""
    population = Population(Branching(), seeds=2, sweep={"rate": [0.1, 0.2]})
    layout = Layout(population.size, sequential)
    states = state_shape(population, layout)
    values = population.stacked_values()
    update = lambda values, state: update_members(population.algo, layout, values, state)
    assert "cond[" in str(jax.make_jaxpr(update)(values, states))
    # The other way round it would not: the test can fail.
    batched = jax.tree.map(lambda x: jax.ShapeDtypeStruct((4, *x.shape), x.dtype), states.shared)
    apart = (batched, states.agent, states.rollout, states.key)
    mapped = jax.vmap(lambda *parts: Branching().update(type(states)(*parts)))
    assert "cond[" not in str(jax.make_jaxpr(mapped)(*apart))


def test_members_by_vmap_agree(population, run, monkeypatch):
    monkeypatch.setattr(_fit, "choose_layout", lambda members: Layout(members, False))
    mapped = fit(population, steps=STEPS, evaluate_every=4 * FRAMES)
    np.testing.assert_allclose(
        mapped.state.agent.params["w"], run.state.agent.params["w"], rtol=1e-5
    )
    np.testing.assert_allclose(mapped.evaluation.returns, run.evaluation.returns, rtol=1e-5)


def test_on_one_cpu_members_run_one_after_another():
    assert choose_layout(12) == Layout(12, True)


def test_a_chosen_device_is_used_alone():
    with jax.default_device(jax.devices()[0]):
        assert choose_layout(12) == Layout(12, True)


CHILD = """
import json, sys
import jax, numpy as np
from memoalg import rl
from memoalg.rl._layout import choose_layout
from memoalg.rl._population import Population
from tests.rl.fake_algorithm import FRAMES, FakeAlgorithm, FakeConfig

assert jax.device_count() == 2
population = Population(FakeAlgorithm(FakeConfig(rate=0.2)), seeds=2, sweep=json.loads(sys.argv[1]))
options = {"evaluation_episodes": 4, "progress": rl.NoProgress(), "evaluate_every": 4 * FRAMES}
folder, updates = sys.argv[2], int(sys.argv[3])
fit = lambda n, **more: rl.fit(population, jax.random.key(0), n * FRAMES, **options, **more)
result = fit(updates // 2, checkpoint_dir=folder)
assert len(choose_layout(population.size).devices) == 2
for leaf in jax.tree.leaves((result.state.agent, result.state.rollout, result.state.key)):
    assert not leaf.sharding.is_fully_replicated and len(leaf.sharding.device_set) == 2, leaf
result = fit(updates, checkpoint_dir=folder, resume=True)
again = rl.evaluate_run(population, result.state, jax.random.key(5), 6)
odd = rl.fit(FakeAlgorithm(), jax.random.key(0), FRAMES, seeds=3, **options)
assert len(odd.state.key.sharding.device_set) == 1
print(json.dumps(np.asarray(again.returns).tolist()))
"""


def test_two_devices_share_the_members(population, run, tmp_path):
    """In a process of its own, with two forced CPU devices; half of it resumed."""
    root = Path(__file__).parents[2]
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
    paths = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", CHILD, json.dumps(SWEEP), str(tmp_path), str(UPDATES)],
        env={**os.environ, "PYTHONPATH": paths, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # Written by two devices, read by one.
    found = load_run(tmp_path, ALGO)
    assert found.update == UPDATES
    for mine, theirs in zip(
        jax.tree.leaves(found.state.agent), jax.tree.leaves(run.state.agent), strict=True
    ):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)
    expected = rl.evaluate_run(population, run.state, jax.random.key(5), 6)
    np.testing.assert_allclose(json.loads(done.stdout), expected.returns, rtol=1e-5)
