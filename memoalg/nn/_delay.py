"""The input of the step before, as a memory."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..algebra import AbstractMonoid, Recent
from ._memoroid import AbstractMemoroid


class Delay(AbstractMemoroid):
    """Gives the input of k steps ago, zero before there was one in this episode.

    Beside the input itself, in a [`memoalg.nn.Fork`][], it is the *token shift* of RWKV, and before a
    memory it makes a read see the state of the step before.

    Arguments:
        size: length of an input vector.
        steps: k, at least 1.

    Raises:
        ValueError: where size or steps is below 1.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.Delay(1)
        >>> start = jnp.array([True, False, True])
        >>> print(layer(layer.init_carry(), jnp.array([[1.0], [2.0], [3.0]]), start)[1].T)
        [[0. 1. 0.]]
    """

    in_size: int = eqx.field(static=True)
    out_size: int = eqx.field(static=True)
    steps: int = eqx.field(static=True)

    def __init__(self, size: int, steps: int = 1):
        if size < 1 or steps < 1:
            raise ValueError(f"Delay: size and steps must be at least 1, got {size} and {steps}")
        self.in_size = self.out_size = size
        self.steps = steps

    @property
    def monoid(self) -> AbstractMonoid:
        return Recent((self.in_size,), self.steps + 1)

    def encode(self, x: Float[Array, " size"]) -> Float[Array, " size"]:
        return x.astype(jnp.result_type(float))

    def readout(
        self, read: tuple[Float[Array, "k size"], Array], x: Float[Array, " size"]
    ) -> Float[Array, " size"]:
        # Slots that were not filled are zero.
        return read[0][0].astype(x.dtype)
