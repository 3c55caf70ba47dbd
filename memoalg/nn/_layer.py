"""The protocol that every layer keeps."""

import abc
from typing import Any

import equinox as eqx
from jaxtyping import Array, Bool, PyTree

from ..scans import AbstractMethod, Auto

Carry = PyTree
"""What a layer hands from one call to the next: only what continuing needs."""


class AbstractLayer(eqx.Module):
    """A sequence layer: the same numbers over a whole sequence and step by step.

    Layers see one sequence, without a batch axis (wrap in `jax.vmap`), and take no random key.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.LRU(3, 2, 8, key=jax.random.key(0))
        >>> carry, ys = layer(layer.init_carry(), jnp.ones((5, 3)), None)
        >>> ys.shape
        (5, 2)
    """

    in_size: eqx.AbstractVar[int | None]
    out_size: eqx.AbstractVar[int | None]

    @abc.abstractmethod
    def init_carry(self) -> Carry:
        """The carry before the first step: fresh buffers, safe to donate.

        Made inside a loss it carries the gradient of a learned initial state; made outside, that
        gradient flows from starts alone.
        """

    @abc.abstractmethod
    def __call__(
        self,
        carry: Carry,
        xs: PyTree,
        start: Bool[Array, " time"] | None,
        *,
        method: AbstractMethod = Auto(),
    ) -> tuple[Carry, Any]:
        """Run over a sequence.

        Arguments:
            carry: from `init_carry` or from the call before.
            xs: inputs with a leading time axis, `(time, in_size)` for most layers.
            start: bool (time,), true on the first step of each episode; None for no reset at all. It
                has no default: to forget it is the commonest fault of recurrent learners.
            method: how scans are executed.

        Returns:
            `(carry, ys)`, ys with a leading time axis.
        """

    @abc.abstractmethod
    def step(self, carry: Carry, x: PyTree, start: Bool[Array, ""] | None) -> tuple[Carry, Any]:
        """One step in O(1): the same numbers as a call.

        Arguments:
            carry: as for a call.
            x: one input, without a time axis.
            start: bool (), or None for no reset.

        Returns:
            `(carry, y)`.
        """
