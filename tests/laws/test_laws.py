"""Every registered monoid keeps every law in every dtype; broken ones are caught and named."""

import jax
import jax.numpy as jnp
import pytest

import memoalg as ma
from tests.registry import MONOIDS, sample


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
@pytest.mark.parametrize("name", MONOIDS)
def test_laws_hold(name, dtype):
    with jax.enable_x64(dtype == "float64"):
        monoid = MONOIDS[name](jnp.dtype(dtype))
        checked = ma.laws.check(monoid, sample(monoid, jax.random.key(0), 12), tolerance=256)
    assert {"associativity", "left_identity", "right_identity"} <= set(checked)


class _Broken(ma.AbstractMonoid):
    """A max with a clock, of which `fault` is wrong."""

    fault: str

    def identity(self):
        return jnp.zeros(()), jnp.asarray(
            0.0 if self.fault == "identity" else -jnp.inf, jnp.float32
        )

    def combine(self, left, right):
        (c, u), (d, v) = left, right
        if self.fault == "order":
            return c + d, jnp.maximum(u + c, v)
        if self.fault == "lost term":
            return d, jnp.maximum(u + d, v)
        if self.fault == "average":
            return c + d, 0.5 * (u + v)
        return c + d, jnp.maximum(u + d, v)


@pytest.mark.parametrize("fault", ["identity", "order", "lost term", "average"])
def test_a_broken_monoid_is_caught(fault):
    elements = jnp.array([-1.0, -2.0, -0.5, -3.0]), jnp.array([-5.0, -1.0, -4.0, -2.0])
    assert ma.laws.check(_Broken("none"), elements)
    with pytest.raises(ma.laws.LawError, match=r"fails for\n  _Broken.*\n.*x = (.|\n)*Usually"):
        ma.laws.check(_Broken(fault), elements)


class _MaskReset(ma.AbstractMonoid):
    """The reset-lift by arithmetic mask, on an infinite identity: the fault of most public code."""

    def identity(self):
        return jnp.asarray(-jnp.inf, jnp.float32), jnp.zeros((), bool)

    def combine(self, left, right):
        (x, i), (y, j) = left, right
        kept = x * (1 - j.astype(jnp.float32)) + self.identity()[0] * j.astype(jnp.float32)
        return jnp.maximum(kept, y), i | j


def test_the_mask_reset_is_caught():
    elements = jnp.arange(4.0), jnp.array([False, True, False, True])
    with pytest.raises(ma.laws.LawError, match="identity"):
        ma.laws.check(_MaskReset(), elements)


class _WrongAction(ma.AbstractMonoid):
    """act takes the operands the wrong way round."""

    def identity(self):
        return jnp.ones(()), jnp.zeros(())

    def combine(self, left, right):
        return left[0] * right[0], right[0] * left[1] + right[1]

    def initial_state(self):
        return jnp.zeros(())

    def act(self, state, element):
        return state + element[0] * element[1]


def test_an_action_that_does_not_compose_is_caught():
    elements = jnp.array([0.5, 2.0, 0.3]), jnp.array([1.0, -1.0, 2.0])
    with pytest.raises(ma.laws.LawError, match="action_composition"):
        ma.laws.check(_WrongAction(), elements)


def test_check_wants_three_elements():
    with pytest.raises(ValueError, match="at least 3"):
        ma.laws.check(ma.Add(), jnp.ones(2))
