"""The planner: a pure function, its table, and what Auto makes of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg as ma
from memoalg.nn.models._attention import SoftmaxWindow
from memoalg.scans._plan_table import ROWS, Kind, kind_of

OUTER = ma.GatedOuter(64, 64)
STACK = ma.Recent(64, k=8)
SEEN = SoftmaxWindow(8, 2, 16, 16)


@pytest.mark.parametrize(
    ("monoid", "kind"),
    [
        (ma.Affine(3), Kind.RECURRENCE),
        (ma.Affine(3, jnp.complex64), Kind.RECURRENCE),
        (ma.SemidirectProduct(ma.Add(3), ma.Max(3), ma.shift), Kind.RECURRENCE),
        (ma.Power(ma.Affine(3), 2), Kind.RECURRENCE),
        (ma.Max(3), Kind.DIAGONAL),
        (ma.Affine(3) * ma.Max(3), Kind.DIAGONAL),
        (OUTER, Kind.OUTER),
        (ma.Power(ma.DeltaRule(16, 16), 2), Kind.OUTER),
        (ma.StabilisedOuter(16, 16) * ma.Add(3), Kind.OUTER),
        (ma.Recent(3, k=4), Kind.WINDOW),
        (ma.Power(ma.Window(ma.Max(), 3), 2) * ma.Recent(3, k=4), Kind.WINDOW),
        (ma.MatrixAffine(4), Kind.WIDE),
        (ma.Moments(3), Kind.OTHER),
        (ma.Resettable(ma.Affine(3)), Kind.OTHER),
    ],
    ids=lambda value: value.name if isinstance(value, Kind) else type(value).__name__,
)
def test_every_monoid_has_a_class(monoid, kind):
    assert kind_of(monoid) is kind


@pytest.mark.parametrize(
    ("monoid", "options", "method"),
    [
        (ma.Affine(8), {"platform": "cpu"}, ma.Sequential()),
        (ma.Affine(8), {"platform": "cuda"}, ma.Kernel()),
        (ma.Affine(8), {"platform": "cuda", "capability": 7.0}, ma.Associative()),
        (ma.Affine(8), {"platform": "tpu"}, ma.Associative()),
        (ma.Moments(8), {"platform": "cuda"}, ma.Associative()),
        (OUTER, {"platform": "cpu", "reads": True}, ma.Chunked()),
        (OUTER, {"platform": "cpu", "reads": True, "gradient": False}, ma.Sequential()),
        (OUTER, {"platform": "cpu"}, ma.Sequential()),
        (OUTER, {"platform": "cuda", "reads": True}, ma.Chunked(ahead=True)),
        (ma.GatedOuter(4, 4), {"platform": "cpu", "reads": True}, ma.Sequential()),
        (STACK, {"platform": "cpu"}, ma.Gather()),
        (STACK, {"platform": "cpu", "gradient": False}, ma.Gather()),
        (STACK, {"platform": "cpu", "length": 2}, ma.Sequential()),
        (STACK, {"platform": "cuda", "reads": True}, ma.Gather(128)),
        (SEEN, {"platform": "cpu", "reads": True}, ma.Gather()),
        (SEEN, {"platform": "cpu", "reads": True, "gradient": False}, ma.Gather()),
        (ma.Window(ma.Max(3), 8), {"platform": "cpu", "reads": True}, ma.Sequential()),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else type(value).__name__,
)
def test_the_choice(monoid, options, method):
    assert ma.plan(monoid, **{"length": 1024, **options}).method == method


@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
@pytest.mark.parametrize("kind", Kind)
def test_every_class_has_a_method_that_always_runs(kind, platform):
    del platform
    assert any(kind in row.kinds and row.obstacle.__name__ == "_never" for row in ROWS)


def test_the_rejected_are_sorted_and_say_why():
    chosen = ma.plan(ma.Affine(8), length=1024, platform="cpu")
    seconds = [chosen.chosen.seconds, *(each.seconds for each in chosen.rejected)]
    assert seconds == sorted(seconds)
    (kernel,) = [each for each in chosen.rejected if each.method == ma.Kernel()]
    assert kernel.estimate is None
    assert "NVIDIA" in kernel.remark


def test_a_method_that_needs_more_memory_is_dropped():
    """The states of a matrix memory, stored for the gradient, are the larger part of everything."""
    free = ma.plan(ma.GatedOuter(4, 4), length=4096, platform="cpu", reads=True, batch=1)
    tight = ma.plan(
        ma.GatedOuter(4, 4), length=4096, platform="cpu", reads=True, batch=1, memory=100_000
    )
    assert free.method == ma.Sequential()
    assert tight.method == ma.Sequential(remat=32)
    assert free.chosen.estimate is not None
    assert free.chosen.estimate.temp > 100_000


def test_nothing_fits():
    with pytest.raises(ValueError, match="the least is"):
        ma.plan(ma.GatedOuter(8, 8), length=4096, platform="cpu", reads=True, memory=10)


@pytest.mark.parametrize(("length", "batch"), [(-1, 1), (1, 0)])
def test_lengths_and_batches_are_counts(length, batch):
    with pytest.raises(ValueError, match="length is 0 or more"):
        ma.plan(ma.Add(), length=length, batch=batch, platform="cpu")


def test_estimates_grow_with_what_is_run():
    short, long = (ma.plan(ma.Affine(8), length=t, platform="cuda").rejected for t in (64, 4096))
    for one, other in zip(short, long, strict=True):
        assert one.estimate is not None
        assert other.estimate is not None
        assert one.estimate.bytes < other.estimate.bytes
        assert one.estimate.launches < other.estimate.launches


def test_auto_runs_one_method_and_differentiates_another():
    """Without a gradient no chunk is formed, with it no stack of states."""
    monoid, length = ma.GatedOuter(16, 16, per_key=False), 64
    keys = jax.random.normal(jax.random.key(0), (3, length, 16))
    decays = jnp.full(length, 0.9)

    def run(method, keys):
        generators = keys[0], keys[1], decays
        state = monoid.initial_state()
        return ma.trajectory(monoid, state, generators, None, queries=keys[2], method=method)[1]

    def loss(method, keys):
        return jnp.sum(jnp.sin(run(method, keys)))

    plain = str(jax.make_jaxpr(lambda k: run(ma.Auto(), k))(keys))
    differentiated = str(jax.make_jaxpr(jax.grad(lambda k: loss(ma.Auto(), k)))(keys))
    assert f"f32[{length},16,16]" not in differentiated
    assert "custom_jvp_call" in plain
    found = jax.jit(jax.grad(lambda k: loss(ma.Auto(), k)))(keys)
    expected = jax.jit(jax.grad(lambda k: loss(ma.Sequential(), k)))(keys)
    np.testing.assert_allclose(found, expected, atol=2e-4, rtol=1e-4)
