"""Every layer: step == call, carries, isolation at starts, dtypes, composition, bad input."""

# Wrong calls are the point of some tests here.
# pyright: reportArgumentType=false, reportCallIssue=false, reportOperatorIssue=false

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg as ma
from tests.registry import LAYERS, METHODS

T = 9
START = jnp.zeros(T, bool).at[jnp.array([3, 5])].set(True)
XS = jax.random.normal(jax.random.key(1), (T, 3))


@functools.cache
def layer_of(name):
    return LAYERS[name](jax.random.key(0))


@functools.cache
def programs(name):
    """(call, steps, gradient of the loss after step 5), compiled once."""
    method = ma.Sequential()

    @eqx.filter_jit
    def call(layer, carry, xs, start):
        return layer(carry, xs, start, method=method)

    @eqx.filter_jit
    def steps(layer, carry, xs, start):
        return jax.lax.scan(lambda c, now: layer.step(c, *now), carry, (xs, start))

    @eqx.filter_jit
    def gradient(layer, xs, start):
        def loss(moving):
            layer, xs = moving
            return jnp.sum(jnp.sin(layer(layer.init_carry(), xs, start, method=method)[1][5:]))

        return eqx.filter_grad(loss)((layer, xs))

    return call, steps, gradient


def assert_close(one, two, tolerance=2e-6):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", LAYERS)
def test_steps_equal_a_call_with_the_carry_handed_on_in_the_middle(name):
    layer, (call, steps, _) = layer_of(name), programs(name)
    carry, ys = steps(layer, layer.init_carry(), XS, START)
    assert_close((carry, ys), call(layer, layer.init_carry(), XS, START))
    carry, head = call(layer, layer.init_carry(), XS[:4], START[:4])
    carry, tail = steps(layer, carry, XS[4:], START[4:])
    assert_close(jnp.concatenate([head, tail]), ys)
    # A carry keeps its type from call to call, so it can be a loop's.
    assert jax.tree.map(jnp.shape, carry) == jax.tree.map(jnp.shape, layer.init_carry())


@pytest.mark.parametrize("name", ["lru", "linear_attention", "learned-start", "stack-lru"])
def test_every_method_gives_the_same_numbers_and_gradients(name):
    layer = layer_of(name)

    def loss(layer, method):
        _carry, ys = layer(layer.init_carry(), XS, START, method=method)
        return jnp.sum(jnp.sin(ys)), ys

    one, two = (eqx.filter_value_and_grad(loss, has_aux=True)(layer, m) for m in METHODS.values())
    assert_close(one, two, 2e-5)


@pytest.mark.parametrize("name", LAYERS)
def test_nothing_before_a_start_reaches_what_follows(name):
    """Bitwise, outputs and input gradients from step 5 on; a poisoned carry is forgotten too."""
    layer, (call, _, gradient) = layer_of(name), programs(name)
    start = START.at[0].set(True)
    _, ys = call(layer, layer.init_carry(), XS, start)
    _, xs_bar = gradient(layer, XS, start)
    for value in (np.nan, np.inf, -7.0):
        poisoned = XS.at[:5].set(value)
        np.testing.assert_array_equal(
            call(layer, layer.init_carry(), poisoned, start)[1][5:], ys[5:]
        )
        np.testing.assert_array_equal(gradient(layer, poisoned, start)[1][5:], xs_bar[5:])
        carry = jax.tree.map(functools.partial(jnp.full_like, fill_value=value), layer.init_carry())
        np.testing.assert_array_equal(call(layer, carry, XS, start)[1], ys)
    np.testing.assert_array_equal(xs_bar[:5], 0)


@pytest.mark.parametrize("name", LAYERS)
def test_a_recurrent_layer_remembers_and_forgets_at_starts(name):
    """Without this the isolation test could pass for a layer that has no memory."""
    layer, (call, _, _) = layer_of(name), programs(name)
    never = jnp.zeros(T, bool)
    plain, moved = call(layer, layer.init_carry(), XS, never)[1], np.zeros(T, bool)
    # Both ways: a relu may hide one of them.
    for change in (1.0, -1.0):
        changed = call(layer, layer.init_carry(), XS.at[4].add(change), never)[1]
        moved |= np.any(np.asarray(changed != plain), axis=-1)
    assert moved[4]
    assert moved[5:].any() == (name not in ("mlp", "stack-mlp", "position"))


def test_a_learned_initial_state_gets_its_gradient_from_every_start():
    layer = layer_of("learned-start")

    def loss(layer, carry, start):
        carry = layer.init_carry() if carry is None else carry
        return jnp.sum(layer(carry, XS, start)[1])

    outside = layer.init_carry()
    inside, none, at_starts = (
        eqx.filter_grad(loss)(layer, *arguments).start_state
        for arguments in ((None, None), (outside, None), (outside, START))
    )
    np.testing.assert_allclose(inside, XS.sum(0), rtol=1e-5)
    np.testing.assert_array_equal(none, 0)
    np.testing.assert_allclose(at_starts, XS[3:].sum(0), rtol=1e-5)


@pytest.mark.parametrize("name", LAYERS)
def test_an_empty_sequence_returns_the_carry(name):
    layer = layer_of(name)
    carry, ys = jax.jit(lambda: layer(layer.init_carry(), XS[:0], START[:0]))()
    assert ys.shape[0] == 0
    _, one = jax.eval_shape(lambda: layer(layer.init_carry(), XS[:1], START[:1]))
    assert ys.shape[1:] == one.shape[1:]
    assert_close(carry, layer.init_carry(), 0)


@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
@pytest.mark.parametrize("name", ["lru", "linear_attention", "gru", "stack-lru"])
def test_dtypes_are_kept(name, dtype):
    with jax.enable_x64(dtype == "float64"):
        cast = lambda leaf: leaf.astype(dtype) if eqx.is_inexact_array(leaf) else leaf
        layer = jax.tree.map(cast, layer_of(name))
        carry, ys = layer(layer.init_carry(), cast(XS), START)
        assert ys.dtype == dtype
        assert jax.tree.map(jnp.result_type, carry) == jax.tree.map(
            jnp.result_type, layer.init_carry()
        )
        plain = layer_of(name)(layer_of(name).init_carry(), XS, START)[1]
        np.testing.assert_allclose(
            ys.astype(plain.dtype), plain, atol=0.15 if dtype == "bfloat16" else 1e-5
        )


@pytest.mark.parametrize("name", LAYERS)
def test_layers_pass_through_jit_and_their_carries_can_be_donated(name):
    layer = layer_of(name)
    assert all(eqx.is_array(leaf) for leaf in jax.tree.leaves(layer))
    before = layer.init_carry()
    jax.jit(lambda carry: jax.tree.map(lambda leaf: leaf + 1, carry), donate_argnums=0)(before)
    assert_close(layer.init_carry(), layer_of(name).init_carry(), 0)


@pytest.mark.parametrize("name", ["lru", "linear_attention", "gru", "parallel"])
def test_a_gradient_can_be_taken_inside_a_loop_inside_jit(name):
    """As a learner does: nothing leaks out of the rules of differentiation."""

    def loss(layer):
        return jnp.sum(layer(layer.init_carry(), XS, START, method=ma.Sequential())[1])

    def descend(layer, _):
        gradient = jax.grad(loss)(layer)
        return jax.tree.map(lambda p, g: p - 1e-3 * g, layer, gradient), None

    moved, _ = jax.jit(lambda layer: jax.lax.scan(descend, layer, length=2))(layer_of(name))
    assert loss(moved) < loss(layer_of(name))


def test_parallel_runs_one_trajectory():
    keys = jax.random.split(jax.random.key(0))
    lru, attention = ma.nn.LRU(3, 2, 4, key=keys[0]), ma.nn.LinearAttention(3, 2, 4, key=keys[1])
    both = ma.nn.Parallel(lru, attention)
    method = ma.Sequential()
    _carry, ys = both(both.init_carry(), XS, START, method=method)
    apart = [layer(layer.init_carry(), XS, START, method=method)[1] for layer in (lru, attention)]
    assert_close(ys, jnp.concatenate(apart, axis=-1), 1e-6)
    jaxpr = str(jax.make_jaxpr(lambda xs: both(both.init_carry(), xs, START, method=method)[1])(XS))
    assert jaxpr.count("= scan[") == 1


def test_make_builds_ready_stacks():
    layer = ma.nn.make("lru", in_size=3, out_size=2, width=8, depth=3, key=jax.random.key(0))
    assert (layer.in_size, layer.out_size, len(layer.layers)) == (3, 2, 5)
    square = ma.nn.make("gru", in_size=4, out_size=4, width=4, key=jax.random.key(0))
    assert len(square.layers) == 1
    assert all(ma.nn.describe_model(name) for name in ma.nn.names())


KEY = jax.random.key(0)
LRU = ma.nn.LRU(3, 2, 4, key=KEY)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: LRU(LRU.init_carry(), XS[:, :2], None),
            ValueError,
            r"LRU: .*in_size=3, got .*\(9, 2\)",
        ),
        (
            lambda: LRU(LRU.init_carry(), XS[None], None),
            ValueError,
            r"LRU: .*1 axis too many.*jax\.vmap",
        ),
        (lambda: LRU(LRU.init_carry(), XS[0], None), ValueError, "LRU: .*use `step`"),
        (
            lambda: LRU.step(LRU.init_carry(), XS, None),
            ValueError,
            "call the layer instead of `step`",
        ),
        (lambda: LRU(LRU.init_carry(), XS, START[:4]), ValueError, "LRU: start has 4 steps"),
        (
            lambda: LRU(LRU.init_carry(), XS, START.astype(float)),
            TypeError,
            r"LRU: start must be bool.*astype",
        ),
        (
            lambda: LRU.step(LRU.init_carry(), XS[0], START),
            ValueError,
            "start of one step is a scalar",
        ),
        (
            lambda: LRU.step(LRU.init_carry(), XS[0], jnp.int32(1)),
            TypeError,
            r"LRU: start must be bool",
        ),
        (
            lambda: LRU(jnp.zeros(4), XS, None),
            ValueError,
            r"state must be .*complex64\[4\], got float32",
        ),
        (
            lambda: ma.nn.Serial(LRU, LRU),
            ValueError,
            r"layer 0 \(LRU\) gives out_size=2, but layer 1",
        ),
        (lambda: ma.nn.Serial(), TypeError, "at least one layer"),
        (lambda: ma.nn.Serial(jnp.tanh), TypeError, r"wrap a plain function in ma\.nn\.Pointwise"),
        (lambda: ma.nn.Parallel(LRU, ma.nn.GRU(4, 2, key=KEY)), ValueError, "takes in_size=4"),
        (lambda: ma.nn.Residual(LRU), ValueError, "in_size=3 but out_size=2"),
        (lambda: ma.nn.Pointwise(3), TypeError, "Pointwise takes a function"),
        (lambda: ma.nn.Memoroid(jnp.tanh, jnp.tanh, jnp.add), TypeError, "needs a monoid first"),
        (lambda: ma.nn.PositionalEncoding(0), ValueError, "size must be at least 1"),
        (lambda: ma.nn.LRU(3, 2, 4, r_max=1.0, key=KEY), ValueError, "r_min < r_max < 1"),
        (lambda: ma.nn.S6(3, 2, 0, key=KEY), ValueError, "S6 needs sizes .* state_size=0"),
        (lambda: ma.nn.S6(3, 2, step_range=(0.0, 1.0), key=KEY), ValueError, "S6 needs 0 < step"),
        (lambda: ma.nn.FFM(3, 2, 4, 0, key=KEY), ValueError, "FFM needs sizes .* context_size=0"),
        (lambda: ma.nn.FFM(3, 2, max_period=0.5, key=KEY), ValueError, "max_period >= 1, got 0.5"),
        (
            lambda: ma.nn.make("lur", in_size=1, out_size=1, key=KEY),
            ValueError,
            "unknown model 'lur'; nearest: lru",
        ),
        (
            lambda: ma.nn.make("lru", in_size=0, out_size=1, key=KEY),
            ValueError,
            "in_size must be at least",
        ),
        (
            lambda: ma.nn.make("lru", in_size=1, out_size=1, depth=0, key=KEY),
            ValueError,
            "depth must be",
        ),
        (
            lambda: ma.nn.GRU(3, 2, key=KEY)(jnp.zeros(2), XS, None, method=ma.Associative()),
            TypeError,
            "GRU is no monoid",
        ),
        (lambda: ma.nn.GRU(3, 2, key=KEY)(jnp.zeros(3), XS, None), ValueError, "carry differs in"),
        (
            lambda: ma.nn.Memoroid(ma.Add(3), ma.Fixed, jnp.add)(jnp.zeros(3), XS, None),
            ValueError,
            r"marked ma\.Fixed depends on the input",
        ),
    ],
)
def test_bad_input_names_the_layer_and_says_what_to_write(call, error, message, without_hook):
    with pytest.raises(error, match=message):
        call()
