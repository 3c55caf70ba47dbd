"""`memoalg bench`: what it prints, what it refuses, and how it measures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg as ma
from memoalg.cli import _bench, _gpu_target, main
from memoalg.cli._bench_program import (
    ForGPU,
    layer_program,
    monoid_program,
    random_arguments,
    size_of,
)
from memoalg.cli._gpu_target import how_to_install, installed_compiler
from memoalg.cli._gpu_times import copy_bandwidth, time_calls

needs_compiler = pytest.mark.skipif(
    installed_compiler() is None, reason=f"needs the compiler: {how_to_install()}"
)
COUNTS = ["bench", "gpu-counts", "--length", "16", "--batch", "2", "--width", "4"]
OWN = """
import jax.numpy as jnp
import memoalg as ma


class Semigroup(ma.AbstractSemigroup):
    @property
    def element(self):
        return jnp.zeros(2)

    def combine(self, left, right):
        return right
"""


# The program that is measured


def affine(**how):
    sizes = {"length": 8, "batch": 3, "axis": 0}
    return monoid_program(ma.Affine(4), ma.Sequential(), **{**sizes, **how})


@pytest.mark.parametrize("axis", [0, 1])
def test_a_monoid_runs_over_a_batch(axis):
    program = affine(axis=axis)
    moving, fixed = random_arguments((program.moving, program.fixed), seed=0)
    last, states = program.function(moving, fixed)
    state, ((decays, inputs), queries) = moving
    assert queries is None
    assert states.shape == ((3, 8, 4) if axis == 0 else (8, 3, 4))
    member = tuple(jnp.take(x, 1, axis=axis) for x in (decays, inputs, fixed[1]))
    expected = ma.trajectory(ma.Affine(4), state[1], member[:2], member[2])
    np.testing.assert_allclose(last[1], expected[0], rtol=1e-6)
    np.testing.assert_allclose(jnp.take(states, 1, axis=axis), expected[1], rtol=1e-6)


def test_the_ideal_is_each_argument_and_result_once_and_backward_again():
    program = affine()
    steps, state, flags = 3 * 8 * 4 * 4, 3 * 4 * 4, 3 * 8
    forward = (state + 2 * steps + flags) + (state + steps)
    assert program.ideal(gradient=False) == forward
    backward = (state + 2 * steps) + (state + steps) + (state + 2 * steps)
    assert program.ideal(gradient=True) == forward + backward


def test_the_gradient_is_that_of_the_forward_pass():
    program = affine()
    both, shapes = program.gradient()
    moving, fixed, cotangents = random_arguments(shapes, seed=1)
    results, others, (gradients,) = both(moving, fixed, cotangents)
    assert jax.tree.leaves(others) == []

    def loss(moving):
        found = program.function(moving, fixed)
        return sum(map(jnp.vdot, jax.tree.leaves(found), jax.tree.leaves(cotangents)))

    expected = jax.grad(loss)(moving)
    for a, b in zip(jax.tree.leaves(gradients), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
    assert size_of(results) == size_of(program.forward()[0](moving, fixed))


def test_whole_numbers_have_no_gradient():
    program = monoid_program(ma.Count(), ma.Sequential(), length=5, batch=2, axis=0)
    both, shapes = program.gradient()
    _, others, _ = both(*random_arguments(shapes, seed=0))
    assert [x.shape for x in jax.tree.leaves(others)] == [(2,), (2, 5)]


def test_outer_products_are_read_and_not_returned():
    sizes = {"length": 5, "batch": 2, "axis": 0}
    program = monoid_program(ma.GatedOuter(3, 4), ma.Chunked(), **sizes)
    _, reads = jax.eval_shape(program.function, program.moving, program.fixed)
    assert reads.shape == (2, 5, 4)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_layer_runs_over_a_batch(axis):
    layer = ma.nn.LRU(3, 2, 4, key=jax.random.key(0))
    sizes = {"length": 5, "batch": 2, "width": 9, "axis": axis}
    program = layer_program(layer, ma.Sequential(), **sizes)
    moving, fixed = random_arguments((program.moving, program.fixed), seed=0)
    _, ys = program.function(moving, fixed)
    xs, start = (jnp.take(x, 1, axis=axis) for x in (moving[1], fixed[2]))
    # Parameters are those of the layer, not drawn ones; the first carry is drawn.
    carry = jax.tree.map(lambda x: x[1], fixed[1])
    np.testing.assert_allclose(
        jnp.take(ys, 1, axis=axis), layer(carry, xs, start)[1], rtol=1e-5, atol=1e-6
    )


def test_auto_is_what_the_planner_chooses_for_a_gpu(monkeypatch):
    asked = []

    def plan(monoid, *, length, platform, reads):
        asked.append((length, platform, reads))
        return ma.plan(monoid, length=length, platform="cpu")

    monkeypatch.setattr("memoalg.cli._bench_program.plan", plan)
    _, states = ma.trajectory(ma.Add(), jnp.float32(0), jnp.ones(70), None, method=ForGPU())
    assert asked == [(70, "cuda", False)]
    assert states[-1] == 70


@pytest.mark.parametrize(
    ("forward", "gradient", "passes"),
    [(False, False, 2), (True, True, 2), (True, False, 1), (False, True, 1)],
)
def test_one_pass_or_both(forward, gradient, passes):
    found = _bench._passes(_bench.Subject(forward=forward, gradient=gradient))
    assert len(found) == passes
    if passes == 1:
        assert found[0][1] == gradient


# Counts


def test_without_the_compiler_one_line_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setattr(_gpu_target, "installed_compiler", lambda: None)
    _gpu_target._device.cache_clear()
    assert main(COUNTS) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "compiling for a GPU needs its compiler: pip install absl-py jax-cuda1" in lines[0]


@needs_compiler
@pytest.mark.parametrize(
    ("options", "title"),
    [
        ("--memory lru --method sequential", "lru, sequential, T=16, B=2, width 4"),
        ("--memory memoalg:Affine --args 4", "memoalg:Affine(4), auto, T=16, B=2"),
        ("--memory memoalg.nn:GRU --args 4 4", "memoalg.nn:GRU(4, 4), auto, T=16, B=2"),
    ],
    ids=["model", "monoid", "layer"],
)
def test_counts_of_a_memory(options, title, capsys):
    assert main([*COUNTS, *options.split(), "--forward"]) == 0
    first, titles, row = capsys.readouterr().out.splitlines()
    assert first == f"{title}, compiled for h100"
    assert titles.split() == list(_bench.COUNT_TITLES)
    name, launches, *_ = row.split()
    assert name == "forward"
    assert 1 <= int(launches) < 200


@needs_compiler
def test_counts_of_both_passes_on_another_gpu(capsys):
    options = "--memory memoalg:Add --args 4 --method associative --batch-axis 1 --target a100"
    assert main([*COUNTS, *options.split()]) == 0
    first, _, forward, both = capsys.readouterr().out.splitlines()
    assert first.endswith("compiled for a100")
    assert forward.startswith("forward ")
    assert both.startswith("forward + backward ")


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "own_semigroup.py"
    path.write_text(OWN)
    return path


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("bench gpu-count", "unknown entry 'gpu-count'; did you mean gpu-counts?"),
        ("bench nothing", "there are gpu-counts, gpu-times"),
        ("bench gpu-counts --length 0", "--length is at least 1, got 0"),
        ("bench gpu-counts --method quickly", "invalid choice 'quickly'"),
        ("bench gpu-counts --target b9", "invalid choice 'b9'"),
        ("bench gpu-counts --memory nothing", "unknown model 'nothing'"),
        ("bench gpu-counts --memory memoalg:NoSuch", "bench gpu-counts: memoalg has no 'NoSuch'"),
        ("bench gpu-counts --memory memoalg:MatMul", "give its arguments after --args"),
        ("bench gpu-counts --memory memoalg:multiply", "neither a monoid nor a layer"),
        ("bench gpu-counts --memory {own}:Semigroup", "has no identity: write ma.WithIdentity"),
        ("bench gpu-counts --method chunked --chunk 0", "Chunked: size is "),
        ("bench gpu-times --samples 0", "--samples is at least 1, got 0"),
    ],
)
def test_mistakes_are_one_line(options, message, own, capsys, monkeypatch):
    # What is asked for is checked before anything is compiled.
    monkeypatch.setattr(_bench, "sharding_on", lambda target: None)
    assert main(options.replace("{own}", str(own)).split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_the_entries_have_help(capsys):
    assert main(["bench"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in _bench.ENTRIES)
    for name in _bench.ENTRIES:
        assert main(["bench", name, "--help"]) == 0
        assert "--memory" in capsys.readouterr().out


# Times


@pytest.mark.skipif(jax.default_backend() == "gpu", reason="there is a GPU")
def test_without_a_gpu_one_line_says_so(capsys):
    assert main(["bench", "gpu-times"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "there is no GPU that jax can use; memoalg bench gpu-counts needs none" in line


def test_times_of_a_memory(capsys, monkeypatch):
    # The CPU stands in: what is measured is the same.
    monkeypatch.setattr(_bench, "_gpu", lambda: jax.devices("cpu")[0])
    monkeypatch.setattr(_bench, "copy_bandwidth", lambda device: 2e9)
    options = (
        "--memory memoalg:Affine --args 4 --method sequential --length 16 --batch 2 --samples 3"
    )
    assert main(["bench", "gpu-times", *options.split()]) == 0
    first, titles, forward, both = capsys.readouterr().out.splitlines()
    assert first.startswith("memoalg:Affine(4), sequential, T=16, B=2, on ")
    assert first.endswith("; copy: 2 GB/s")
    assert titles.endswith("share of a copy's")
    for row in (forward, both):
        *_, middle, fastest, slowest, bandwidth, share = row.split()
        assert float(fastest) <= float(middle) <= float(slowest)
        assert float(share) == pytest.approx(float(bandwidth) / 2, abs=0.1)


class Clock:
    """Time that passes only in calls of `work`, the first of which is slow."""

    def __init__(self, seconds: float):
        self.now, self.seconds, self.calls = 0.0, seconds, 0

    def work(self, x):
        self.calls += 1
        self.now += 100.0 if self.calls == 1 else self.seconds
        return x


def test_times_are_of_calls_after_the_first(monkeypatch):
    clock = Clock(0.002)
    monkeypatch.setattr("time.perf_counter", lambda: clock.now)
    times = time_calls(clock.work, [jnp.ones(1)], samples=5, least_seconds=0.01)
    assert times.seconds == pytest.approx(0.002)
    assert (times.calls, times.fastest) == (5, pytest.approx(0.002))
    # Two to warm up, one and five to estimate, five samples.
    assert clock.calls == 2 + 1 + 5 + 5 * 5


def test_a_copy_moves_its_bytes_twice(monkeypatch):
    seen = []

    def time_calls(call, arguments, **how):
        seen.append((call(*arguments).nbytes, how["samples"]))
        return _bench.Times(seconds=0.5, fastest=0.5, slowest=0.5, calls=1)

    monkeypatch.setattr("memoalg.cli._gpu_times.time_calls", time_calls)
    assert copy_bandwidth(jax.devices("cpu")[0], size=4096, samples=2) == 2 * 4096 / 0.5
    assert seen == [(4096, 2)]


def test_drawn_arguments_are_such_as_nothing_overflows():
    leaf = jax.ShapeDtypeStruct
    tree = {
        "f": leaf((500,), jnp.float32),
        "c": leaf((500,), jnp.complex64),
        "i": leaf((3,), jnp.int32),
        "b": leaf((5000,), jnp.bool_),
        "p": jnp.full(2, 7.0),
    }
    drawn = random_arguments(tree, seed=3)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), drawn) == jax.tree.map(
        lambda x: (x.shape, x.dtype), tree
    )
    assert 0.1 <= float(drawn["f"].min()) < float(drawn["f"].max()) < 0.9
    np.testing.assert_allclose(jnp.abs(drawn["c"]), 0.9, rtol=1e-6)
    assert 20 < int(drawn["b"].sum()) < 200
    assert drawn["p"] is tree["p"]
