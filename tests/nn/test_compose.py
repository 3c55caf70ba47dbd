"""Composition: forks, gates, delays, substeps, hybrids, and widths from a number of parameters."""

# Wrong calls are the point of some tests here.
# pyright: reportArgumentType=false

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg as ma

KEY = jax.random.key(0)
T = 9
START = jnp.zeros(T, bool).at[jnp.array([3, 5])].set(True)
XS = jax.random.normal(jax.random.key(1), (T, 3))
LOOP = ma.Sequential()


def run(layer, xs=XS, start=START):
    return layer(layer.init_carry(), xs, start, method=LOOP)[1]


def total():
    return ma.nn.Memoroid(ma.Add(3), jnp.asarray, lambda total, x: total, in_size=3, out_size=3)


def test_a_fork_gives_each_layers_output_from_one_trajectory():
    lru = ma.nn.LRU(3, 2, 4, key=KEY)
    both = ma.nn.Fork(lru, total(), ma.nn.Pointwise(jnp.tanh))
    one, two, three = run(both)
    np.testing.assert_allclose(one, run(lru), rtol=1e-6)
    np.testing.assert_allclose(two, run(total()), rtol=1e-6)
    np.testing.assert_allclose(three, np.tanh(XS), rtol=1e-6)
    jaxpr = str(jax.make_jaxpr(lambda xs: run(both, xs))(XS))
    assert jaxpr.count("= scan[") == 1


def test_a_gate_multiplies():
    layer = ma.nn.Gated(total(), jax.nn.sigmoid)
    np.testing.assert_allclose(run(layer), run(total()) * jax.nn.sigmoid(XS), rtol=1e-6)
    assert (layer.in_size, layer.out_size) == (3, 3)


@pytest.mark.parametrize("steps", [1, 3])
def test_a_delay_gives_the_input_of_some_steps_ago_within_the_episode(steps):
    layer, past, wanted = ma.nn.Delay(3, steps), [], []
    for x, begins in zip(np.asarray(XS), np.asarray(START), strict=True):
        past = [] if begins else past
        wanted.append(past[-steps] if len(past) >= steps else np.zeros(3))
        past.append(x)
    np.testing.assert_array_equal(run(layer), np.stack(wanted))
    tree = layer(layer.init_carry(), XS, START, method=ma.Associative())[1]
    np.testing.assert_array_equal(tree, np.stack(wanted))


def test_substeps_are_steps_of_a_longer_sequence():
    layer = ma.nn.Substeps(ma.nn.LRU(3, 2, 4, key=KEY), 2)
    xs = jax.random.normal(KEY, (T, 2, 3))
    longer = jnp.zeros((T, 2), bool).at[:, 0].set(START).reshape(-1)
    wanted = run(layer.layer, xs.reshape(-1, 3), longer)[1::2]
    np.testing.assert_allclose(run(layer, xs), wanted, rtol=1e-6)
    carry, ys = jax.lax.scan(lambda c, now: layer.step(c, *now), layer.init_carry(), (xs, START))
    np.testing.assert_allclose(ys, wanted, atol=1e-6)
    np.testing.assert_allclose(carry, layer(layer.init_carry(), xs, START)[0], atol=1e-6)
    # Without flags too.
    np.testing.assert_allclose(
        layer.step(layer.init_carry(), xs[0], None)[1], run(layer, xs[:1], None)[0], atol=1e-6
    )


@pytest.mark.parametrize("wanted", [5_000, 50_000, 400_000])
@pytest.mark.parametrize("name", ["gru", "lru", "linear_attention"])
def test_a_width_is_found_for_a_number_of_parameters(name, wanted):
    layer = ma.nn.make(name, in_size=3, out_size=2, depth=2, parameters=wanted, key=KEY)
    width = layer.layers[1].in_size
    assert width is not None
    found = ma.nn.count_parameters(layer)
    assert found == sum(leaf.size for leaf in jax.tree.leaves(layer))
    assert abs(found - wanted) <= 0.03 * wanted
    if width % 8:
        # No multiple of 8, which divides into heads, comes as near.
        for even in (width - width % 8, width + 8 - width % 8):
            other = ma.nn.make(name, in_size=3, out_size=2, width=max(1, even), depth=2, key=KEY)
            assert abs(ma.nn.count_parameters(other) - wanted) > 0.03 * wanted


def test_several_names_take_turns():
    layer = ma.nn.make(["gru", "mlp"], in_size=3, out_size=2, width=4, depth=3, key=KEY)
    kinds = [type(part).__name__ for part in layer.layers[1:-1]]
    assert kinds == ["GRU", "Pointwise", "GRU"]
    each = ma.nn.make(["gru", "mlp"], in_size=3, out_size=2, width=4, key=KEY)
    assert len(each.layers) == 4


@pytest.mark.parametrize("name", ma.nn.names())
@pytest.mark.parametrize("wide", [True, False], ids=["float32 input", "bfloat16 input"])
def test_half_precision_is_kept_whatever_the_input_is(name, wide):
    """Traced alone: a bfloat16 model keeps the type of its carry, over sequences of any length."""

    def half(leaf):
        return leaf.astype(jnp.bfloat16) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf

    build = lambda key: jax.tree.map(
        half, ma.nn.make(name, in_size=3, out_size=2, width=8, key=key)
    )
    layer = eqx.filter_eval_shape(build, KEY)
    for length in (0, 4):
        xs = jax.ShapeDtypeStruct((length, 3), jnp.float32 if wide else jnp.bfloat16)
        call = lambda layer, xs: (layer.init_carry(), layer(layer.init_carry(), xs, None))
        with jax.numpy_dtype_promotion("standard" if wide else "strict"):
            first, (carry, ys) = eqx.filter_eval_shape(call, layer, xs)
        assert jax.tree.map(lambda leaf: leaf.dtype, carry) == jax.tree.map(
            lambda leaf: leaf.dtype, first
        )
        assert ys.shape == (length, 2)
        assert wide or ys.dtype == jnp.bfloat16


def test_norms_normalise():
    x = jnp.array([1.0, 2.0, 6.0])
    normal = ma.nn.LayerNorm(3)(x)
    np.testing.assert_allclose([normal.mean(), normal.std()], [0, 1], atol=1e-4)
    np.testing.assert_allclose(jnp.mean(ma.nn.RMSNorm(3)(x) ** 2), 1, rtol=1e-4)
    assert np.all(np.isfinite(jax.jacobian(ma.nn.RMSNorm(3))(jnp.zeros(3))))


def test_feed_forward_is_its_formula():
    gated = ma.nn.FeedForward(3, 5, 2, activation=jnp.tanh, key=KEY)
    value, gate = np.split(gated.inputs.weight @ XS[0], 2)
    wanted = gated.output.weight @ (np.tanh(gate) * value)
    np.testing.assert_allclose(gated(XS[0]), wanted, rtol=1e-5)
    plain = ma.nn.FeedForward(3, 5, 2, gated=False, key=KEY)
    wanted = plain.output.weight @ jax.nn.silu(plain.inputs.weight @ XS[0])
    np.testing.assert_allclose(plain(XS[0]), wanted, rtol=1e-5)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ma.nn.Fork(), TypeError, "Fork needs at least one layer"),
        (
            lambda: ma.nn.Fork(ma.nn.Delay(3), ma.nn.Delay(2)),
            ValueError,
            r"layer 0 \(Delay\) takes in_size=3, but layer 1 \(Delay\) takes in_size=2",
        ),
        (lambda: ma.nn.Delay(0), ValueError, "size and steps must be at least 1, got 0"),
        (lambda: ma.nn.Delay(1, 0), ValueError, "size and steps must be at least 1, got 1 and 0"),
        (lambda: ma.nn.Substeps(ma.nn.Delay(3), 0), ValueError, "count is a positive int, got 0"),
        (lambda: ma.nn.Substeps(jnp.tanh, 2), TypeError, "Substeps takes a layer"),
        (
            lambda: ma.nn.make("gru", in_size=1, out_size=1, width=3, parameters=9, key=KEY),
            ValueError,
            "a width or a number of parameters, not both",
        ),
        (
            lambda: ma.nn.make("gru", in_size=2, out_size=2, parameters=3, key=KEY),
            ValueError,
            r"even a width of 1 has \d+ parameters, not 3",
        ),
        (
            lambda: ma.nn.make(["gru", "mlp"], in_size=1, out_size=1, depth=1, key=KEY),
            ValueError,
            "depth=1 leaves some of the 2 names out",
        ),
        (
            lambda: run(ma.nn.Substeps(total(), 2), XS[:, None]),
            ValueError,
            r"axis of length count=2, got \(time, ...\) of shape \(9, 1, 3\)",
        ),
        (lambda: ma.nn.Gated(jnp.tanh, jnp.tanh), TypeError, "Gated takes layers, got"),
        (lambda: ma.nn.GRU(2, 0, key=KEY), ValueError, "GRU needs sizes of at least 1.*out_size=0"),
        (lambda: ma.nn.LRU(2, 2, 0, key=KEY), ValueError, "LRU needs sizes .*state_size=0"),
        (lambda: ma.nn.Rotary(0.0), ValueError, "base must be above 0"),
        (lambda: ma.nn.SoftmaxWindow(0, 1, 2, 2), ValueError, "SoftmaxWindow needs sizes .*k=0"),
        (lambda: ma.nn.make([], in_size=1, out_size=1, key=KEY), ValueError, "at least one"),
        (
            lambda: ma.nn.make(["gru", "lur"], in_size=1, out_size=1, key=KEY),
            ValueError,
            "unknown model 'lur'; nearest: lru",
        ),
    ],
)
def test_bad_input_says_what_to_write(call, error, message, without_hook):
    with pytest.raises(error, match=message):
        call()
