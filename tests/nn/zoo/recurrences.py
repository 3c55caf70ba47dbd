"""Elementwise recurrences, gated, tropical and clipped, as in their papers."""

import equinox as eqx
import jax
import jax.numpy as jnp

import memoalg as ma
from memoalg.nn.models._decayed_max import DecayedMax
from memoalg.nn.models._ind_rnn import IndRNN
from memoalg.nn.models._log_sum_exp import DecayedLogSumExp
from memoalg.nn.models._min_gru import MinGRU
from memoalg.nn.models._min_lstm import MinLSTM
from memoalg.nn.models._qrnn import QRNN
from memoalg.nn.models._sru import SRU

from .case import Case, replaced

sigmoid = jax.nn.sigmoid


def affine(linear, x):
    return linear.weight @ x + linear.bias


def positive(x):
    """g of the paper on minimal recurrences."""
    return jnp.where(x >= 0, x + 0.5, sigmoid(x))


def min_gru_step(p, h, x):
    """z = σ(W_z x); h = (1 - z) h + z h~; h~ linear in x, through g in log space."""
    pre = affine(p.inputs, x)
    z, candidate = sigmoid(pre[:5]), pre[5:]
    h = (1 - z) * h + z * (positive(candidate) if p.log_space else candidate)
    return h, affine(p.output, h)


def min_lstm_step(p, h, x):
    """f' = f / (f + i), i' = i / (f + i); h = f' h + i' h~."""
    pre = affine(p.inputs, x)
    f, i, candidate = sigmoid(pre[:5]), sigmoid(pre[5:10]), pre[10:]
    candidate = positive(candidate) if p.log_space else candidate
    h = f / (f + i) * h + i / (f + i) * candidate
    return h, affine(p.output, h)


def qrnn_step(p, state, x):
    """z, f, o by filters over x[t-2], x[t-1], x[t]; c = f c + (1 - f) z; y = o c."""
    c, frames = state
    convolution = p.layers[0]
    frames = jnp.concatenate([frames[1:], x[None]])
    pre = jnp.tensordot(convolution.weight, frames, 2) + convolution.bias
    z, f, o = jnp.tanh(pre[:4]), sigmoid(pre[4:8]), sigmoid(pre[8:])
    c = f * c + (1 - f) * z
    return (c, frames), o * c


def sru_step(p, c, x):
    """f = σ(W_f x + b_f); c = f c + (1 - f) W x; r = σ(W_r x + b_r); h = r c + (1 - r) α u."""
    n = p.out_size
    f = sigmoid(p.inputs[n:] @ x + p.forget_bias)
    c = f * c + (1 - f) * (p.inputs[:n] @ x)
    r = sigmoid(p.highway[:n] @ x + p.reset_bias)
    u = x if n == 3 else p.highway[n:] @ x
    alpha = jnp.sqrt(1 + 2 * jnp.exp(-1.0))
    return c, r * c + (1 - r) * alpha * u


def decayed_max_step(p, m, x):
    """m = max(m - r, W x + b)."""
    m = jnp.maximum(m - jnp.exp(p.rate_log), affine(p.inputs, x))
    return m, affine(p.output, m)


def log_sum_exp_step(p, total, x):
    """τ times the logarithm of the decayed sum of exp((W x + b) / τ)."""
    rate, temperature = jnp.exp(p.rate_log), jnp.exp(p.temperature_log)
    total = jnp.exp(-rate / temperature) * total + jnp.exp(affine(p.inputs, x) / temperature)
    return total, affine(p.output, temperature * jnp.log(total))


def ind_rnn_step(p, h, x):
    """h = relu(W x + u h + b)."""
    h = jax.nn.relu(affine(p.inputs, x) + p.max_gain * jnp.tanh(p.gain) * h)
    return h, h


def _rows(linear, function, begin, end):
    """A linear map some of whose rows are changed."""
    rows = slice(begin, end)
    return replaced(
        linear,
        weight=linear.weight.at[rows].set(function(linear.weight[rows])),
        bias=linear.bias.at[rows].set(function(linear.bias[rows])),
    )


def _negated(begin, end):
    return lambda p: replaced(p, inputs=_rows(p.inputs, jnp.negative, begin, end))


def _tripled(begin, end):
    return lambda p: replaced(p, inputs=_rows(p.inputs, lambda rows: 3 * rows, begin, end))


def _exchanged(begin, middle, end):
    swap = lambda rows: jnp.concatenate([rows[middle - begin :], rows[: middle - begin]])
    return lambda p: replaced(p, inputs=_rows(p.inputs, swap, begin, end))


def _other_space(p):
    return replaced(p, log_space=not p.log_space)


class Unscaled(eqx.Module):
    """An encoder that forgets to gate the input."""

    layer: MinGRU

    def __call__(self, x):
        keep, _ = self.layer.encode(x)
        return keep, self.layer.inputs(x)[5:].astype(keep.dtype)


def _input_without_gate(p):
    return ma.nn.Memoroid(p.monoid, Unscaled(p), p.readout)


class Unnormalised(eqx.Module):
    """The gates as they are, not over their sum."""

    layer: MinLSTM

    def __call__(self, x):
        forget, write, candidate = jnp.split(self.layer.inputs(x), 3)
        return sigmoid(forget), sigmoid(write) * candidate


def _without_normaliser(p):
    return ma.nn.Memoroid(p.monoid, Unnormalised(p), p.readout)


def _in_qrnn(change):
    return lambda p: replaced(p, layers=(change(p.layers[0]), p.layers[1]))


def _filters_swapped(first, second):
    """The rows of two of z, f and o exchanged."""

    def change(convolution):
        order = jnp.arange(12).reshape(3, 4)
        order = order.at[first].set(order[second]).at[second].set(order[first]).ravel()
        weight, bias = convolution.weight[order], convolution.bias[order]
        return replaced(convolution, weight=weight, bias=bias)

    return _in_qrnn(change)


def _in_reversed_time(convolution):
    return replaced(convolution, weight=convolution.weight[:, ::-1])


def _min_gru(log_space):
    return lambda key: MinGRU(3, 2, 5, log_space=log_space, key=key)


def _min_lstm(log_space):
    return lambda key: MinLSTM(3, 2, 5, log_space=log_space, key=key)


def _nothing(size, value=0.0):
    return lambda p: jnp.full(size, value)


CASES: dict[str, Case] = {
    "min_gru": Case(
        _min_gru(False),
        _nothing(5),
        min_gru_step,
        {
            "gate complement swapped": _negated(0, 5),
            "gate and candidate swapped": _exchanged(0, 5, 10),
            "input without its gate": _input_without_gate,
            "positive candidate": _other_space,
        },
    ),
    "min_gru-log": Case(
        _min_gru(True),
        _nothing(5),
        min_gru_step,
        {"gate complement swapped": _negated(0, 5), "signed candidate": _other_space},
    ),
    "min_lstm": Case(
        _min_lstm(False),
        _nothing(5),
        min_lstm_step,
        {
            "forget and input gate swapped": _exchanged(0, 5, 10),
            "gates that are not normalised": _without_normaliser,
            "gates closed": _negated(0, 10),
        },
    ),
    "min_lstm-log": Case(
        _min_lstm(True),
        _nothing(5),
        min_lstm_step,
        {
            "forget and input gate swapped": _exchanged(0, 5, 10),
            "signed candidate": _other_space,
        },
    ),
    "qrnn": Case(
        lambda key: QRNN(3, 4, 3, key=key),
        lambda p: (jnp.zeros(4), jnp.zeros((3, 3))),
        qrnn_step,
        {
            "forget and output gate swapped": _filters_swapped(1, 2),
            "candidate and forget gate swapped": _filters_swapped(0, 1),
            "filters in reversed time": _in_qrnn(_in_reversed_time),
        },
    ),
    "sru": Case(
        lambda key: SRU(3, 4, highway_bias=-1.0, key=key),
        _nothing(4),
        sru_step,
        {
            "no scale": lambda p: replaced(p, scale=1.0),
            "reset gate complement": lambda p: replaced(
                p, highway=p.highway.at[:4].multiply(-1), reset_bias=-p.reset_bias
            ),
            "forget gate and candidate swapped": lambda p: replaced(
                p, inputs=jnp.roll(p.inputs, 4, axis=0)
            ),
        },
    ),
    "sru-square": Case(lambda key: SRU(3, 3, highway_bias=-1.0, key=key), _nothing(3), sru_step),
    "decayed_max": Case(
        lambda key: DecayedMax(3, 2, 5, key=key),
        _nothing(5, -jnp.inf),
        decayed_max_step,
        {
            "input negated": _negated(0, 5),
            "rate not a logarithm": lambda p: replaced(p, rate_log=jnp.exp(p.rate_log)),
            "no decay": lambda p: replaced(p, rate_log=p.rate_log - 99),
        },
    ),
    "log_sum_exp": Case(
        lambda key: DecayedLogSumExp(3, 2, 5, temperature=0.7, key=key),
        lambda p: jnp.zeros(5),
        log_sum_exp_step,
        {
            "rate for temperature": lambda p: replaced(
                p, rate_log=p.temperature_log, temperature_log=p.rate_log
            ),
            "no temperature": lambda p: replaced(p, temperature_log=0 * p.temperature_log),
            "no decay": lambda p: replaced(p, rate_log=p.rate_log - 99),
        },
    ),
    "ind_rnn": Case(
        lambda key: IndRNN(3, 4, key=key),
        _nothing(4),
        ind_rnn_step,
        {
            "no recurrence": lambda p: replaced(p, gain=0 * p.gain),
            "gain negated": lambda p: replaced(p, gain=-p.gain),
            "input tripled": _tripled(0, 4),
        },
    ),
}
