"""Windows gathered from what was written are those of the loop, in values and gradients."""

# Wrong calls are the point of some tests here.
# pyright: reportArgumentType=false

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg as ma
from memoalg._tree import split_inexact
from memoalg.nn.models._attention import SoftmaxWindow

K, T = 4, 19
MONOIDS = {
    "recent": lambda dtype: ma.Recent((2,), K, dtype),
    "the last one": lambda dtype: ma.Recent((2,), 1, dtype),
    "window": lambda dtype: ma.Window(ma.Affine(2, dtype), K),
    "fixed": lambda dtype: ma.Window(ma.Affine(2, dtype), K),
    "product": lambda dtype: ma.Recent((2,), K, dtype) * ma.Window(ma.Max(2, dtype), 3),
    "heads": lambda dtype: ma.Power(ma.Window(ma.Affine(2, dtype), K), 3),
    "attention": lambda dtype: SoftmaxWindow(K, 1, 2, 3, ma.nn.Rotary(), dtype),
}
# Of each row of a batch.
STARTS = np.stack([np.isin(np.arange(T), steps) for steps in ([], [2, 9, 10, 16], [0, 18])])
# Monoid, whether it is read, whether it runs backwards, whether an initial state is given.
RUNS = [
    *((name, True, name == "window", name != "attention") for name in MONOIDS if name != "fixed"),
    ("attention", True, True, True),
    ("recent", False, False, True),
    ("fixed", False, True, True),
    ("recent", False, False, False),
]


def drawn(name, length, dtype):
    """(generators, state, initial state, queries) with counts that are neither 0 nor full."""
    rng = np.random.default_rng(0)
    monoid = MONOIDS[name](dtype)

    def normal(*shape):
        return jnp.asarray(rng.normal(size=shape).astype(np.float32), dtype)

    def state(count):
        def leaf(x):
            return normal(*x.shape) if jnp.issubdtype(x.dtype, jnp.floating) else x + count

        return jax.tree.map(leaf, monoid.initial_state())

    pair = normal(length, 2), normal(length, 2)
    generators = {
        "fixed": (ma.Fixed(normal(2)), normal(length, 2)),
        "window": pair,
        "product": pair,
        "heads": (normal(length, 3, 2), normal(length, 3, 2)),
        "attention": normal(length, 1, 5),
    }
    queries = {
        "product": (None, normal(length)),
        "heads": normal(length, 3),
        "attention": normal(length, 2, 2),
    }
    written, asked = generators.get(name, pair[0]), queries.get(name, normal(length))
    return written, state(1), state(2), asked


@functools.cache
def program(name, reads, reverse, learned, method, dtype="float32"):
    """(arguments, start) -> (last state, reads), and the gradients of all that is given."""
    monoid = MONOIDS[name](np.dtype(dtype))

    def run(moving, still, start):
        generators, state, initial, queries = eqx.combine(moving, still)
        found = ma.trajectory(
            monoid,
            state,
            generators,
            start,
            initial_state=initial if learned else None,
            queries=queries if reads else None,
            reverse=reverse,
            method=method,
        )
        return weighed(found), found

    def one(arguments, start):
        moving, still = split_inexact(arguments)
        return jax.value_and_grad(run, has_aux=True)(moving, still, start)

    return jax.jit(jax.vmap(one, in_axes=(None, 0)))


def weighed(tree):
    leaves = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.floating)]
    weights = [jnp.cos(jnp.arange(x.size, dtype=x.dtype)).reshape(x.shape) for x in leaves]
    return sum(jnp.sum(w * jnp.sin(x)) for w, x in zip(weights, leaves, strict=True))


def assert_same(one, other, tolerance=1e-5):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert a.dtype == b.dtype
        wide = [np.asarray(x).astype(np.float64) for x in (a, b)]
        np.testing.assert_allclose(*wide, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("run", RUNS, ids=lambda run: "-".join(map(str, run)))
def test_gathered_windows_are_those_of_the_loop(run):
    """Three blocks, from a state that is partly filled, with three patterns of starts."""
    arguments, start = drawn(run[0], T, np.float32), jnp.asarray(STARTS)
    found = program(*run, ma.Gather(8))(arguments, start)
    assert_same(found, program(*run, ma.Sequential())(arguments, start))


@pytest.mark.parametrize("name", ["recent", "attention"])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("bfloat16", 0.1)])
def test_in_other_dtypes(name, dtype, tolerance):
    with jax.enable_x64(dtype == "float64"):
        arguments, start = drawn(name, T, np.dtype(dtype)), jnp.asarray(STARTS[1:2])
        run = (name, True, False, False)
        found = program(*run, ma.Gather(8), dtype)(arguments, start)
        wanted = program(*run, ma.Sequential(), dtype)(arguments, start)
    assert_same(found, wanted, tolerance)


@pytest.mark.parametrize("length", [0, 1, 9])
@pytest.mark.parametrize("name", ["recent", "attention"])
def test_lengths_around_the_window_and_the_block(name, length):
    monoid = MONOIDS[name](np.float32)
    generators, state, _, queries = drawn(name, length, np.float32)
    found, wanted = (
        ma.trajectory(monoid, state, generators, None, queries=queries, method=method)
        for method in (ma.Gather(8), ma.Sequential())
    )
    assert_same(found, wanted)


@pytest.mark.parametrize("name", ["recent", "attention"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_breaks_stays_in_its_episode(name, bad):
    """A bad step, in a block with other episodes: those read and differentiate as without it."""
    start = jnp.asarray(STARTS[1:2])
    run = program(name, True, False, False, ma.Gather(8))
    arguments = drawn(name, T, np.float32)
    generators, state, initial, queries = arguments

    def broken(tree):
        return jax.tree.map(lambda x: x.at[9].set(bad), tree)

    (_, whole), gradient = run(arguments, start)
    (_, found), after = run((broken(generators), state, initial, broken(queries)), start)
    others = np.arange(T) != 9
    assert_same(*(jax.tree.map(lambda x: x[:, others], tree[1]) for tree in (found, whole)))
    assert_same(*(jax.tree.map(lambda x: x[:, others], tree[0]) for tree in (after, gradient)))


def test_a_broken_state_does_not_pass_a_start():
    arguments = drawn("attention", T, np.float32)
    run = program("attention", True, False, False, ma.Gather(8))
    state = arguments[1][0] * np.nan, arguments[1][1]
    start = jnp.asarray(STARTS[2:])
    (_, whole), _ = run(arguments, start)
    (_, found), gradient = run((arguments[0], state, *arguments[2:]), start)
    assert_same(found, whole)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradient))


@pytest.mark.parametrize("name", ["window", "attention"])
def test_no_array_of_all_windows(name):
    """Compiled, the gradient takes less than a quarter of the windows of all steps."""
    length, k, width = 1024, 64, 16
    monoid, queries = ma.Window(ma.Add(2 * width), k), jnp.ones(length)
    written = jnp.ones((length, 2 * width))
    if name == "attention":
        monoid = SoftmaxWindow(k, 1, width, width)
        written, queries = written[:, None], jnp.ones((length, 1, width))

    def loss(written, queries):
        state = monoid.initial_state()
        _, reads = ma.trajectory(monoid, state, written, None, queries=queries, method=ma.Gather())
        return jnp.sum(jnp.sin(reads))

    memory = jax.jit(jax.grad(loss)).lower(written, queries).compile().memory_analysis()
    assert memory is not None
    assert memory.temp_size_in_bytes < 4 * length * k * 2 * width / 4


def test_forward_and_second_derivatives():
    monoid = MONOIDS["attention"](None)
    written, state, _, queries = drawn("attention", 5, np.float32)

    def loss(method, scale):
        reads = ma.trajectory(monoid, state, scale * written, None, queries=queries, method=method)[
            1
        ]
        return jnp.sum(jnp.sin(reads))

    @functools.partial(jax.jit, static_argnums=0)
    def derivatives(method):
        one = functools.partial(loss, method)
        return jax.jvp(jax.grad(one), (jnp.float32(1),), (jnp.float32(1),))

    assert_same(derivatives(ma.Gather(3)), derivatives(ma.Sequential()), 1e-4)


def test_other_monoids_are_refused():
    with pytest.raises(TypeError, match=r"Gather runs windows.*not Add.*ma.Auto"):
        ma.trajectory(ma.Add(), jnp.zeros(()), jnp.ones(2), None, method=ma.Gather())


@pytest.mark.parametrize("size", [0, -1, True])
def test_a_block_has_a_positive_number_of_steps(size):
    with pytest.raises(ValueError, match="size is a positive int"):
        ma.Gather(size)
