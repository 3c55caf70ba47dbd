"""Decays and phases that stay exact over very long sequences.

A decay that is rounded to float32 is wrong by the same 3e-8 at every step, so that after n steps its
phase is wrong by up to 3e-8 n: by 3e-3 after a hundred thousand. Kept as a sum of a coarse number, on a
grid of $2^{-11}$, and a fine one, it is wrong by $2^{-36}$. The rounding of the *state*, which differs
from step to step, remains; it grows as the root of n.
"""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from .._typing import DTypeLike, Shape, as_shape
from ..algebra import AbstractAction, AbstractMonoid, Add, SemidirectProduct
from ..algebra._ground import fixed_dtype
from ..algebra._traits import is_commutative, is_elementwise

Fine = tuple[Complex[Array, "..."], Complex[Array, "..."]]
"""A coarse number, on the grid, and what is missing: their sum is meant."""

GRID = 2.0**-11
PARTS = 64  # of half a turn
# The part as a number of twelve bits, whose products with small integers are exact, and its rest.
PART_COARSE = round(math.pi / PARTS * 2**16) / 2**16
PART_REST = math.pi / PARTS - PART_COARSE


class FineMultiply(AbstractMonoid[Fine]):
    r"""Products of complex numbers, each the sum of a coarse and a fine one.

    $$(c, f) \bullet (c', f') = \mathrm{split}(c c' + (c f' + f c' + f f')), \qquad e = (1, 0).$$

    A product of two coarse numbers of modulus up to one is exact; what it has beyond the grid joins the
    fine part. Elements with the same sum mean the same, which is what `canon` gives.
    """

    shape: tuple[int, ...] = eqx.field(static=True)
    dtype: np.dtype = eqx.field(static=True)

    def __init__(self, shape: Shape, dtype: DTypeLike):
        self.shape, self.dtype = as_shape(shape), fixed_dtype(dtype)

    def identity(self) -> Fine:
        return jnp.ones(self.shape, self.dtype), jnp.zeros(self.shape, self.dtype)

    def combine(self, left: Fine, right: Fine) -> Fine:
        return fine_product(left, right)

    def canon(self, element: Fine) -> Fine:
        return element[0] + element[1], jnp.zeros_like(element[1])


class FineAction(AbstractAction):
    r"""$b \triangleleft (c, f) = c\,b + f\,b$: the fine part is large enough not to be rounded away."""

    def __call__(self, base: Complex[Array, "..."], acting: Fine) -> Complex[Array, "..."]:
        coarse, rest = acting
        return coarse * base + rest * base


@is_commutative.register
def _(monoid: FineMultiply) -> bool:
    return True


@is_elementwise.register
def _(part: FineMultiply | FineAction) -> bool:
    return True


def FineAffine(shape: Shape, dtype: DTypeLike) -> SemidirectProduct[Fine, Array]:
    """[`memoalg.Affine`][] of complex numbers with decays in two parts; the state is h alone."""
    return SemidirectProduct(FineMultiply(shape, dtype), Add(shape, dtype), FineAction())


def fine_product(left: Fine, right: Fine) -> Fine:
    """The product of two numbers in two parts."""
    (c, f), (c_right, f_right) = left, right
    return _split(c * c_right, (c * f_right + f * c_right) + f * f_right)


def fine_decay(rate: Float[Array, "*shape"]) -> Fine:
    """exp(-rate), for rates of zero or more."""
    less_one = jnp.expm1(-rate)
    none = jnp.zeros_like(less_one)
    return _split(jax.lax.complex(none + 1, none), jax.lax.complex(less_one, none))


def fine_turn(angle: Float[Array, "*shape"]) -> Fine:
    """exp(i angle), for angles of up to a hundred or so."""
    place = jnp.round(angle * (PARTS / math.pi))
    # The first difference is exact, so what an angle has beyond the table is known to far below its ulp.
    first, second = angle - place * PART_COARSE, -place * PART_REST
    r = first + second
    square = r * r
    sine_rest = r * square * (-1 / 6 + square * (1 / 120 - square / 5040))
    less_one = square * (-1 / 2 + square * (1 / 24 + square * (-1 / 720 + square / 40320)))
    small = _split(
        jax.lax.complex(jnp.ones_like(r), first), jax.lax.complex(less_one, second + sine_rest)
    )
    index = jnp.mod(place, 2 * PARTS).astype(jnp.int32)
    corner = np.pi / PARTS * np.arange(2 * PARTS)
    exact = np.cos(corner) + 1j * np.sin(corner)
    coarse = np.round(exact / GRID) * GRID
    dtype = small[0].dtype
    large = jnp.asarray(coarse, dtype)[index], jnp.asarray(exact - coarse, dtype)[index]
    return fine_product(large, small)


def _split(exact: Any, rest: Any) -> Fine:
    """exact + rest, the coarse part of the sum first. What is subtracted is subtracted exactly."""
    total = exact + rest
    # Rounding has no derivative: all of it goes through the fine part.
    coarse = jax.lax.complex(jnp.round(total.real / GRID), jnp.round(total.imag / GRID)) * GRID
    return coarse, (exact - coarse) + rest
