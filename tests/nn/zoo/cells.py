"""Recurrent cells, as in their papers."""

import jax
import jax.numpy as jnp

import memoalg as ma
from memoalg.nn.models._slstm import SLSTM

from .case import Case, replaced

sigmoid = jax.nn.sigmoid


def affine(linear, x):
    return linear.weight @ x + linear.bias


def gru_step(p, h, x):
    """The GRU of cuDNN: the reset gate multiplies the recurrent product."""
    u_r, u_z, u_n = jnp.split(p.recurrent, 3)
    r_x, z_x, n_x = jnp.split(affine(p.inputs, x), 3)
    r, z = sigmoid(r_x + u_r @ h), sigmoid(z_x + u_z @ h)
    n = jnp.tanh(n_x + r * (u_n @ h + p.candidate_bias))
    h = (1 - z) * n + z * h
    return h, h


def lstm_step(p, state, x):
    """i, f, g, o in this order; c = f c + i g; h = o tanh(c)."""
    h, c = state
    i, f, g, o = jnp.split(affine(p.inputs, x) + p.recurrent @ h, 4)
    c = sigmoid(f) * c + sigmoid(i) * jnp.tanh(g)
    h = sigmoid(o) * jnp.tanh(c)
    return (h, c), h


def mgu_step(p, h, x):
    """f = σ(W_f x + U_f h); h~ = tanh(W_h x + U_h (f h)); h = (1 - f) h + f h~."""
    f_x, new_x = jnp.split(affine(p.inputs, x), 2)
    f = sigmoid(f_x + p.gate @ h)
    h = (1 - f) * h + f * jnp.tanh(new_x + p.candidate @ (f * h))
    return h, h


def elman_step(p, h, x):
    h = jnp.tanh(affine(p.inputs, x) + p.recurrent @ h)
    return h, h


def slstm_step(p, state, x):
    """Equations 8 to 14, with no stabiliser: c = f c + i z, n = f n + i, h = o c / n; two heads."""
    h, c, n = state
    i, f, z, o = jnp.split(affine(p.inputs, x), 4)
    parts = []
    for head, of_head in enumerate((slice(0, 2), slice(2, 4))):
        mixed = p.recurrent[head] @ h[of_head]
        parts.append(
            [gate[of_head] + mixed[2 * k : 2 * k + 2] for k, gate in enumerate((i, f, z, o))]
        )
    i, f, z, o = (jnp.concatenate(pair) for pair in zip(*parts, strict=True))
    f = jnp.exp(f) if p.exponential_forget else sigmoid(f)
    c = f * c + jnp.exp(i) * jnp.tanh(z)
    n = f * n + jnp.exp(i)
    h = sigmoid(o) * c / n
    return (h, c, n), h


def _gates_swapped(first, second, size):
    """The rows of two gates exchanged, in the input's and in the recurrent weight."""

    def change(p):
        order = jnp.arange(p.recurrent.shape[-2]).reshape(-1, size)
        order = order.at[first].set(order[second]).at[second].set(order[first]).ravel()
        weight, bias = p.inputs.weight[order], p.inputs.bias[order]
        inputs = replaced(p.inputs, weight=weight, bias=bias)
        return replaced(p, inputs=inputs, recurrent=p.recurrent[order])

    return change


def _recurrent_transposed(p):
    blocks = p.recurrent.reshape(-1, 4, 4)
    return replaced(p, recurrent=blocks.swapaxes(1, 2).reshape(-1, 4))


def _inputs_negated(rows):
    def change(p):
        weight, bias = p.inputs.weight, p.inputs.bias
        inputs = replaced(
            p.inputs,
            weight=weight.at[rows].multiply(-1),
            bias=bias.at[rows].multiply(-1),
        )
        return replaced(p, inputs=inputs)

    return change


def _heads_exchanged(p):
    return replaced(p, recurrent=p.recurrent[::-1])


def _zeros(size):
    return lambda p: jnp.zeros(size)


CASES: dict[str, Case] = {
    "gru": Case(
        lambda key: ma.nn.GRU(3, 4, key=key),
        _zeros(4),
        gru_step,
        {
            "reset and update gate swapped": _gates_swapped(0, 1, 4),
            "recurrent weights transposed": _recurrent_transposed,
            "no bias inside the reset": lambda p: replaced(p, candidate_bias=0 * p.candidate_bias),
        },
    ),
    "lstm": Case(
        lambda key: ma.nn.LSTM(3, 4, key=key),
        lambda p: (jnp.zeros(4), jnp.zeros(4)),
        lstm_step,
        {
            "input and forget gate swapped": _gates_swapped(0, 1, 4),
            "candidate and output gate swapped": _gates_swapped(2, 3, 4),
            "recurrent weights transposed": _recurrent_transposed,
        },
    ),
    "mgu": Case(
        lambda key: ma.nn.MGU(3, 4, key=key),
        _zeros(4),
        mgu_step,
        {
            "gate complement swapped": lambda p: replaced(
                _inputs_negated(slice(0, 4))(p), gate=-p.gate
            ),
            "recurrent weights swapped": lambda p: replaced(p, gate=p.candidate, candidate=p.gate),
        },
    ),
    "elman": Case(
        lambda key: ma.nn.Elman(3, 4, key=key),
        _zeros(4),
        elman_step,
        {
            "recurrent weights transposed": _recurrent_transposed,
            "no recurrence": lambda p: replaced(p, recurrent=0 * p.recurrent),
        },
    ),
    "slstm": Case(
        lambda key: SLSTM(3, 4, heads=2, key=key),
        lambda p: (jnp.zeros(4),) * 3,
        slstm_step,
        {
            "exponential forget gate": lambda p: replaced(p, exponential_forget=True),
            "heads exchanged": _heads_exchanged,
            "input gate negated": _inputs_negated(slice(0, 4)),
        },
    ),
    "slstm-exponential": Case(
        lambda key: SLSTM(3, 4, heads=2, exponential_forget=True, key=key),
        lambda p: (jnp.zeros(4),) * 3,
        slstm_step,
        {"sigmoid forget gate": lambda p: replaced(p, exponential_forget=False)},
    ),
}
