"""What windows and attention can do, exactly: masks, lists, convolutions, and what they forget."""

# Wrong calls are the point of some tests here.
# pyright: reportArgumentType=false

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg as ma
from tests.nn.zoo.case import perturbed

T, K = 40, 6
START = np.isin(np.arange(T), [0, 7, 9, 23])
EPISODE = np.cumsum(START)
XS = np.random.default_rng(0).normal(size=(T, 3)).astype(np.float32)


def run(layer, xs=XS, start=START):
    return _run(layer, jnp.asarray(xs), jnp.asarray(start))


@eqx.filter_jit
def _run(layer, xs, start):
    return layer(layer.init_carry(), xs, start)[1]


def turned(x, position, base):
    """Absolute rotary positions: pairs (i, i + d/2) turn by position * base^(-2i/d)."""
    half = x.shape[-1] // 2
    speed = base ** -(np.arange(half) / half)
    pairs = (x[..., :half] + 1j * x[..., half:]) * np.exp(1j * position[:, None, None] * speed)
    return np.concatenate([pairs.real, pairs.imag], axis=-1)


def masked_attention(layer, xs):
    """Softmax over a whole (T, T) matrix of scores, masked to the window and the episode."""
    heads, key_heads = layer.heads, layer.key_heads
    xs = np.asarray(xs, np.float64)
    queries = (xs @ np.asarray(layer.queries.weight).T).reshape(T, heads, -1)
    rows = (xs @ np.asarray(layer.pairs.weight).T).reshape(T, key_heads, -1)
    rows = np.repeat(rows, heads // key_heads, axis=1)
    keys, values = rows[..., : queries.shape[2]], rows[..., queries.shape[2] :]
    if isinstance(layer.position, ma.nn.Rotary):
        # Positions of the whole sequence: only differences may matter.
        at = np.arange(T) + 1000.0
        queries, keys = (turned(x, at, layer.position.base) for x in (queries, keys))
    age = np.arange(T)[:, None] - np.arange(T)
    scores = np.einsum("thd,shd->hts", queries, keys) / np.sqrt(queries.shape[2])
    if isinstance(layer.position, ma.nn.ALiBi):
        scores -= 2.0 ** (-8 * np.arange(1, heads + 1) / heads)[:, None, None] * age
    mask = (age >= 0) & (age < layer.k) & (EPISODE[:, None] == EPISODE)
    weights = np.where(mask, np.exp(scores), 0)
    weights /= weights.sum(axis=-1, keepdims=True)
    reads = np.einsum("hts,shv->thv", weights, values).reshape(T, -1)
    return reads @ np.asarray(layer.output.weight).T


POSITIONS = {
    "none": ma.nn.NoPosition(),
    "rotary": ma.nn.Rotary(100.0),
    "alibi": ma.nn.ALiBi(),
}


@pytest.mark.parametrize("key_heads", [4, 2])
@pytest.mark.parametrize("position", POSITIONS)
def test_attention_is_a_softmax_under_a_mask(position, key_heads):
    layer = ma.nn.Attention(
        *(3, 2, 16, K),
        value_size=12,
        heads=4,
        key_heads=key_heads,
        position=POSITIONS[position],
        key=jax.random.key(0),
    )
    np.testing.assert_allclose(run(layer), masked_attention(layer, XS), atol=2e-6)


def test_attention_without_positions_sees_a_set():
    """The read does not change where what is in the window changes places; with positions it does."""
    steps = np.arange(K)
    steps[:-1] = steps[:-1][::-1]

    def last(position):
        layer = ma.nn.Attention(3, 2, 8, K, position=position, key=jax.random.key(0))
        return [run(layer, XS[order], np.zeros(K, bool))[-1] for order in (np.arange(K), steps)]

    np.testing.assert_allclose(*last(ma.nn.NoPosition()), atol=1e-6)
    for position in (ma.nn.Rotary(), ma.nn.ALiBi()):
        one, other = last(position)
        assert np.max(np.abs(one - other)) > 1e-3


def test_a_frame_stack_is_a_list():
    frames, expected = [], []
    for x, begins in zip(XS, START, strict=True):
        frames = [x] if begins else [*frames, x]
        missing = [np.zeros(3, np.float32)] * (4 - len(frames))
        expected.append(np.concatenate([*missing, *frames[-4:]]))
    np.testing.assert_array_equal(run(ma.nn.FrameStack(3, 4)), expected)


def test_a_frame_stack_keeps_pixels_as_they_are():
    layer = ma.nn.FrameStack(2, 3, dtype=jnp.uint8)
    pixels = np.arange(8, dtype=np.uint8).reshape(4, 2)
    stacked = run(layer, pixels, np.zeros(4, bool))
    assert stacked.dtype == jnp.uint8
    assert layer.init_carry()[0].dtype == jnp.uint8
    np.testing.assert_array_equal(stacked[-1], [2, 3, 4, 5, 6, 7])


@pytest.mark.parametrize("depthwise", [False, True], ids=["dense", "depthwise"])
def test_a_convolution_is_that_of_numpy(depthwise):
    """`np.convolve` of each pair of channels, episode by episode."""
    out = 3 if depthwise else 2
    layer = ma.nn.Convolution(3, out, 4, depthwise=depthwise, key=jax.random.key(0))
    layer = perturbed(layer)
    weight = np.asarray(layer.weight)
    expected = np.tile(np.asarray(layer.bias), (T, 1))
    for episode in np.unique(EPISODE):
        inside = episode == EPISODE
        for o in range(out):
            for i in range(3):
                if depthwise and i != o:
                    continue
                # W_0 first.
                kernel = weight[::-1, i] if depthwise else weight[o, ::-1, i]
                expected[inside, o] += np.convolve(XS[inside, i], kernel)[: inside.sum()]
    np.testing.assert_allclose(run(layer), expected, atol=2e-6)


MEMORIES = {
    "frame_stack": lambda key: ma.nn.FrameStack(3, K),
    "convolution": lambda key: ma.nn.Convolution(3, 2, K, key=key),
    "attention": lambda key: ma.nn.Attention(3, 2, 8, K, key=key),
    "oracle_window": lambda key: ma.nn.OracleWindow(3, 2, K, hidden_size=16, key=key),
}


@pytest.mark.parametrize("name", MEMORIES)
def test_exactly_the_last_k_steps_are_seen(name):
    """The gradient of the last output is not zero in the last k inputs, and is in those before."""
    layer = perturbed(MEMORIES[name](jax.random.key(0)))
    nowhere = np.zeros(T, bool)
    gradient = jax.grad(lambda xs: jnp.sum(run(layer, xs, nowhere)[-1]))(jnp.asarray(XS))
    reached = np.any(np.asarray(gradient) != 0, axis=1)
    np.testing.assert_array_equal(reached, np.arange(T) >= T - K)


@pytest.mark.parametrize("name", ["frame_stack", "attention", "convolution"])
def test_auto_gathers_windows(name):
    """The default method runs no loop over steps, which `Sequential` does."""
    layer, xs, start = MEMORIES[name](jax.random.key(0)), jnp.asarray(XS), jnp.asarray(START)

    def program(method):
        def call(xs):
            return layer(layer.init_carry(), xs, start, method=method)

        return str(jax.make_jaxpr(call)(xs))

    assert f"length={T}" not in program(ma.Auto())
    assert f"length={T}" in program(ma.Sequential())


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda key: ma.nn.FrameStack(3, 0), "FrameStack needs sizes of at least 1.*k=0"),
        (lambda key: ma.nn.Convolution(3, 2, 0, key=key), "Convolution needs sizes.*k=0"),
        (lambda key: ma.nn.Convolution(3, 2, depthwise=True, key=key), "equal, got 3 and 2"),
        (lambda key: ma.nn.Attention(3, 2, 8, 0, key=key), "Attention needs sizes.*k=0"),
        (lambda key: ma.nn.Attention(3, 2, 8, 4, heads=3, key=key), "size=8 must be a positive"),
        (
            lambda key: ma.nn.Attention(3, 2, 8, 4, heads=4, key_heads=3, key=key),
            "heads=4 must be a multiple of key_heads=3",
        ),
        (lambda key: ma.nn.OracleWindow(3, 0, 4, key=key), "OracleWindow needs sizes"),
    ],
)
def test_sizes_that_do_not_fit(build, message):
    with pytest.raises(ValueError, match=message):
        build(jax.random.key(0))
