"""The control that knows how far back to look."""

import jax
from jaxtyping import PRNGKeyArray

from .._compose import Serial
from .._feed_forward import Pointwise
from .._linear import Linear
from ._frame_stack import FrameStack
from ._mlp import Dense


def OracleWindow(
    in_size: int,
    out_size: int,
    k: int,
    *,
    hidden_size: int | None = None,
    key: PRNGKeyArray,
) -> Serial:
    r"""The control that is told how far back to look: an MLP of exactly the last k inputs.

    $$y_t = W_2\, \mathrm{relu}(W_1 (x_{t-k+1}, \dots, x_t) + b_1) + b_2,$$

    with zeros before the start of the episode. On a task whose answer depends on the last k inputs
    alone nothing has to be remembered or forgotten by learning: what a memory falls short of this is
    what it loses by having to find out. On other tasks it is no upper bound.

    Arguments:
        in_size: length of an input vector.
        out_size: length of an output vector.
        k: the number of inputs that are seen, the present one included.
        hidden_size: length of the middle; None is `out_size`.
        key: for the initialisation.

    Raises:
        ValueError: for a size below 1.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.OracleWindow(3, 2, 8, key=jax.random.key(0))
        >>> layer(layer.init_carry(), jnp.ones((5, 3)), None)[1].shape
        (5, 2)
    """
    hidden_size = out_size if hidden_size is None else hidden_size
    if min(out_size, hidden_size) < 1:
        raise ValueError(
            "OracleWindow needs sizes of at least 1, got "
            f"out_size={out_size}, hidden_size={hidden_size}"
        )
    hidden_key, output_key = jax.random.split(key)
    stack = FrameStack(in_size, k)
    hidden = Dense(Linear(stack.out_size, hidden_size, scale=2**0.5, key=hidden_key))
    output = Linear(hidden_size, out_size, key=output_key)
    return Serial(
        stack,
        Pointwise(hidden, stack.out_size, hidden_size),
        Pointwise(output, hidden_size, out_size),
    )


def oracle_window(width: int, key: PRNGKeyArray) -> Serial:
    """`W2 relu(W1 (the last 16 inputs) + b1) + b2`: the control that knows how far back to look."""
    return OracleWindow(width, width, 16, key=key)
