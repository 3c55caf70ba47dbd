"""Every model by name, as a ready stack."""

import difflib
from collections.abc import Callable

import jax
from jaxtyping import PRNGKeyArray

from ._compose import Residual, Serial
from ._elman import Elman
from ._feed_forward import MLP, Pointwise
from ._ffm import FFM
from ._gru import GRU
from ._layer import AbstractLayer
from ._linear import Linear
from ._linear_attention import LinearAttention
from ._lru import LRU
from ._lstm import LSTM
from ._minimal_gated import MGU
from ._normalise import layer_norm
from ._position import PositionalEncoding
from ._s6 import S6

Block = Callable[[int, PRNGKeyArray], AbstractLayer]


def _lru(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """`x + gelu(LRU(x))`, with as many complex states as channels."""
    return Residual(Serial(LRU(width, width, width, key=key), Pointwise(jax.nn.gelu)))


def _s6(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """`x + S6(norm(x))`, with 16 states per channel."""
    return Residual(Serial(Pointwise(layer_norm, width, width), S6(width, width, key=key)))


def _ffm(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """The FFM alone: its output gate is its skip."""
    return FFM(width, width, key=key)


def _linear_attention(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """`x + LinearAttention(x + position)`, with keys and values of a quarter of the width."""
    attention = LinearAttention(width, width, max(width // 4, 1), key=key)
    return Residual(Serial(PositionalEncoding(width), attention))


def _gru(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """The GRU alone: its gates are its skip."""
    return GRU(width, width, key=key)


def _lstm(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """The LSTM alone: its gates are its skip."""
    return LSTM(width, width, key=key)


def _mgu(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """The minimal gated unit alone: its gate is its skip."""
    return MGU(width, width, key=key)


def _elman(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """`x + Elman(x)`."""
    return Residual(Elman(width, width, key=key))


def _none(width: int, key: PRNGKeyArray) -> AbstractLayer:
    """`relu(W x + b)`: the control without memory."""
    return MLP(width, width, key=key)


MODELS: dict[str, Block] = {
    "lru": _lru,
    "s6": _s6,
    "ffm": _ffm,
    "linear_attention": _linear_attention,
    "gru": _gru,
    "lstm": _lstm,
    "mgu": _mgu,
    "elman": _elman,
    "none": _none,
}


def names() -> list[str]:
    """The registered model names.

    Example:
        >>> import memoalg as ma
        >>> "lru" in ma.nn.names()
        True
    """
    return list(MODELS)


def describe_model(name: str) -> str:
    """One line on the block that a name stands for.

    Example:
        >>> import memoalg as ma
        >>> print(ma.nn.describe_model("gru"))
        The GRU alone: its gates are its skip.
    """
    return (_block(name).__doc__ or "").splitlines()[0]


def make(
    name: str,
    *,
    in_size: int,
    out_size: int,
    width: int = 128,
    depth: int = 1,
    key: PRNGKeyArray,
) -> Serial:
    """A registered model as a stack of `depth` blocks of `width` channels.

    A linear map leads in where `in_size` differs from `width`, and one leads out where `out_size` does.

    Arguments:
        name: see [`memoalg.nn.names`][].
        in_size: length of an input vector.
        out_size: length of an output vector.
        width: channels of the blocks.
        depth: number of blocks.
        key: for the initialisation.

    Returns:
        The stack, a layer.

    Raises:
        ValueError: for an unknown name (the nearest ones are listed) or a size below 1.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.make("lru", in_size=3, out_size=2, width=8, key=jax.random.key(0))
        >>> layer(layer.init_carry(), jnp.ones((5, 3)), None)[1].shape
        (5, 2)
    """
    block = _block(name)
    for what, size in (("in_size", in_size), ("out_size", out_size), ("width", width)):
        if size < 1:
            raise ValueError(f"make({name!r}): {what} must be at least 1, got {size}")
    if depth < 1:
        raise ValueError(f"make({name!r}): depth must be at least 1, got {depth}")
    in_key, out_key, *keys = jax.random.split(key, depth + 2)
    layers = [block(width, block_key) for block_key in keys]
    if in_size != width:
        layers.insert(0, Pointwise(Linear(in_size, width, key=in_key), in_size, width))
    if out_size != width:
        layers.append(Pointwise(Linear(width, out_size, key=out_key), width, out_size))
    return Serial(*layers)


def _block(name: str) -> Block:
    if name not in MODELS:
        near = difflib.get_close_matches(name, MODELS, n=3, cutoff=0.3) or list(MODELS)
        raise ValueError(
            f"unknown model {name!r}; nearest: {', '.join(near)} (all: {', '.join(MODELS)})"
        )
    return MODELS[name]
