"""The monoid of maps of a finite set."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Int32

from ._finite_groups import permutation_tracks, permutations
from ._inverse import group_in
from ._matrix import require_size
from ._monoid import AbstractMonoid
from ._traits import Tracks, is_commutative, is_idempotent, tracks

Images = Int32[Array, " n"]


class Permutation(AbstractMonoid[Images]):
    r"""Maps of {0, …, n-1} into itself, the earlier one first: $(x \bullet y)_i = y_{x_i}$.

    Every map is an element: the bijections form the group of permutations, the others are transitions
    of finite automata. An automaton that began in state i is in `states[t][i]` after step t; nothing
    is rounded, so it is followed for ever.

    Hazard: indices have no gradient, and entries outside of {0, …, n-1} are clipped into it.

    Arguments:
        n: size of the set. Elements are int32 of shape (n,), `x[i]` being the image of i.

    Raises:
        ValueError: where n is not a positive int.

    Source: Krohn and Rhodes, Algebraic Theory of Machines (1965).

    Example:
        An automaton with two states that a 1 toggles, and its state from state 0.

        >>> import jax.numpy as jnp, memoalg as ma
        >>> transitions = jnp.array([[0, 1], [1, 0]], jnp.int32)[jnp.array([1, 0, 1, 1])]
        >>> print(ma.scan(ma.Permutation(2), transitions)[:, 0])
        [1 1 0 1]
    """

    n: int = eqx.field(static=True)

    def __init__(self, n: int):
        require_size("Permutation", "n", n)
        self.n = n

    def identity(self) -> Images:
        return jnp.arange(self.n, dtype=jnp.int32)

    def combine(self, left: Images, right: Images) -> Images:
        return jnp.take(right, left, mode="clip")


@is_commutative.register
def _(monoid: Permutation) -> bool:
    # Two constant maps of two states do not commute.
    return monoid.n == 1


@is_idempotent.register
def _(monoid: Permutation) -> bool:
    return monoid.n == 1


@tracks.register
def _(monoid: Permutation) -> Tracks:
    return permutation_tracks(monoid.n)


@group_in.register
def _(monoid: Permutation) -> tuple[Array, ...]:
    return tuple(jnp.asarray(images, jnp.int32) for images in permutations(monoid.n))
