"""A memory on one branch and a gate on the other."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ._compose import Serial
from ._feed_forward import Pointwise
from ._layer import AbstractLayer
from ._linear import Linear
from ._parallel import Fork


def Branches(
    size: int,
    *memory: AbstractLayer,
    gate: Callable[[Array], Array],
    use_bias: bool = True,
    key: PRNGKeyArray,
) -> Serial:
    r"""$W_o\,(\mathrm{memory}(W_1 x) \odot g(W_2 x))$: the body of the blocks of Mamba and Griffin.

    Arguments:
        size: length of x and of the output; that of the branches is the memory's.
        memory: layers, one after the other, that keep their size.
        gate: g, elementwise.
        use_bias: whether the three maps have a bias.
        key: for the initialisation.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> keys = jax.random.split(jax.random.key(0))
        >>> memory = ma.nn.LRU(8, 8, 8, key=keys[0])
        >>> layer = ma.nn.Branches(3, memory, gate=jax.nn.silu, key=keys[1])
        >>> layer(layer.init_carry(), jnp.ones((5, 3)), None)[1].shape
        (5, 3)
    """
    in_key, out_key = jax.random.split(key)
    branch = Serial(*memory)
    width = branch.in_size
    if width is None or branch.out_size != width:
        raise ValueError(
            "Branches: the memory must keep its size, got "
            f"in_size={width} and out_size={branch.out_size}"
        )
    inputs = Linear(size, 2 * width, use_bias=use_bias, key=in_key)
    output = Linear(width, size, use_bias=use_bias, key=out_key)
    return Serial(
        Pointwise(inputs, size, 2 * width),
        Fork(
            Serial(Pointwise(_first, 2 * width, width), *memory),
            Serial(Pointwise(_second, 2 * width, width), Pointwise(gate, width, width)),
        ),
        Pointwise(_multiplied, None, width),
        Pointwise(output, width, size),
    )


def _first(x: Float[Array, " both"]) -> Float[Array, " half"]:
    return jnp.split(x, 2)[0]


def _second(x: Float[Array, " both"]) -> Float[Array, " half"]:
    return jnp.split(x, 2)[1]


def _multiplied(pair: tuple[Array, Array]) -> Array:
    return pair[0] * pair[1]
