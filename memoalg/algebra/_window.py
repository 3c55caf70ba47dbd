"""The product of the last k elements, without inverses."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PyTree

from .._tree import tree_where
from ._buffer import filled, join, push
from ._monoid import AbstractCombinator, AbstractMonoid

Buffer = tuple[Any, Int[Array, ""]]


class Window(AbstractCombinator[Buffer]):
    r"""A memory that forgets what is more than k steps ago; elements `(last k, count)`.

    An element holds the last k elements of the operand, the newest last, and how many of them there
    are; the others are the identity. Two are combined by keeping the last k of both in a row. `read`
    forms the product of what is held, for *any* monoid: no inverse is needed, and nothing that has
    left the window can linger in it as a rounding error.

    A generator is one generator of the operand, and a step costs O(k) copies and one `read` O(k)
    products. To read at every step give `trajectory` queries; their values do not matter.

    Arguments:
        monoid: the operand.
        size: k, the number of elements that are remembered.

    Raises:
        TypeError: where `monoid` is not a monoid.
        ValueError: where `size` is not a positive int.

    Example:
        The largest of the last two.

        >>> import jax.numpy as jnp, memoalg as ma
        >>> m, xs = ma.Window(ma.Max(), 2), jnp.array([3.0, 1.0, 0.0, 2.0])
        >>> print(ma.trajectory(m, m.initial_state(), xs, None, queries=xs)[1])
        [3. 3. 1. 2.]
    """

    monoid: AbstractMonoid
    size: int = eqx.field(static=True)

    def __check_init__(self) -> None:
        if not isinstance(self.monoid, AbstractMonoid):
            raise TypeError(
                f"Window(monoid, size) takes a monoid, got {type(self.monoid).__name__}"
            )
        if not isinstance(self.size, int) or isinstance(self.size, bool) or self.size < 1:
            raise ValueError(f"Window: size is a positive int, got {self.size!r}")

    def identity(self) -> Buffer:
        def repeated(leaf: Array) -> Array:
            return jnp.broadcast_to(leaf, (self.size, *leaf.shape))

        return jax.tree.map(repeated, self.monoid.identity()), jnp.zeros((), jnp.int32)

    def combine(self, left: Buffer, right: Buffer) -> Buffer:
        (earlier, earlier_count), (later, later_count) = left, right
        # Not minimum(sum, size): both counts are at most `size`, so the sum cannot overflow.
        count = jnp.minimum(earlier_count + later_count, self.size)
        return join(earlier, later, later_count, self.size), count

    def expand(self, generator: PyTree) -> Buffer:
        """A window that holds one element."""
        return self.advance(self.identity(), generator)

    def advance(self, state: Buffer, generator: PyTree) -> Buffer:
        held, count = state
        return push(held, self.monoid.expand(generator)), jnp.minimum(count + 1, self.size)

    def read(self, state: Buffer, query: PyTree) -> Any:
        """The product of the elements held, in the order of time; the identity where there are none."""
        held, _ = self.canon(state)
        return _product(self.monoid, held, self.size)

    def canon(self, element: Buffer) -> Buffer:
        """Slots that hold nothing hold the identity."""
        held, count = element
        return tree_where(filled(count, self.size), held, self.identity()[0]), count


def _product(monoid: AbstractMonoid, held: Any, size: int) -> Any:
    """The product of stacked elements as a balanced tree: O(log k) deep."""
    if size == 1:
        return jax.tree.map(lambda leaf: leaf[0], held)
    paired = size - size % 2
    left = jax.tree.map(lambda leaf: leaf[:paired:2], held)
    right = jax.tree.map(lambda leaf: leaf[1:paired:2], held)
    products = jax.vmap(monoid.combine)(left, right)
    joined = jax.tree.map(lambda p, leaf: jnp.concatenate([p, leaf[paired:]]), products, held)
    return _product(monoid, joined, size - size // 2)
