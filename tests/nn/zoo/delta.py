"""The delta rule and its relatives, as in their papers."""

import itertools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

import memoalg as ma
from memoalg.nn.models._delta_product import DeltaProduct, MicroSteps
from memoalg.nn.models._deltanet import DeltaNet
from memoalg.nn.models._gated_deltanet import GatedDeltaNet
from memoalg.nn.models._rwkv7 import RWKV7
from memoalg.nn.models._ttt_linear import TTTLinear

from .case import Case, replaced

HEADS, KEY, VALUE = 4, 5, 6
KEYS, VALUES = HEADS * KEY, HEADS * VALUE


def sigmoid(x):
    return 1 / (1 + jnp.exp(-x))


def silu(x):
    return x * sigmoid(x)


def cut(rows, *sizes):
    """A vector in parts of several sizes."""
    assert len(rows) == sum(sizes)
    ends = [sum(sizes[:i]) for i in range(len(sizes) + 1)]
    return [rows[a:b] for a, b in itertools.pairwise(ends)]


def unit(x):
    """Heads of norm one; the epsilon is the public code's."""
    x = x.reshape(HEADS, -1)
    return x / jnp.sqrt(jnp.sum(x**2, axis=1, keepdims=True) + 1e-6)


def rms(x):
    return x / jnp.sqrt(jnp.mean(x**2, axis=1, keepdims=True) + 1e-6)


def zeros(p):
    return jnp.zeros((HEADS, VALUE, KEY))


@jax.vmap
def corrected(s, k, v, beta, alpha):
    """S (alpha (I - beta k kᵀ)) + beta v kᵀ, for each head."""
    return s @ (alpha * (jnp.eye(KEY) - beta * jnp.outer(k, k))) + beta * jnp.outer(v, k)


# DeltaNet -------------------------------------------------------------------------------------------


def deltanet_step(p, s, x):
    q, k, v, b = cut(p.inputs @ x, KEYS, KEYS, VALUES, HEADS)
    q, k, v = unit(silu(q)), unit(silu(k)), silu(v).reshape(HEADS, VALUE)
    beta = (2 if p.reflect else 1) * sigmoid(b)
    s = corrected(s, k, v, beta, jnp.ones(HEADS))
    o = jnp.einsum("hvk,hk->hv", s, q)
    return s, p.output.weight @ (p.scale * rms(o)).reshape(-1)


class AddingRule(ma.DeltaRule):
    """Fast weights without the correction."""

    def advance(self, state, generator):
        key, value, strength, decay = generator
        return decay * state + value[:, None] * (strength * key)[None, :]


class ErrorBeforeDecay(ma.DeltaRule):
    def advance(self, state, generator):
        key, value, strength, decay = generator
        return decay * state + (value - state @ key)[:, None] * (strength * key)[None, :]


class WriteDecays(ma.DeltaRule):
    def advance(self, state, generator):
        key, value, strength, decay = generator
        return decay * (state + (value - state @ key)[:, None] * (strength * key)[None, :])


class Changed(ma.nn.AbstractMemoroid):
    """A memoroid with another rule, or another generator."""

    layer: ma.nn.AbstractMemoroid
    rule: Callable[..., Any] | None = eqx.field(static=True)
    change: Callable[..., Any] | None = eqx.field(static=True)

    def __init__(self, layer, rule=None, change=None):
        self.layer, self.rule, self.change = layer, rule, change

    @property
    def in_size(self):
        return self.layer.in_size

    @property
    def out_size(self):
        return self.layer.out_size

    @property
    def monoid(self):
        heads: Any = self.layer.monoid
        if self.rule is None:
            return heads
        one = heads.monoid
        return ma.Power(self.rule(one.key_size, one.value_size, one.dtype), heads.size)

    def encode(self, x):
        generator = self.layer.encode(x)
        return generator if self.change is None else self.change(*generator)

    def query(self, x):
        return self.layer.query(x)

    def readout(self, read, x):
        return self.layer.readout(read, x)

    def initial_state(self):
        return self.layer.initial_state()


def _longer_keys(key, value, strength, decay):
    return 1.1 * key, value, strength, decay


def _queries_for_keys(layer):
    q, k, rest = layer.inputs[:KEYS], layer.inputs[KEYS : 2 * KEYS], layer.inputs[2 * KEYS :]
    return replaced(layer, inputs=jnp.concatenate([k, q, rest]))


def _strengths_of_other_heads(layer):
    begin = 2 * KEYS + VALUES
    rows = jnp.roll(layer.inputs[begin : begin + HEADS], 1, axis=0)
    return replaced(layer, inputs=layer.inputs.at[begin : begin + HEADS].set(rows))


# Gated DeltaNet -------------------------------------------------------------------------------------


def gated_deltanet_step(p, s, x):
    rows = cut(p.inputs @ x, KEYS, KEYS, VALUES, HEADS, HEADS, VALUES)
    q, k, v, b, a, gate = rows
    q, k, v = unit(silu(q)), unit(silu(k)), silu(v).reshape(HEADS, VALUE)
    beta = (2 if p.reflect else 1) * sigmoid(b)
    alpha = jnp.exp(-jnp.exp(p.A_log) * jnp.log1p(jnp.exp(a + p.step_bias)))
    s = corrected(s, k, v, beta, alpha)
    o = jnp.einsum("hvk,hk->hv", s, q)
    return s, p.output.weight @ ((p.scale * rms(o)).reshape(-1) * silu(gate))


def _decays_and_strengths_swapped(layer):
    begin, end = 2 * KEYS + VALUES, 2 * KEYS + VALUES + 2 * HEADS
    rows = jnp.roll(layer.inputs[begin:end], HEADS, axis=0)
    return replaced(layer, inputs=layer.inputs.at[begin:end].set(rows))


# DeltaProduct ---------------------------------------------------------------------------------------


def product_step(n):
    """n steps of the delta rule, the decay before the first; the memory is read after the last."""

    def step(p, s, x):
        memory: Any = p.layers[1].layers[0].layers[1].layer
        gated = (HEADS,) if memory.sizes.gated else ()
        each = [size for size in (KEYS, VALUES, HEADS) for _ in range(n)]
        rows = cut(p.layers[0].function.weight @ x, KEYS, *each, *gated, VALUES)
        q, gate = unit(silu(rows[0])), rows[-1]
        keys, values, strengths = (rows[1 + i * n : 1 + (i + 1) * n] for i in range(3))
        alpha = jnp.ones(HEADS)
        if gated:
            width = jnp.log1p(jnp.exp(rows[-2] + memory.step_bias))
            alpha = jnp.exp(-jnp.exp(memory.A_log) * width)
        s = s * alpha[:, None, None]
        for k, v, b in zip(keys, values, strengths, strict=True):
            k, v = unit(silu(k)), silu(v).reshape(HEADS, VALUE)
            beta = (2 if memory.reflect else 1) * sigmoid(b)
            s = corrected(s, k, v, beta, jnp.ones(HEADS))
        o = jnp.einsum("hvk,hk->hv", s, q)
        o = (memory.scale * rms(o)).reshape(-1) * silu(gate)
        return s, p.layers[2].function.output.weight @ o

    return step


def _with_rows(layer, weight):
    return eqx.tree_at(lambda p: p.layers[0].function.weight, layer, weight)


def _steps_reversed(layer):
    """With two steps: keys, values and strengths of each change places."""
    weight, order, begin = layer.layers[0].function.weight, list(range(KEYS)), KEYS
    for size in (KEYS, VALUES, HEADS):
        first, second = range(begin, begin + size), range(begin + size, begin + 2 * size)
        order += [*second, *first]
        begin += 2 * size
    return _with_rows(layer, weight[jnp.array([*order, *range(begin, len(weight))])])


def _keys_shared_by_the_steps(layer):
    weight = layer.layers[0].function.weight
    return _with_rows(layer, weight.at[2 * KEYS : 3 * KEYS].set(weight[KEYS : 2 * KEYS]))


class AlwaysFirst(eqx.Module):
    """Small steps that all decay."""

    steps: MicroSteps

    def __call__(self, x):
        return self.steps(x).at[:, -1].set(1.0)


def _decay_at_every_small_step(layer):
    def maker(p):
        return p.layers[1].layers[0].layers[0].function

    return eqx.tree_at(maker, layer, AlwaysFirst(maker(layer)))


# RWKV-7 ---------------------------------------------------------------------------------------------


def rwkv7_initial(p):
    return jnp.zeros(3), jnp.zeros((HEADS, VALUE, KEY))


def rwkv7_step(p, state, x):
    before, s = state
    _, (mix, memory) = p.layers[0], (p.layers[1].function, p.layers[2])
    # In the order of `mixtures`.
    xr, xk, xv, xd, xa, xg = (x + mu * (before - x) for mu in mix.mixtures)
    r, k, v = mix.receptance.weight @ xr, mix.keys.weight @ xk, mix.values.weight @ xv
    d = mix.decay.up @ jnp.tanh(mix.decay.down @ xd) + mix.decay.bias
    w = jnp.exp(-jnp.exp(-0.5) * sigmoid(d))
    a = sigmoid(mix.rate.up @ (mix.rate.down @ xa) + mix.rate.bias)
    g = mix.gate.up @ sigmoid(mix.gate.down @ xg)
    kappa = unit(memory.removal * k)
    k = k * (1 + (a - 1) * memory.replacement)
    r, k, v, w, a, rho = (part.reshape(HEADS, -1) for part in (r, k, v, w, a, memory.bonus))
    scale, shift = memory.scale.reshape(HEADS, -1), memory.shift.reshape(HEADS, -1)

    @jax.vmap
    def head(s, r, k, v, w, a, kappa, rho, scale, shift):
        s = s @ (jnp.diag(w) - jnp.outer(kappa, a * kappa)) + jnp.outer(v, k)
        o = s @ r
        o = (o - jnp.mean(o)) / jnp.sqrt(jnp.var(o) + VALUE * 1e-5) * scale + shift
        return s, o + (r @ (rho * k)) * v

    s, o = head(s, r, k, v, w, a, kappa, rho, scale, shift)
    return (x, s), memory.output.weight @ (g * o.reshape(-1))


def _rwkv7_with(**fields):
    def fault(layer):
        memory = layer.layers[2]
        new = {name: jnp.full_like(getattr(memory, name), value) for name, value in fields.items()}
        return eqx.tree_at(lambda p: p.layers[2], layer, replaced(memory, **new))

    return fault


def _mixtures(change):
    def fault(layer):
        return eqx.tree_at(lambda p: p.layers[1].function.mixtures, layer, replace_fn=change)

    return fault


def _rate_on_the_erased_side(key, value, decay, erased, replaced):
    # a (kappa)ᵀ kappa in place of kappaᵀ (a kappa).
    return key, value, decay, -replaced, -erased


def _rwkv7_transposed(layer):
    memory = Changed(layer.layers[2], None, _rate_on_the_erased_side)
    return eqx.tree_at(lambda p: p.layers[2], layer, memory)


# TTT-Linear -----------------------------------------------------------------------------------------


def ttt_step(p, s, x):
    """W - eta dl/dW with l = |W k - v|²; the gradient is taken by jax."""
    q, k, v, rate = cut(p.inputs @ x, KEYS, KEYS, VALUES, HEADS)
    q, k, v = (part.reshape(HEADS, -1) for part in (q, k, v))
    eta = p.rate * sigmoid(rate + p.rate_bias)

    def loss(w, k, v):
        return jnp.sum((w @ k - v) ** 2)

    s = s - eta[:, None, None] * jax.vmap(jax.grad(loss))(s, k, v)
    return s, p.output.weight @ jnp.einsum("hvk,hk->hv", s, q).reshape(-1)


def _half_the_rate(key, value, strength, decay):
    return key, value, strength / 2, decay


def _begins_at_zero(layer):
    return replaced(layer, initial=jnp.zeros_like(layer.initial))


CASES: dict[str, Case] = {
    "deltanet": Case(
        lambda key: DeltaNet(3, 2, KEYS, value_size=VALUES, heads=HEADS, key=key),
        zeros,
        deltanet_step,
        {
            "queries for keys": _queries_for_keys,
            "strengths of other heads": _strengths_of_other_heads,
            "added, not corrected": lambda layer: Changed(layer, AddingRule),
            "keys that are not unit": lambda layer: Changed(layer, None, _longer_keys),
        },
    ),
    "deltanet-reflect": Case(
        lambda key: DeltaNet(3, 2, KEYS, value_size=VALUES, heads=HEADS, reflect=True, key=key),
        zeros,
        deltanet_step,
    ),
    "gated_deltanet": Case(
        lambda key: GatedDeltaNet(3, 2, KEYS, value_size=VALUES, heads=HEADS, key=key),
        zeros,
        gated_deltanet_step,
        {
            "decays for strengths": _decays_and_strengths_swapped,
            "the write decays": lambda layer: Changed(layer, WriteDecays),
            "error before the decay": lambda layer: Changed(layer, ErrorBeforeDecay),
        },
    ),
    "delta_product": Case(
        lambda key: DeltaProduct(3, 2, KEYS, value_size=VALUES, heads=HEADS, key=key),
        zeros,
        product_step(2),
        {
            "steps in reverse": _steps_reversed,
            "one key for all steps": _keys_shared_by_the_steps,
            "a decay at every small step": _decay_at_every_small_step,
        },
    ),
    "delta_product-3": Case(
        lambda key: DeltaProduct(
            3, 2, KEYS, value_size=VALUES, heads=HEADS, steps=3, gated=False, reflect=False, key=key
        ),
        zeros,
        product_step(3),
    ),
    "rwkv7": Case(
        lambda key: RWKV7(3, 2, KEYS, value_size=VALUES, heads=HEADS, rank=7, key=key),
        rwkv7_initial,
        rwkv7_step,
        {
            "no bonus": _rwkv7_with(bonus=0.0),
            "the key is not replaced": _rwkv7_with(replacement=0.0),
            "no token shift": _mixtures(jnp.zeros_like),
            "shift complement swapped": _mixtures(lambda mu: 1 - mu),
            "rate on the erased side": _rwkv7_transposed,
        },
    ),
    "ttt_linear": Case(
        lambda key: TTTLinear(3, 2, KEYS, value_size=VALUES, heads=HEADS, key=key),
        lambda p: p.initial,
        ttt_step,
        {
            "begins at zero": _begins_at_zero,
            "half the gradient": lambda layer: Changed(layer, None, _half_the_rate),
            "added, not corrected": lambda layer: Changed(layer, AddingRule),
        },
    ),
}
