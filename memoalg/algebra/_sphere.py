"""The monoid of turns of the three-sphere."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._typing import DTypeLike
from ._finite_groups import icosahedral_quaternions
from ._ground import fixed_dtype, require_real_floating
from ._inverse import group_in, inverse, is_invertible
from ._matrix import at_least_single
from ._monoid import AbstractMonoid
from ._traits import Tracks, tracks

Quaternion = Float[Array, "4"]
Turn = tuple[Quaternion, Quaternion]


class Sphere(AbstractMonoid[Turn, Quaternion]):
    r"""Rotations of four dimensions as pairs of unit quaternions, moving a point of the sphere $S^3$.

    $$(p, q) \bullet (p', q') = (\nu(p' p),\; \nu(q q')), \qquad e = (1, 1), \qquad
      s \cdot (p, q) = \nu(p\, s\, q), \qquad \nu(z) = z / |z|,$$

    with the product of quaternions $(w, x, y, z)$. Every rotation of $S^3$ is such a pair, which has 8
    numbers instead of the 16 of a matrix; the state is the point alone, at first 1. The pairs (p, q)
    and (-p, -q) are the same rotation.

    Hazard: a product of unit quaternions leaves the sphere by a rounding at each step, and for ever.
    $\nu$ is computed by one Newton step, in float32 at least, which squares the distance: elements
    must be unit quaternions up to rounding.

    Arguments:
        dtype: real floating; None is the default float, fixed at construction.

    Raises:
        ValueError: where the dtype is not real and floating.

    Source: Conway and Smith, On Quaternions and Octonions (2003), chapter 4.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> one, i, j = jnp.eye(4)[:3]
        >>> m = ma.Sphere()
        >>> print(m.act(m.act(m.initial_state(), (i, one)), (one, j)))  # i 1 j = k
        [0. 0. 0. 1.]
    """

    dtype: np.dtype = eqx.field(static=True)

    def __init__(self, dtype: DTypeLike | None = None):
        self.dtype = fixed_dtype(dtype)
        require_real_floating("Sphere", self.dtype)

    def identity(self) -> Turn:
        return self.initial_state(), self.initial_state()

    def combine(self, left: Turn, right: Turn) -> Turn:
        (p, q), (p_later, q_later) = self._wide(left), self._wide(right)
        before = _unit(_product(p_later, p)), _unit(_product(q, q_later))
        return before[0].astype(self.dtype), before[1].astype(self.dtype)

    def initial_state(self) -> Quaternion:
        return jnp.eye(4, dtype=self.dtype)[0]

    def act(self, state: Quaternion, element: Turn) -> Quaternion:
        p, q = self._wide(element)
        point = state.astype(p.dtype)
        return _unit(_product(_product(p, point), q)).astype(self.dtype)

    def embed(self, state: Quaternion) -> Turn:
        return self.initial_state(), state

    def project(self, element: Turn) -> Quaternion:
        return self.act(self.initial_state(), element)

    def canon(self, element: Turn) -> Turn:
        # Of the two signs the one on a fixed side of a plane through no quaternion that comes up.
        side = jnp.array([1.0, 0.618, 0.367, 0.211], self.dtype)
        sign = jnp.where(jnp.sum(element[0] * side) < 0, -1, 1).astype(self.dtype)
        return sign * element[0], sign * element[1]

    def _wide(self, element: Turn) -> Turn:
        dtype = at_least_single(self.dtype)
        return element[0].astype(dtype), element[1].astype(dtype)


def _product(left: Quaternion, right: Quaternion) -> Quaternion:
    a, b, c, d = left[0], left[1], left[2], left[3]
    w, x, y, z = right[0], right[1], right[2], right[3]
    return jnp.stack(
        [
            a * w - b * x - c * y - d * z,
            a * x + b * w + c * z - d * y,
            a * y - b * z + c * w + d * x,
            a * z + b * y - c * x + d * w,
        ]
    )


def _unit(z: Quaternion) -> Quaternion:
    # z (3 - |z|²) / 2, as z plus a small correction: fewer digits are lost.
    return z + z * ((1 - jnp.sum(z * z)) / 2)


def _conjugate(z: Quaternion) -> Quaternion:
    return z * jnp.array([1, -1, -1, -1], z.dtype)


@is_invertible.register
def _(monoid: Sphere) -> bool:
    return True


@inverse.register
def _(monoid: Sphere, element: Turn) -> Turn:
    return _conjugate(element[0]), _conjugate(element[1])


@tracks.register
def _(monoid: Sphere) -> Tracks:
    return Tracks.ANY


@group_in.register
def _(monoid: Sphere) -> tuple[Turn, ...]:
    # s -> g s g⁻¹: rotations of the three imaginary directions.
    turns = (jnp.asarray(g, monoid.dtype) for g in icosahedral_quaternions())
    return tuple((g, _conjugate(g)) for g in turns)
