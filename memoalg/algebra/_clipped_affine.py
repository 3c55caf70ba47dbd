"""The monoid of clipped affine maps: relu recurrences as a parallel scan."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._typing import DTypeLike, Shape, as_shape
from ._ground import fixed_dtype, require_real_floating
from ._inverse import group_in
from ._monoid import AbstractMonoid
from ._traits import Tracks, is_elementwise, tracks

Element = tuple[Array, Array, Array, Array]


class ClippedAffine(AbstractMonoid[Element, Array]):
    r"""The monoid of maps $h \mapsto \mathrm{clip}(a\,h + b,\, l,\, u)$ of numbers, elementwise.

    $$(a, b, l, u) \bullet (a', b', l', u') =
      \bigl(a a',\; a' b + b',\; \kappa(\min(a' l, a' u) + b'),\; \kappa(\max(a' l, a' u) + b')\bigr),
      \quad \kappa(y) = \mathrm{clip}(y, l', u'),$$
    $$e = (1, 0, -\infty, \infty), \qquad s \cdot (a, b, l, u) = \mathrm{clip}(a s + b, l, u).$$

    With $l = 0$ and $u = \infty$ a step is $\mathrm{relu}(a h + b)$: a recurrence that is not linear,
    run by a tree of products all the same. A state is $h$ alone.

    *These maps are closed.* Let $l \le u$ and $l' \le u'$. A monotone f commutes with medians, and
    $\mathrm{clip}(y, l, u)$ is the median of the three. The map $y \mapsto a' y + b'$ is monotone, and
    where $a' < 0$ it exchanges the ends, so that it sends $\mathrm{clip}(y, l, u)$ to
    $\mathrm{clip}(a' y + b', L, U)$ with $L = \min(a' l, a' u) + b'$ and $U$ the larger. $\kappa$ is
    monotone too: $\kappa(\mathrm{clip}(z, L, U)) = \mathrm{clip}(\kappa(z), \kappa(L), \kappa(U))$;
    and as $l' \le \kappa(L) \le \kappa(U) \le u'$, the inner $\kappa$ is superfluous.

    The product is associative because composition is. Two tuples may be one map: a constant one,
    where $a = 0$ or $l = u$, whose `canon` is $(0, c, c, c)$; any other map has one tuple.

    Hazard: a product of many $|a| > 1$ overflows, and then is NaN, where the loop's clipped state may
    stay small: keep $|a| \le 1$ over long sequences. At a bound the derivative is that of the bound,
    as `jax.nn.relu` has it. $0 \cdot \infty = 0$ for the ends, by a select.

    Arguments:
        shape: of each part of an element, and of a state; `4` means `(4,)`.
        dtype: real floating; None is the default float, fixed at construction.

    Raises:
        ValueError: for an integer, bool or complex dtype.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> m = ma.ClippedAffine()
        >>> inputs = jnp.array([1.0, -3.0, 2.0])
        >>> relu = ma.Fixed(jnp.float32(0)), ma.Fixed(jnp.float32(jnp.inf))
        >>> steps = ma.Fixed(jnp.float32(0.5)), inputs, *relu
        >>> print(ma.trajectory(m, m.initial_state(), steps, None)[1])
        [1. 0. 2.]
    """

    shape: tuple[int, ...] = eqx.field(static=True)
    dtype: np.dtype = eqx.field(static=True)

    def __init__(self, shape: Shape = (), dtype: DTypeLike | None = None):
        self.shape = as_shape(shape)
        self.dtype = fixed_dtype(dtype)

    def __check_init__(self) -> None:
        require_real_floating("ClippedAffine", self.dtype)

    def identity(self) -> Element:
        return self._filled(1.0), self._filled(0.0), self._filled(-np.inf), self._filled(np.inf)

    def combine(self, left: Element, right: Element) -> Element:
        (a, b, low, high), (a_later, b_later, low_later, high_later) = left, right
        one, two = _scaled(a_later, low) + b_later, _scaled(a_later, high) + b_later
        falling = a_later < 0
        low = _clip(jnp.where(falling, two, one), low_later, high_later)
        high = _clip(jnp.where(falling, one, two), low_later, high_later)
        return a * a_later, a_later * b + b_later, low, high

    def initial_state(self) -> Array:
        return self._filled(0.0)

    def act(self, state: Array, element: Element) -> Array:
        a, b, low, high = element
        return _clip(a * state + b, low, high)

    def embed(self, state: Array) -> Element:
        """The constant map."""
        return self._filled(0.0), state, self._filled(-np.inf), self._filled(np.inf)

    def project(self, element: Element) -> Array:
        """The value at zero: that of a constant map anywhere."""
        _, b, low, high = element
        return _clip(b, low, high)

    def canon(self, element: Element) -> Element:
        a, _, low, high = element
        constant = (a == 0) | (low == high)
        value = self.project(element)
        instead = self._filled(0.0), value, value, value
        parts = zip(instead, element, strict=True)
        return tuple(jnp.where(constant, x, y) for x, y in parts)  # pyright: ignore[reportReturnType]

    def _filled(self, value: float) -> Array:
        return jnp.full(self.shape, value, self.dtype)


def _clip(value: Array, low: Array, high: Array) -> Array:
    # Selects that keep NaN, and give the whole derivative of a tie to the bound.
    value = jnp.where(value <= low, low, value)
    return jnp.where(value >= high, high, value)


def _scaled(slope: Array, end: Array) -> Array:
    """The product, where an infinite end times zero is zero; selected before as well as after."""
    unbounded = jnp.isinf(end)
    infinite = jnp.where(slope == 0, jnp.zeros_like(end), jnp.where(slope < 0, -end, end))
    return jnp.where(unbounded, infinite, slope * jnp.where(unbounded, jnp.zeros_like(end), end))


@is_elementwise.register
def _(monoid: ClippedAffine) -> bool:
    return True


@tracks.register
def _(monoid: ClippedAffine) -> Tracks:
    # The reflection; its monotone maps have no other group in them.
    return Tracks.ABELIAN


@group_in.register
def _(monoid: ClippedAffine) -> tuple[Element, ...]:
    one, zero, low, high = monoid.identity()
    return ((-one, zero, low, high),)
