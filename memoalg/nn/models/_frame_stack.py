"""The last few inputs side by side."""

import equinox as eqx
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray, Shaped

from ..._typing import DTypeLike
from ...algebra import AbstractMonoid, Recent
from ...algebra._ground import fixed_dtype
from .._compose import Serial
from .._feed_forward import Pointwise
from .._layer import AbstractLayer
from .._linear import Linear
from .._memoroid import AbstractMemoroid
from ._mlp import Dense


class FrameStack(AbstractMemoroid):
    r"""The last k inputs, concatenated: what most agents with pixels see instead of a memory.

    $$y_t = (x_{t-k+1}, \dots, x_{t-1}, x_t),$$

    the newest last; inputs before the start of the episode are zero, so that a missing input and one
    of zeros look the same. The output has length `k * in_size` and there is nothing to learn. The monoid
    is [`memoalg.Recent`][].

    Arguments:
        in_size: length of an input vector.
        k: how many are seen, the present one included.
        dtype: in which they are kept, for example uint8 for pixels; None is the default float. The
            output has the dtype of the input.

    Raises:
        ValueError: for a size below 1.

    Source: Mnih et al., Human-level control through deep reinforcement learning (Nature 518, 2015),
        Methods, preprocessing.

    Example:
        >>> import jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.FrameStack(1, 3)
        >>> start = jnp.array([True, False, True])
        >>> print(layer(layer.init_carry(), jnp.array([[1.0], [2.0], [3.0]]), start)[1])
        [[0. 0. 1.]
         [0. 1. 2.]
         [0. 0. 3.]]
    """

    in_size: int = eqx.field(static=True)
    out_size: int = eqx.field(static=True)
    k: int = eqx.field(static=True)
    dtype: np.dtype | None = eqx.field(static=True)

    def __init__(self, in_size: int, k: int, *, dtype: DTypeLike | None = None):
        if min(in_size, k) < 1:
            raise ValueError(f"FrameStack needs sizes of at least 1, got in_size={in_size}, k={k}")
        self.in_size, self.out_size, self.k = in_size, k * in_size, k
        self.dtype = None if dtype is None else fixed_dtype(dtype)

    @property
    def monoid(self) -> AbstractMonoid:
        return Recent((self.in_size,), self.k, self.dtype)

    def encode(self, x: Shaped[Array, " in"]) -> Shaped[Array, " in"]:
        return x.astype(fixed_dtype(self.dtype))

    def readout(
        self, read: tuple[Shaped[Array, "k in"], Int[Array, ""]], x: Shaped[Array, " in"]
    ) -> Shaped[Array, " stacked"]:
        # Slots that were not filled are zero.
        return read[0].reshape(-1).astype(x.dtype)


def frame_stack(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """`relu(W FrameStack(x) + b)`, of the last 4 inputs."""
    stack = FrameStack(width, 4)
    dense = Dense(Linear(stack.out_size, width, scale=2**0.5, key=key))
    return Serial(stack, Pointwise(dense, stack.out_size, width))
