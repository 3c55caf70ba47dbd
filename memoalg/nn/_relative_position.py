"""How attention tells apart what it sees: positions relative to the present step."""

import abc

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ._precision import wide


class AbstractRelativePosition(eqx.Module):
    """Changes keys by their age, or scores by it: only the distance to the query matters.

    Example:
        >>> import memoalg as ma
        >>> isinstance(ma.nn.Rotary(), ma.nn.AbstractRelativePosition)
        True
    """

    @abc.abstractmethod
    def turned(
        self, x: Float[Array, "time heads size"], at: Int[Array, " time"]
    ) -> Float[Array, "time heads size"]:
        """Keys or queries as they are at their positions; scores see differences of these alone."""

    @abc.abstractmethod
    def bias(self, heads: int, age: Float[Array, "*steps"]) -> Float[Array, "heads *steps"] | None:
        """What is added to the score of a key of that age, in its dtype; None for nothing."""


class NoPosition(AbstractRelativePosition):
    """What is in the window is a set: the same whatever its order.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> print(ma.nn.NoPosition().bias(2, jnp.arange(3.0)))
        None
    """

    def turned(
        self, x: Float[Array, "time heads size"], at: Int[Array, " time"]
    ) -> Float[Array, "time heads size"]:
        return x

    def bias(self, heads: int, age: Float[Array, "*steps"]) -> Float[Array, "heads *steps"] | None:
        return None


class Rotary(AbstractRelativePosition):
    r"""Rotary positions: keys and queries turn by an angle for each step.

    $$(R^m q) \cdot (R^n k) = q \cdot (R^{n-m} k),$$

    where R turns the i-th pair of numbers (i and i + d/2 of d) by the angle $c^{-2i/d}$, with d the
    size, or one less where it is odd: the last number of an odd size is not turned. Only differences
    count, so positions are those in the window: angles stay small, however long the episode.

    Arguments:
        base: c; the slowest pair turns once in about 2 pi c steps.

    Source: Su et al., RoFormer (arXiv 2104.09864), section 3.2.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> print(ma.nn.Rotary().turned(jnp.array([[[1.0, 0.0]]]), jnp.array([1])).round(3))
        [[[0.54  0.841]]]
    """

    base: float = eqx.field(static=True, default=10000.0)

    def __check_init__(self) -> None:
        if not self.base > 0:
            raise ValueError(f"Rotary: base must be above 0, got {self.base}")

    def turned(
        self, x: Float[Array, "time heads size"], at: Int[Array, " time"]
    ) -> Float[Array, "time heads size"]:
        pairs = x.shape[-1] // 2
        dtype = wide(x).dtype
        speed = jnp.asarray(self.base, dtype) ** -(jnp.arange(pairs, dtype=dtype) / max(1, pairs))
        angle = at.astype(dtype)[:, None, None] * speed[None, None, :]
        cos, sin = jnp.cos(angle).astype(x.dtype), jnp.sin(angle).astype(x.dtype)
        one, two, rest = x[..., :pairs], x[..., pairs : 2 * pairs], x[..., 2 * pairs :]
        return jnp.concatenate([one * cos - two * sin, one * sin + two * cos, rest], axis=-1)

    def bias(self, heads: int, age: Float[Array, "*steps"]) -> Float[Array, "heads *steps"] | None:
        return None


class ALiBi(AbstractRelativePosition):
    r"""Attention with linear biases: in the h-th of n heads a score loses $2^{-8h/n}$ with each step.

    Source: Press et al., Train Short, Test Long (arXiv 2108.12409), section 3.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> print(ma.nn.ALiBi().bias(8, jnp.arange(3.0))[0])
        [-0.  -0.5 -1. ]
    """

    def turned(
        self, x: Float[Array, "time heads size"], at: Int[Array, " time"]
    ) -> Float[Array, "time heads size"]:
        return x

    def bias(self, heads: int, age: Float[Array, "*steps"]) -> Float[Array, "heads *steps"] | None:
        slopes = jnp.exp2(-8.0 * jnp.arange(1, heads + 1, dtype=age.dtype) / heads)
        return -slopes.reshape(-1, *(1,) * age.ndim) * age[None]
