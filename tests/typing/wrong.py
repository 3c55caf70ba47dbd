"""What a type checker must say. Each line that ends in `# error: RULE` has exactly that error.

`tests/test_typing.py` runs pyright on this file; it is never executed.
"""

from typing import assert_type

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

import memoalg as ma

Pair = tuple[Array, Array]

# Inferred through nested products and combinators.
product = ma.Add(2) * ma.Affine(3)
assert_type(product.identity(), tuple[Array, Pair])
assert_type(product.initial_state(), Pair)
nested = (ma.Add(2) * ma.Max(2)) * ma.Affine(3)
assert_type(nested.identity(), tuple[Pair, Pair])
assert_type(nested.initial_state(), tuple[Pair, Array])
assert_type(ma.Resettable(ma.Affine(2)).initial_state(), Array)
assert_type(ma.Resettable(nested).identity()[0], tuple[Pair, Pair])
assert_type(ma.Dual(ma.Affine(2)).identity(), Pair)
assert_type(ma.Power(ma.Affine(2), 3).identity(), Pair)
assert_type(ma.Power(ma.Affine(2), 3).initial_state(), Array)
shared = ma.SemidirectProduct(ma.Multiply(2), ma.Add(2) * ma.Add((2, 3)))
assert_type(shared.identity(), tuple[Array, Pair])
assert_type(shared.initial_state(), Pair)
assert_type(ma.scan(ma.Affine(2), (jnp.ones((3, 2)), jnp.ones((3, 2)))), Pair)

# A wrong element.
x = jnp.zeros(2)
product.combine(x, product.identity())  # error: reportArgumentType
nested.combine(nested.identity(), (x, (x, x)))  # error: reportArgumentType
ma.Affine(2).combine((x, x), x)  # error: reportArgumentType
ma.Resettable(ma.Affine(2)).combine((x, x), ((x, x), x))  # error: reportArgumentType
ma.scan(ma.Affine(2), x)  # error: reportArgumentType

# A wrong state.
ma.Affine(2).act((x, x), (x, x))  # error: reportArgumentType
product.act(x, product.identity())  # error: reportArgumentType
shared.embed(x)  # error: reportArgumentType

# A wrong action: a function, and a class where an instance is meant.
ma.SemidirectProduct(ma.Multiply(2), ma.Add(2), jnp.multiply)  # error: reportArgumentType
ma.SemidirectProduct(ma.Multiply(2), ma.Add(2), ma.algebra.MultiplyAction)  # error: reportArgumentType

# Wrong operands.
ma.Resettable(jnp.add)  # error: reportArgumentType
ma.DirectProduct(ma.Add)  # error: reportArgumentType
ma.Add(2) * 3  # error: reportOperatorIssue


class WrongCombine(ma.AbstractMonoid[Pair]):
    """Its `combine` does not return an element."""

    size: int = eqx.field(static=True)

    def identity(self) -> Pair:
        return jnp.zeros(self.size), jnp.zeros(self.size)

    def combine(self, left: Pair, right: Pair) -> Array:  # error: reportIncompatibleMethodOverride
        return left[0] + right[0]


class WrongIdentity(ma.AbstractMonoid[Pair]):
    """Its `identity` is no element."""

    def identity(self) -> Array:  # error: reportIncompatibleMethodOverride
        return jnp.zeros(())

    def combine(self, left: Pair, right: Pair) -> Pair:
        return left[0] + right[0]  # error: reportReturnType


class NoIdentity(ma.AbstractMonoid[Array]):
    """It cannot be made."""

    def combine(self, left: Array, right: Array) -> Array:
        return left + right


NoIdentity()  # error: reportAbstractUsage
