"""Layers that keep the protocol pass; each broken promise is caught by its law."""

# pyright: reportCallIssue=false

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memoalg as ma
from memoalg._tree import tree_where
from tests.registry import LAYERS

SOME = ["lru", "linear_attention", "gru", "parallel", "learned-start"]


@pytest.mark.parametrize("name", SOME)
def test_layers_keep_their_laws(name):
    report = ma.laws.check_layer(LAYERS[name](jax.random.key(0)))
    assert {"carry_type", "layer_steps", "layer_reset_containment"} <= set(report.laws)
    assert ("associativity" in report.laws) == (name != "gru")


class _Sum(ma.nn.AbstractLayer):
    """A running sum in a layer of its own, with one fault."""

    weight: jax.Array
    fault: str = eqx.field(static=True, default="none")
    in_size: int = eqx.field(static=True, default=2)
    out_size: int = eqx.field(static=True, default=2)

    def init_carry(self):
        return jnp.zeros(2)

    def _enter(self, carry, start):
        if start is None:
            return jnp.zeros(2) if self.fault == "none restarts" else carry
        if self.fault == "reset ignored":
            return carry
        if self.fault == "mask":
            return carry * (1 - start.astype(float))
        return tree_where(start, jnp.zeros(2), carry)

    def __call__(self, carry, xs, start, *, method: Any = None):
        def body(carry, now):
            x, begins = now
            carry = self._enter(carry, begins) + self.weight * x
            return carry, carry + self._nothing(carry)

        first = carry
        if start is None and self.fault == "none restarts":
            first, start = jnp.zeros(2), jnp.ones(len(xs), bool)
        start = jnp.zeros(len(xs), bool) if start is None else start
        carry, ys = jax.lax.scan(body, first, (xs, start))
        return {"carry wrong": first, "carry cast": carry.astype(jnp.float16)}.get(
            self.fault, carry
        ), ys

    def step(self, carry, x, start):
        carry = self._enter(carry, start) + self.weight * x * (1 + (self.fault == "step"))
        return carry, carry + self._nothing(carry)

    def _nothing(self, carry):
        """Zero, of which the derivative may be infinite."""
        return jnp.sqrt(jnp.abs(carry - carry)) if self.fault == "gradient" else 0 * carry


@pytest.mark.parametrize(
    ("fault", "law"),
    [
        ("carry cast", "carry_type"),
        ("carry wrong", "layer_steps"),
        ("step", "layer_steps"),
        ("none restarts", "layer_no_start"),
        ("reset ignored", "layer_reset"),
        ("mask", "layer_reset_containment"),
        ("gradient", "layer_gradient_finite"),
    ],
)
def test_each_broken_promise_is_caught(fault, law):
    with pytest.raises(ma.laws.LawError, match=rf"^{law} fails for\n  _Sum(.|\n)*Usually"):
        ma.laws.check_layer(_Sum(jnp.ones(2), fault))


def test_the_sum_without_a_fault_passes():
    assert ma.laws.check_layer(_Sum(jnp.ones(2)))


class _OnlyAtInit(ma.AbstractMonoid):
    """Associative on elements whose decay is one, as they are at the start of training only."""

    def identity(self):
        return jnp.ones(2), jnp.zeros(2)

    def combine(self, left, right):
        return left[0] * right[0], left[1] + right[0] * right[1]


class _Encode(eqx.Module):
    decay: jax.Array

    def __call__(self, x):
        return self.decay, x


def test_a_monoid_that_training_breaks_is_caught():
    layer = ma.nn.Memoroid(_OnlyAtInit(), _Encode(jnp.ones(2)), lambda s, x: s[1], in_size=2)
    with pytest.raises(ma.laws.LawError, match=r"on what it encodes|after a random update"):
        ma.laws.check_layer(layer)


def test_the_length_of_an_input_is_asked_for():
    layer = ma.nn.Pointwise(jnp.tanh)
    with pytest.raises(ValueError, match="give in_size="):
        ma.laws.check_layer(layer)
    assert ma.laws.check_layer(layer, 3)
    assert ma.laws.check_layer(layer, input=jnp.zeros((2, 2)))


def _decaying(h, x):
    h = 0.5 * h + x
    return h, h


def _affine_layer(monoid):
    return ma.nn.Memoroid(
        monoid, lambda x: (jnp.full(2, 0.5), x), lambda read, x: read, in_size=2, out_size=2
    )


def test_a_layer_matches_its_recurrence():
    layer = _affine_layer(ma.Affine(2))
    ma.laws.assert_matches_recurrence(layer, _decaying, initial_state=np.zeros(2))


def test_swapped_operands_pass_every_law_and_fail_the_recurrence():
    mirrored = ma.Dual(ma.Affine(2))
    layer = ma.nn.Memoroid(
        mirrored, lambda x: (jnp.full(2, 0.5), x), lambda read, x: read[1], in_size=2
    )
    assert ma.laws.check_layer(layer)
    with pytest.raises(AssertionError, match=r"first at step \d+(.|\n)*left is earlier"):
        ma.laws.assert_matches_recurrence(layer, _decaying, initial_state=np.zeros(2))


def test_a_wrong_readout_differs_at_the_first_step():
    layer = ma.nn.Memoroid(
        ma.Affine(2), lambda x: (jnp.full(2, 0.5), x), lambda read, x: read + x, in_size=2
    )
    with pytest.raises(AssertionError, match=r"first at step 0 (.|\n)*encode, readout"):
        ma.laws.assert_matches_recurrence(layer, _decaying, initial_state=np.zeros(2))


def test_a_small_difference_is_seen():
    def nearly(h, x):
        h = 0.5001 * h + x
        return h, h

    with pytest.raises(AssertionError, match="float64"):
        ma.laws.assert_matches_recurrence(
            _affine_layer(ma.Affine(2)), nearly, initial_state=np.zeros(2)
        )
