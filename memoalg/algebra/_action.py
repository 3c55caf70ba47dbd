"""Actions: how elements of one monoid transform elements of another."""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from .._typing import common_dtype
from ._traits import is_elementwise


class AbstractAction(eqx.Module):
    r"""A right action of a monoid $A$ on a monoid $B$ by homomorphisms: the glue of a semidirect product.

    With $b \triangleleft a$ written `action(b, a)`, it must satisfy, and nothing but a test can see
    whether it does:

    $$b \triangleleft e = b, \qquad
      b \triangleleft (a \bullet a') = (b \triangleleft a) \triangleleft a', \qquad
      (b \bullet b') \triangleleft a = (b \triangleleft a) \bullet (b' \triangleleft a),\;
      e \triangleleft a = e.$$

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> print(ma.multiply(jnp.array([1.0, 2.0]), jnp.array([3.0, 3.0])))
        [3. 6.]
    """

    @abc.abstractmethod
    def __call__(self, base: PyTree, acting: PyTree) -> PyTree:
        """The element `base`, transformed by the element `acting`."""


class MultiplyAction(AbstractAction):
    r"""$b \triangleleft a = a\,b$: a decay, gate or rotation acting on an additive memory.

    The acting array is aligned with the *leading* axes of each leaf of the base, so a decay of shape
    `(k,)` acts on the rows of a `(k, v)` matrix; never with the trailing ones, as numpy would. An
    acting pytree of the base's own structure acts leaf by leaf. The base's dtypes are kept.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> print(ma.multiply(jnp.ones((2, 3)), jnp.array([1.0, 2.0])))
        [[1. 1. 1.]
         [2. 2. 2.]]
    """

    def __call__(self, base: PyTree, acting: PyTree) -> PyTree:
        return _leafwise(_multiply_leaf, base, acting)


class ShiftAction(AbstractAction):
    r"""$b \triangleleft a = b + a$: a log-decay or clock acting on a maximum or log-sum-exp.

    Aligned and cast as `multiply` is.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> print(ma.shift(jnp.array([1.0, 5.0]), jnp.array([-1.0, -1.0])))
        [0. 4.]
    """

    def __call__(self, base: PyTree, acting: PyTree) -> PyTree:
        return _leafwise(_shift_leaf, base, acting)


multiply = MultiplyAction()
"""The action of `Multiply` on `Add`: see `MultiplyAction`."""

shift = ShiftAction()
"""The action of `Add` on `Max`: see `ShiftAction`."""


def _leafwise(function: Any, base: PyTree, acting: PyTree) -> PyTree:
    leaves = jax.tree.leaves(acting)
    if len(leaves) == 1:
        return jax.tree.map(lambda b: function(b, leaves[0]), base)
    return jax.tree.map(function, base, acting)


def _aligned(base: Array, acting: Array) -> tuple[Array, Array]:
    """Both in their common dtype, the acting one reshaped to the base's leading axes."""
    if (
        jnp.ndim(acting) > jnp.ndim(base)
        or jnp.shape(acting) != jnp.shape(base)[: jnp.ndim(acting)]
    ):
        raise TypeError(
            f"an action aligns the acting shape with the leading axes of the base, but "
            f"{jnp.shape(acting)} does not begin {jnp.shape(base)}"
        )
    dtype = common_dtype(base.dtype, acting.dtype)
    if jnp.issubdtype(dtype, jnp.complexfloating) > jnp.issubdtype(base.dtype, jnp.complexfloating):
        raise TypeError(
            f"a {acting.dtype.name} element cannot act on a {base.dtype.name} base: make the base complex"
        )
    ones = (1,) * (jnp.ndim(base) - jnp.ndim(acting))
    return base.astype(dtype), acting.reshape(acting.shape + ones).astype(dtype)


def _multiply_leaf(base: Array, acting: Array) -> Array:
    wide, factor = _aligned(base, acting)
    return (factor * wide).astype(base.dtype)


def _shift_leaf(base: Array, acting: Array) -> Array:
    wide, offset = _aligned(base, acting)
    return (wide + offset).astype(base.dtype)


@is_elementwise.register
def _(action: MultiplyAction | ShiftAction) -> bool:
    return True
