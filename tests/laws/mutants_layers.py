"""Layers that break the protocol."""

# pyright: reportCallIssue=false

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

import memoalg as ma
from memoalg._tree import tree_where
from tests.laws.mutant import Mutant


class _Loop(ma.nn.AbstractLayer):
    """A gated sum with a learned beginning, in a loop of its own. It keeps the protocol."""

    weight: jax.Array
    beginning: jax.Array
    in_size: int = eqx.field(static=True, default=2)
    out_size: int = eqx.field(static=True, default=2)

    def init_carry(self):
        return 1 * self.beginning

    def enter(self, carry, start):
        return carry if start is None else tree_where(start, self.beginning, carry)

    def update(self, carry, x, start):
        carry = self.enter(carry, start)
        return jnp.tanh(x) * carry + self.weight * x

    def step(self, carry, x, start):
        carry = self.update(carry, x, start)
        return carry, carry

    def __call__(self, carry, xs, start, *, method: Any = None):
        return jax.lax.scan(lambda c, now: _twice(self.update(c, *now)), carry, (xs, start))


def _twice(value):
    return value, value


def _loop(kind=_Loop):
    return kind(jnp.array([0.5, 2.0]), jnp.array([1.0, -1.0]))


class _StepTwice(_Loop):
    def step(self, carry, x, start):
        carry = self.update(carry, 2 * x, start)
        return carry, carry


class _MaskedLoop(_Loop):
    def enter(self, carry, start):
        if start is None:
            return carry
        keep = 1 - start.astype(carry.dtype)
        return keep * carry + (1 - keep) * self.beginning


class _OutputSelected(_Loop):
    def update(self, carry, x, start):
        kept = jnp.tanh(x) * carry + self.weight * x
        anew = jnp.tanh(x) * self.beginning + self.weight * x
        return kept if start is None else jnp.where(start, anew, kept)


class _ReturnsTheFirst(_Loop):
    def __call__(self, carry, xs, start, *, method: Any = None):
        ys = jax.lax.scan(lambda c, now: _twice(self.update(c, *now)), carry, (xs, start))[1]
        return ys[0], ys


class _Resumes(_Loop):
    def __call__(self, carry, xs, start, *, method: Any = None):
        def body(c, now):
            return _twice(self.update(c, *now))

        return jax.lax.scan(body, self.init_carry(), (xs, start))


class _NeverStarts(_Loop):
    def enter(self, carry, start):
        return carry


class _StartsAtZero(_Loop):
    def step(self, carry, x, start):
        zeros = jnp.zeros_like(carry)
        carry = self.update(carry if start is None else tree_where(start, zeros, carry), x, None)
        return carry, carry


class _ResetsOneEntry(_Loop):
    def enter(self, carry, start):
        if start is None:
            return carry
        return carry.at[0].set(jnp.where(start, self.beginning[0], carry[0]))


class _NoneRestarts(_Loop):
    def __call__(self, carry, xs, start, *, method: Any = None):
        begun = carry if start is not None else self.init_carry() * 0
        return jax.lax.scan(lambda c, now: _twice(self.update(c, *now)), begun, (xs, start))


class _HalfCarry(_Loop):
    def step(self, carry, x, start):
        carry = self.update(carry, x, start)
        return carry.astype(jnp.float16), carry


class _NormOfTheCarry(_Loop):
    def step(self, carry, x, start):
        carry = self.update(carry, x, start)
        return carry, carry * jnp.sqrt(jnp.abs(x - x))

    def __call__(self, carry, xs, start, *, method: Any = None):
        carry, ys = _Loop.__call__(self, carry, xs, start)
        return carry, ys * jnp.sqrt(jnp.abs(xs - xs))


class _WholeSequence(_Loop):
    def __call__(self, carry, xs, start, *, method: Any = None):
        return _Loop.__call__(self, carry, xs - xs.mean(0, keepdims=True), start)


class _LooksAhead(_Loop):
    def __call__(self, carry, xs, start, *, method: Any = None):
        carry, ys = _Loop.__call__(self, carry, xs, start)
        return carry, jnp.concatenate([ys[1:], ys[-1:]])


class _DecayedMax(ma.AbstractMonoid):
    def identity(self):
        return jnp.full(2, -jnp.inf, float)

    def combine(self, left, right):
        return jnp.maximum(left - 0.5, right)


class _AtInit(ma.AbstractMonoid):
    """Associative while all decays are one."""

    def identity(self):
        return jnp.ones(2), jnp.zeros(2)

    def combine(self, left, right):
        return left[0] * right[0], left[1] + right[0] * right[1]


class _Decayed(eqx.Module):
    decay: jax.Array

    def __call__(self, x):
        return self.decay, x


def _first(read, x):
    return read


def _second(read, x):
    return read[1]


def _layer(kind, what):
    return Mutant(lambda: _loop(kind), what, "check_layer", right=_loop)


LAYERS: dict[str, Mutant] = {
    "AbstractLayer: step": _layer(_StepTwice, "step has a formula of its own"),
    "AbstractLayer: mask": _layer(_MaskedLoop, "the reset is an arithmetic mask"),
    "AbstractLayer: output": _layer(
        _OutputSelected, "the output is selected: NaN before a start stays in later gradients"
    ),
    "AbstractLayer: carry of the first": _layer(_ReturnsTheFirst, "the first state is carried"),
    "AbstractLayer: resumes": _layer(_Resumes, "a call forgets its carry"),
    "AbstractLayer: never starts": _layer(_NeverStarts, "start is ignored"),
    "AbstractLayer: starts at zero": _layer(
        _StartsAtZero, "step resets to zeros, not to the learned beginning"
    ),
    "AbstractLayer: one entry": _layer(_ResetsOneEntry, "a start resets a part of the carry"),
    "AbstractLayer: None": _layer(_NoneRestarts, "start=None begins anew, at zero"),
    "AbstractLayer: half": _layer(_HalfCarry, "step casts the carry"),
    "AbstractLayer: root": _layer(_NormOfTheCarry, "the root of zero: an infinite derivative"),
    "AbstractLayer: whole sequence": _layer(_WholeSequence, "a call centres its whole input"),
    "AbstractLayer: ahead": _layer(_LooksAhead, "a call returns the next step's output"),
    "Memoroid: not associative": Mutant(
        lambda: ma.nn.Memoroid(_DecayedMax(), abs, _first, in_size=2),
        "a decay inside the operator",
        "check_layer",
    ),
    "Memoroid: after training": Mutant(
        lambda: ma.nn.Memoroid(_AtInit(), _Decayed(jnp.ones(2)), _second, in_size=2),
        "associative with initial parameters only",
        "check_layer",
    ),
}
"""By `class: mistake`; what is built is given to `ma.laws.check_layer`."""
