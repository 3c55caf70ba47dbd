"""The kernel method: its kernels interpreted, its layouts, its gradients, and what it does not know."""

# Wrong calls are the point of some tests here.
# pyright: reportArgumentType=false, reportCallIssue=false

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg as ma
from memoalg.scans._kernel import Kernel, is_known
from memoalg.scans._kernel_back_end import _chosen
from memoalg.scans._kernel_body import Adjoint, Forward, Problem
from memoalg.scans._kernel_call import Call, Operands, Settings
from memoalg.scans._kernel_layout import Flat, flat, restored
from memoalg.scans._kernel_loop import run_loop
from memoalg.scans._kernel_mosaic import run_mosaic
from memoalg.scans._kernel_recurrence import AffineRecurrence
from memoalg.scans._kernel_split import chunks_for, run_split
from memoalg.scans._kernel_target import Target
from tests.registry import MONOIDS, generators, reachable_state

T = 19
START = np.zeros(T, bool)
START[[3, 4, 11]] = True
TRITON = Kernel("triton", chunks=1, interpret=True)
F32 = jnp.dtype("float32")


def jitted(function) -> Any:
    """Compiled without the fused multiply-adds that round differently from program to program."""
    options = {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": True}
    return jax.jit(function, compiler_options=options)


def weighed(tree):
    """A number that depends on every entry of every inexact leaf."""
    total = jnp.float32(0)
    for leaf in jax.tree.leaves(tree):
        parts = (leaf.real, leaf.imag) if jnp.iscomplexobj(leaf) else (leaf,)
        for part in parts:
            weights = jnp.cos(jnp.arange(part.size, dtype=jnp.float32)).reshape(part.shape)
            total += jnp.sum(jnp.sin(part.astype(jnp.float32)) * weights)
    return total


def trajectory(method, monoid, reverse, fixed, arguments):
    (acting, base), state, initial = arguments
    steps = (ma.Fixed(acting) if fixed else acting, base)
    start = jnp.asarray(START)
    return ma.trajectory(
        monoid, state, steps, start, initial_state=initial, reverse=reverse, method=method
    )


def gradients(method, monoid, reverse, fixed, arguments):
    """((last, states), gradient of all arguments)."""

    def loss(arguments):
        outputs = trajectory(method, monoid, reverse, fixed, arguments)
        return weighed(outputs), outputs

    (_, outputs), gradient = jax.value_and_grad(loss, has_aux=True)(arguments)
    return outputs, gradient


def drawn(name, fixed=False, dtype=F32):
    monoid = MONOIDS[name](dtype)
    one, two, three = jax.random.split(jax.random.key(5), 3)
    acting, base = generators(monoid, one, T)
    acting = jax.tree.map(lambda leaf: leaf[1], acting) if fixed else acting
    return monoid, ((acting, base), reachable_state(monoid, two), reachable_state(monoid, three))


def assert_same(actual, expected):
    for one, two in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(one, two, strict=True)


def assert_close(actual, expected, tolerance=2e-6):
    for one, two in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert one.dtype == two.dtype
        one, two = (np.asarray(x.astype(jnp.complex64)) for x in (one, two))
        scale = max(1.0, np.max(np.abs(two), initial=0))
        np.testing.assert_allclose(one, two, rtol=0, atol=tolerance * scale)


# (monoid, fixed decay, reverse)
CASES = [
    ("affine", False, False),
    ("affine-complex", True, False),
    ("max-plus", False, True),
]
MORE = [
    ("folded", False, False),
    ("affine", True, True),
    ("affine-complex", False, True),
    ("max-plus", True, False),
    ("log-affine", False, False),
]


def cases(quick, slow):
    def case(one, marks=()):
        name, fixed, reverse = one
        way = f"{'fixed' if fixed else 'timed'}-{'reverse' if reverse else 'forward'}"
        return pytest.param(*one, id=f"{name}-{way}", marks=marks)

    return [*map(case, quick), *(case(one, pytest.mark.slow) for one in slow)]


@pytest.mark.parametrize(("name", "fixed", "reverse"), cases(CASES, MORE))
def test_the_triton_kernel_equals_the_loop_bit_for_bit(name, fixed, reverse):
    """Interpreted, with the gradients of everything; and both are what `Sequential` computes."""
    monoid, arguments = drawn(name, fixed)
    results = [
        jitted(functools.partial(gradients, method, monoid, reverse, fixed))(arguments)
        for method in (TRITON, Kernel(), ma.Sequential())
    ]
    assert_same(results[0], results[1])
    assert_close(results[1], results[2])


@pytest.mark.parametrize(("name", "fixed", "reverse"), cases(CASES[2:], CASES[:2] + MORE))
def test_time_in_chunks_gives_the_same(name, fixed, reverse):
    """Totals, what enters each chunk, states; a chunk without, with one and with two starts."""
    monoid, arguments = drawn(name, fixed)
    chunked = dataclasses.replace(TRITON, chunks=5)
    run = functools.partial(gradients, chunked, monoid, reverse, fixed)
    expected = functools.partial(gradients, Kernel(), monoid, reverse, fixed)
    assert_close(jitted(run)(arguments), jitted(expected)(arguments), 1e-5)


@pytest.mark.parametrize("method", [Kernel(), Kernel("triton", 4, True)], ids=["loop", "chunks"])
def test_nothing_before_a_start_reaches_what_follows(method):
    """Bitwise, values and gradients, NaN and inf and an exact zero; in chunks too."""
    monoid, ((acting, base), state, initial) = drawn("affine")
    run = jitted(functools.partial(gradients, method, monoid, False, False))

    def after(acting, base, state):
        (last, states), (steps, _, _) = run(((acting, base), state, initial))
        return last, jax.tree.map(lambda leaf: leaf[11:], (states, steps))

    expected = after(acting, base, state)
    for value in (np.nan, np.inf, 0.0):
        bad = jnp.full_like(base, value)
        poisoned = [jnp.where(np.arange(T)[:, None] < 11, bad, leaf) for leaf in (acting, base)]
        assert_same(after(*poisoned, jnp.full_like(state, value)), expected)


# The batch axis of decays, inputs and start flags; of states it is 0.
AXES = [(0, 0, 0), (1, 1, 1), (1, 0, None), (None, 1, 0), (2, 2, 1)]


@pytest.mark.parametrize(
    ("method", "shape"),
    [
        (Kernel(), (3, 4)),
        (TRITON, ()),
        pytest.param(TRITON, (40,), marks=pytest.mark.slow),
        pytest.param(TRITON, (3, 4), marks=pytest.mark.slow),
    ],
    ids=["loop-matrices", "triton-numbers", "triton-vectors", "triton-matrices"],
)
def test_every_batch_axis_gives_what_one_by_one_gives(method, shape):
    """Batches before, behind and among the lanes, of some operands only, and lanes of every number."""
    batch = 3
    key_a, key_u, key_s = jax.random.split(jax.random.key(0), 3)
    decays = jax.random.uniform(key_a, (batch, 7, *shape))
    inputs = jax.random.normal(key_u, (batch, 7, *shape))
    states = jax.random.normal(key_s, (batch, *shape))
    starts = jnp.asarray(np.arange(7) % 3 == np.arange(batch)[:, None])
    zeros = jnp.zeros(shape)

    def one(a, u, start, state, method):
        return ma.trajectory(
            ma.Affine(shape), state, (a, u), start, initial_state=zeros, method=method
        )

    def batched(axes, method, a, u, start, state):
        arrays = [
            x[0] if axis is None else jnp.moveaxis(x, 0, axis)
            for x, axis in zip((a, u, start), axes, strict=True)
        ]
        run = jax.vmap(functools.partial(one, method=method), in_axes=(*axes, 0))
        last, reads = run(*arrays, state)
        return last, reads, jax.grad(lambda s: weighed(run(*arrays, s)))(state)

    def all_axes(method):
        axes = [axis for axis in AXES if None in axis or max(axis) <= 1 + len(shape)]
        runs = [functools.partial(batched, axis, method) for axis in axes]
        return jitted(lambda *arrays: [run(*arrays) for run in runs])

    arrays = (decays, inputs, starts, states)
    assert_close(all_axes(method)(*arrays), all_axes(ma.Sequential())(*arrays))


def test_nested_batches_fold_into_the_grid_of_one_loop():
    """Decays of heads, inputs of heads and members, flags of members: nothing is repeated."""
    decays = jax.random.uniform(jax.random.key(0), (4, 6))
    inputs = jax.random.normal(jax.random.key(1), (2, 7, 4, 6))
    start = jnp.asarray(np.arange(7) % 3 == np.arange(2)[:, None])

    def one(a, u, start, method):
        return ma.trajectory(ma.Affine(6), jnp.zeros(6), (ma.Fixed(a), u), start, method=method)

    def both(method):
        heads = jax.vmap(functools.partial(one, method=method), in_axes=(0, 1, None), out_axes=1)
        return jax.vmap(heads, in_axes=(None, 0, 0))

    arrays = (decays, inputs, start)
    assert_close(jitted(both(TRITON))(*arrays), jitted(both(ma.Sequential()))(*arrays))
    [loop] = [
        eqn
        for eqn in jax.make_jaxpr(both(Kernel()))(decays, inputs, start).eqns
        if "custom_vjp" in str(eqn.primitive)
    ]
    text = str(loop)
    assert "f32[1,4,6]" in text
    assert "i8[2,7,1]" in text
    assert "transpose" not in text


@pytest.mark.parametrize(("name", "dtype"), [("affine", "bfloat16"), ("affine", "float64")])
def test_other_dtypes(name, dtype):
    with jax.enable_x64(dtype == "float64"):
        monoid, arguments = drawn(name, dtype=jnp.dtype(dtype))
        run = gradients if dtype == "bfloat16" else trajectory
        runs = [
            jitted(functools.partial(run, method, monoid, False, False))
            for method in (TRITON, ma.Sequential())
        ]
        assert_close(*(run(arguments) for run in runs), 3e-2 if dtype == "bfloat16" else 1e-7)


def test_sixteen_bits_are_added_up_in_float32():
    """A sum of a thousand ones, which bfloat16 alone leaves at 256."""
    ones = jnp.ones((1000, 1), jnp.bfloat16)
    monoid = ma.Affine(1, jnp.bfloat16)
    last, _ = ma.trajectory(monoid, jnp.zeros(1, jnp.bfloat16), (ones, ones), None, method=Kernel())
    assert last[0] == 1000


def test_a_real_decay_acts_on_complex_states():
    monoid = ma.Affine(3, jnp.complex64, jnp.float32)
    decays = jax.random.uniform(jax.random.key(1), (T, 3))
    _, ((_, inputs), state, initial) = drawn("affine-complex")
    arguments = ((decays, inputs), state, initial)
    runs = [
        jitted(functools.partial(gradients, method, monoid, False, False))
        for method in (Kernel(), ma.Sequential())
    ]
    assert_close(*(run(arguments) for run in runs))


@pytest.mark.parametrize("name", ["affine-rows", "affine-shared", "joined", "product", "power"])
def test_composed_monoids_run_factor_by_factor(name):
    """Acting parts with fewer axes, shared ones, products and powers; with what is not known in them."""
    monoid = MONOIDS[name](F32)
    steps, state = (
        generators(monoid, jax.random.key(1), T),
        reachable_state(monoid, jax.random.key(2)),
    )
    start = jnp.asarray(START)

    def both(state, steps):
        methods = (Kernel(), ma.Sequential())
        return [ma.trajectory(monoid, state, steps, start, method=method) for method in methods]

    assert_close(*jitted(both)(state, steps))


@pytest.mark.parametrize("name", ["affine", "max-plus", "log-affine"])
def test_without_an_initial_state_a_reset_is_to_the_neutral_one(name):
    """Which is the monoid's own: no operand and no sum of the kernel."""
    monoid, (steps, state, _) = drawn(name)

    def run(method):
        own = None if isinstance(method, Kernel) else monoid.initial_state()
        arguments = (steps, state, own)
        return gradients(method, monoid, False, False, arguments)[0]

    def both(arguments):
        return run(Kernel()), run(ma.Sequential())

    assert_close(*jitted(both)(()))


def test_what_is_known():
    known = ["affine", "affine-complex", "affine-rows", "affine-shared", "max-plus", "log-affine"]
    unknown = ["add", "window", "dual", "matrix-affine", "folded-matrix", "resettable"]
    assert all(is_known(MONOIDS[name](F32)) for name in [*known, "folded", "joined"])
    assert not any(is_known(MONOIDS[name](F32)) for name in unknown if name in MONOIDS)
    assert not is_known(ma.Affine(2, jnp.int32))


def test_an_unknown_monoid_is_run_by_the_tree():
    def text(method):
        run = functools.partial(ma.trajectory, ma.Add(), jnp.float32(0), method=method)
        return str(jax.make_jaxpr(lambda x: run(x, None))(jnp.ones(6)))

    assert text(Kernel()) == text(ma.Associative())


def test_no_steps():
    last, states = ma.trajectory(
        ma.Affine(2), jnp.ones(2), (jnp.ones((0, 2)), jnp.ones((0, 2))), None, method=Kernel()
    )
    assert_same((last, states), (jnp.ones(2), jnp.ones((0, 2))))


def test_the_gradient_survives_checkpointing():
    monoid, arguments = drawn("affine")
    run = functools.partial(trajectory, Kernel(), monoid, False, False)
    plain, again = (
        jax.jit(jax.grad(lambda a, run=run: weighed(run(a)))) for run in (run, jax.checkpoint(run))
    )
    assert_same(again(arguments), plain(arguments))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"back_end": "cuda"}, r"back_end is one of \('auto', 'triton', 'mosaic'\), got 'cuda'"),
        ({"chunks": 0}, "chunks is a positive int or None, got 0"),
        ({"interpret": True}, r'interpret is for back_end="triton", got \'auto\''),
    ],
    ids=["name", "chunks", "interpret"],
)
def test_wrong_settings(settings, message, without_hook):
    with pytest.raises(ValueError, match=message):
        Kernel(**settings)


A100, H100 = Target((8, 0), 108), Target((9, 0), 132)


def call_of(body, settings, dtype=F32, outputs=1):
    return Call(
        body, settings, isinstance(body, Adjoint), (dtype,) * outputs, dtype, inner=1, lanes=1
    )


def chosen(back_end, target, lanes, dtype=F32):
    problem = Problem(AffineRecurrence(), 1, 1, False, False, False)
    call = call_of(Forward(problem), Settings(back_end, None, False), dtype)
    row = jnp.zeros((2, lanes), dtype)
    timed = jnp.zeros((5, 2, lanes), dtype)
    return _chosen(Flat(call, Operands((), (row,), (), (), (timed, timed), ()), None), target)


def test_the_back_end_follows_the_gpu_for_which_a_program_is_lowered():
    """Never Mosaic for a GPU that is older or not known: it would abort the process."""
    assert chosen("auto", H100, 256) == "mosaic"
    assert chosen("auto", H100, 100) == "triton"
    assert chosen("auto", A100, 256) == "triton"
    assert chosen("auto", None, 256) == "triton"
    assert chosen("mosaic", H100, 100) == "mosaic"
    with jax.enable_x64(True):
        assert chosen("auto", H100, 256, jnp.dtype("float64")) == "triton"
        with pytest.raises(
            ValueError, match="computes in float32, here it would have to in float64"
        ):
            chosen("mosaic", H100, 256, jnp.dtype("float64"))
    with pytest.raises(ValueError, match=r"needs compute capability 9.0, this GPU has 8.0"):
        chosen("mosaic", A100, 256)


def test_without_triton_mosaic_takes_all_lanes(monkeypatch):
    from memoalg.scans import _kernel_back_end

    rest = [row for row in _kernel_back_end.AUTO if row[0] != "triton"]
    monkeypatch.setattr(_kernel_back_end, "AUTO", rest)
    assert chosen("auto", H100, 100) == "mosaic"
    assert chosen("auto", A100, 256) is None


def test_how_many_chunks():
    """None for a full card, for short sequences, or where there would be two; all steps are in one."""
    assert chunks_for(None, 8192, 128 * 1024, H100, 32).count == 1
    assert chunks_for(None, 511, 128, H100, 32).count == 1
    assert chunks_for(None, 65536, 2 * 128, H100, 32) == (128, 512)
    assert chunks_for(None, 65536, 2 * 128, A100, 1) == (108, 607)
    assert chunks_for(4, 70, 128, H100, 32) == (3, 32)
    assert chunks_for(50, 3, 128, None, 1) == (3, 1)


def mosaic_call(adjoint, fixed, wide_flags):
    """A flat call with resets and its operands: 45 steps, 2 rows of 5 lanes."""
    problem = Problem(AffineRecurrence(), 1, 1, fixed, True, True)
    settings = Settings("mosaic", None, True)
    body = Adjoint(problem) if adjoint else Forward(problem)
    call = call_of(body, settings, outputs=2 if adjoint and not fixed else 1)
    keys = iter(jax.random.split(jax.random.key(3), 9))

    def row(*shape):
        return jax.random.uniform(next(keys), (*shape, 5), minval=-0.9, maxval=0.9)

    decay = row(1) if fixed else row(45, 2)
    flags = jax.random.uniform(next(keys), (45, 2, 5 if wide_flags else 1)) < 0.2
    constants = (decay, row(1)) if fixed else (row(1),)
    timed = (() if fixed else (decay,)) + (row(45, 2),)
    shifted, boundary = ((row(45, 2),), (row(1),)) if adjoint else ((), ())
    flags = (flags.astype(jnp.int8),)
    return call, Operands(constants, (row(2),), boundary, flags, timed, shifted)


@pytest.mark.parametrize(
    ("adjoint", "fixed", "chunks", "wide_flags"),
    [
        (True, False, 1, False),
        pytest.param(False, False, 2, True, marks=pytest.mark.slow),
        pytest.param(True, False, 2, True, marks=pytest.mark.slow),
        pytest.param(True, True, 1, False, marks=pytest.mark.slow),
        pytest.param(False, True, 1, True, marks=pytest.mark.slow),
    ],
    ids=["adjoint", "forward-chunks", "adjoint-chunks", "adjoint-fixed", "forward-fixed"],
)
def test_the_mosaic_kernel_equals_the_loop(adjoint, fixed, chunks, wide_flags):
    """Interpreted: blocks in shared memory, the last one not full, steps across their borders."""
    call, operands = mosaic_call(adjoint, fixed, wide_flags)
    # The loop's flags have no lanes: where each lane has its own, lanes are a batch to it.
    plain = dataclasses.replace(call, inner=2, lanes=0) if wide_flags else call
    flags = operands.flags if wide_flags else (operands.flags[0][..., 0],)
    expected = jitted(functools.partial(run_loop, plain))(operands._replace(flags=flags))
    cut = chunks_for(chunks, 45, 10, None, 32)
    assert cut.count == chunks
    actual = jitted(lambda given: run_split(run_mosaic, call, given, cut))(operands)
    carried = call.carried(operands)
    if chunks == 1:
        assert_same(actual[carried:], expected[carried:])
    assert_close(actual, expected, 1e-6)


def test_layouts_come_back_as_they_were():
    """A batch of single numbers is brought behind time and made lanes; two outer axes are one."""
    problem = Problem(AffineRecurrence(), 1, 1, False, False, False)
    call = Call(Forward(problem), Settings("triton", 1, True), False, (F32,), F32, outer=2)
    x = jnp.arange(2 * 3 * 5.0).reshape(2, 3, 5)
    operands = Operands((), (x[..., 0],), (), (), (x, x), ())
    inside = flat(call, operands)
    assert inside.operands.timed[0].shape == (5, 6)
    assert (inside.call.outer, inside.call.inner) == (0, 0)
    assert_same(restored(call, operands, inside, [x[..., 0].reshape(6), x.reshape(6, 5).T])[1], x)
