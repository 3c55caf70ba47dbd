"""Windows, attention, and the controls, step by step with a buffer that shifts."""

import jax
import jax.numpy as jnp

import memoalg as ma

from .case import Case, replaced


def stack_step(p, frames, x):
    """y = (x[t-k+1], ..., x[t])."""
    frames = [*frames[1:], x]
    return frames, jnp.concatenate(frames)


def convolution_step(p, frames, x):
    """y[t] = sum_j W_j x[t-j] + b, where weight[:, k-1-j] is W_j."""
    frames = [*frames[1:], x]
    y, k = p.bias, len(frames)
    for j in range(k):
        back = frames[k - 1 - j]
        y = y + (p.weight[k - 1 - j] * back if p.depthwise else p.weight[:, k - 1 - j] @ back)
    return frames, y


def attention_step(p, state, x):
    """y = W_o [sum_j p_j v_j], p = softmax_j(q . k_j / sqrt(d) + b_j), j over the last k steps."""
    keys, values, there = state
    d, groups, per = p.size // p.heads, p.key_heads, p.heads // p.key_heads
    rows = (p.pairs.weight @ x).reshape(groups, -1)
    keys, values = [*keys[1:], rows[:, :d]], [*values[1:], rows[:, d:]]
    there = jnp.append(there[1:], True)
    queries, reads = (p.queries.weight @ x).reshape(p.heads, d), []
    for head in range(p.heads):
        ages = range(p.k - 1, -1, -1)
        scores = [
            _score(p, queries[head], key[head // per], age, head)
            for key, age in zip(keys, ages, strict=True)
        ]
        weights = jax.nn.softmax(jnp.where(there, jnp.stack(scores), -1e30))
        stacked = jnp.stack([value[head // per] for value in values])
        reads.append(weights @ stacked)
    return (keys, values, there), p.output.weight @ jnp.concatenate(reads)


def _score(p, q, k, age, head):
    if isinstance(p.position, ma.nn.Rotary):
        # (R^age q) . k, by complex numbers.
        half = q.shape[0] // 2
        turn = jnp.exp(1j * age * 100.0 ** -(jnp.arange(half) / half))
        pairs = (q[:half] + 1j * q[half : 2 * half]) * turn
        dot = jnp.sum((pairs * (k[:half] - 1j * k[half : 2 * half])).real)
        rest = q[2 * half :] @ k[2 * half :]
        return (dot + rest) / jnp.sqrt(q.shape[0])
    slope = 2.0 ** (-8 * (head + 1) / p.heads) if isinstance(p.position, ma.nn.ALiBi) else 0.0
    return q @ k / jnp.sqrt(q.shape[0]) - slope * age


def attention(**options):
    def build(key):
        return ma.nn.Attention(3, 2, 20, 5, value_size=8, heads=4, key=key, **options)

    return build


def empty(p):
    size = p.size // p.heads, p.value_size // p.heads
    keys, values = ([jnp.zeros((p.key_heads, n))] * p.k for n in size)
    return keys, values, jnp.zeros(p.k, bool)


def oracle_step(p, frames, x):
    """y = W2 relu(W1 (the last k) + b1) + b2."""
    frames = [*frames[1:], x]
    _, hidden, output = (layer for layer in p.layers)
    one, two = hidden.function.linear, output.function
    middle = jax.nn.relu(one.weight @ jnp.concatenate(frames) + one.bias)
    return frames, two.weight @ middle + two.bias


def mlp_step(p, nothing, x):
    """y = relu(W x + b)."""
    linear = p.function.linear
    return nothing, jax.nn.relu(linear.weight @ x + linear.bias)


def _newest_first(layer):
    axis = 0 if layer.depthwise else 1
    return replaced(layer, weight=jnp.flip(layer.weight, axis))


def _turned_maps(layer):
    return replaced(layer, weight=jnp.roll(layer.weight, 1, axis=1))


def _no_bias(layer):
    return replaced(layer, bias=0 * layer.bias)


def _shorter(layer):
    """One step less is seen."""
    return replaced(layer, k=layer.k - 1)


def _values_before_keys(layer):
    rows = layer.pairs.weight.reshape(layer.key_heads, -1, layer.in_size)
    rows = jnp.roll(rows, -(layer.size // layer.heads), axis=1).reshape(layer.pairs.weight.shape)
    return replaced(layer, pairs=replaced(layer.pairs, weight=rows))


def _unscaled(layer):
    queries = replaced(layer.queries, weight=2 * layer.queries.weight)
    return replaced(layer, queries=queries)


def _heads_reversed(layer):
    queries = layer.queries.weight.reshape(layer.heads, -1, layer.in_size)[::-1]
    weight = queries.reshape(layer.queries.weight.shape)
    return replaced(layer, queries=replaced(layer.queries, weight=weight))


def _at(position):
    return lambda layer: replaced(layer, position=position)


class Backwards(ma.nn.AbstractRelativePosition):
    """Rotary positions in which the queries turn the other way."""

    def turned(self, x, at):
        return ma.nn.Rotary(100.0).turned(x, -at if x.shape[1] == 4 else at)

    def bias(self, heads, age):
        return None


def _flipped_stack(layer):
    def newest_first(read, x):
        return read[0][::-1].reshape(-1).astype(x.dtype)

    return ma.nn.Memoroid(layer.monoid, layer.encode, newest_first, in_size=3)


def _begins_with_ones(layer):
    """What was before the start is not zero."""
    values, count = layer.initial_state()
    state = values + 1, count
    return ma.nn.Memoroid(layer.monoid, layer.encode, layer.readout, initial_state=state, in_size=3)


def _shorter_stack(layer):
    """The oldest frame is not seen."""
    stack, hidden, output = layer.layers
    linear = hidden.function.linear
    weight = linear.weight.at[:, : stack.in_size].set(0)
    dense = replaced(hidden.function, linear=replaced(linear, weight=weight))
    return replaced(layer, layers=(stack, replaced(hidden, function=dense), output))


def _oldest_last(layer):
    stack, hidden, output = layer.layers
    linear = hidden.function.linear
    weight = linear.weight.reshape(linear.weight.shape[0], stack.k, -1)[:, ::-1]
    flipped = replaced(linear, weight=weight.reshape(linear.weight.shape))
    dense = replaced(hidden, function=replaced(hidden.function, linear=flipped))
    return replaced(layer, layers=(stack, dense, output))


def _linear(layer):
    return replaced(layer, function=layer.function.linear)


CASES: dict[str, Case] = {
    "frame_stack": Case(
        lambda key: ma.nn.FrameStack(3, 4),
        lambda p: [jnp.zeros(3)] * 4,
        stack_step,
        {"newest first": _flipped_stack, "an episode begins with ones": _begins_with_ones},
    ),
    "convolution": Case(
        lambda key: ma.nn.Convolution(3, 2, 4, key=key),
        lambda p: [jnp.zeros(3)] * 4,
        convolution_step,
        {"newest first": _newest_first, "one step late": _turned_maps, "no bias": _no_bias},
    ),
    "convolution-depthwise": Case(
        lambda key: ma.nn.Convolution(3, 3, 5, depthwise=True, key=key),
        lambda p: [jnp.zeros(3)] * 5,
        convolution_step,
        {"newest first": _newest_first, "no bias": _no_bias},
    ),
    "attention": Case(
        attention(),
        empty,
        attention_step,
        {
            "values before keys": _values_before_keys,
            "scores not scaled": _unscaled,
            "heads in another order": _heads_reversed,
            "a shorter window": _shorter,
        },
    ),
    "attention-rotary": Case(
        attention(position=ma.nn.Rotary(100.0), key_heads=2),
        empty,
        attention_step,
        {
            "another base": _at(ma.nn.Rotary(10.0)),
            "no positions": _at(ma.nn.NoPosition()),
            "keys turn backwards": _at(Backwards()),
        },
    ),
    "attention-alibi": Case(
        attention(position=ma.nn.ALiBi(), key_heads=1),
        empty,
        attention_step,
        {"no positions": _at(ma.nn.NoPosition()), "heads in another order": _heads_reversed},
    ),
    "oracle_window": Case(
        lambda key: ma.nn.OracleWindow(3, 2, 4, hidden_size=5, key=key),
        lambda p: [jnp.zeros(3)] * 4,
        oracle_step,
        {"a shorter window": _shorter_stack, "newest first": _oldest_last},
    ),
    "mlp": Case(
        lambda key: ma.nn.MLP(3, 2, key=key), lambda p: (), mlp_step, {"no activation": _linear}
    ),
}
