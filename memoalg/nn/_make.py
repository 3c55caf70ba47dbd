"""A model by its name, as a ready stack."""

import difflib
from collections.abc import Callable, Sequence

import equinox as eqx
import jax
from jaxtyping import PRNGKeyArray, PyTree

from ._compose import Serial
from ._feed_forward import Pointwise
from ._layer import AbstractLayer
from ._linear import Linear
from ._registry import MODELS, Model

WIDTH = 128


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
    return (_model(name).block.__doc__ or "").splitlines()[0]


def make(
    name: str | Sequence[str],
    *,
    in_size: int,
    out_size: int,
    width: int | None = None,
    depth: int | None = None,
    parameters: int | None = None,
    key: PRNGKeyArray,
) -> Serial:
    """A registered model as a stack of `depth` blocks of `width` channels.

    A linear map leads in where `in_size` differs from `width`, and one leads out where `out_size` does.

    Arguments:
        name: see [`memoalg.nn.names`][]. Several names make a hybrid: its blocks take turns,
            `["rg_lru", "rg_lru", "attention"]` is the pattern of Griffin.
        in_size: length of an input vector.
        out_size: length of an output vector.
        width: channels of the blocks; None is 128, or what `parameters` says.
        depth: number of blocks; None is one of each name.
        parameters: instead of a width: the width is chosen so that the stack has about as many learned
            numbers. A multiple of 8, which divides into heads, where one comes within 3 %; otherwise the
            nearest width.
        key: for the initialisation.

    Returns:
        The stack, a layer.

    Raises:
        ValueError: for an unknown name (the nearest ones are listed), a size below 1, both a width and
            a number of parameters, fewer parameters than a width of 1 has, or a depth below the
            number of names.

    Example:
        >>> import jax, jax.numpy as jnp, memoalg as ma
        >>> layer = ma.nn.make("lru", in_size=3, out_size=2, width=8, key=jax.random.key(0))
        >>> layer(layer.init_carry(), jnp.ones((5, 3)), None)[1].shape
        (5, 2)
        >>> layer = ma.nn.make("gru", in_size=3, out_size=2, parameters=50_000, key=jax.random.key(0))
        >>> ma.nn.count_parameters(layer)
        49502
    """
    pattern = [name] if isinstance(name, str) else list(name)
    if not pattern:
        raise ValueError("make: name must be a model, or at least one of them")
    blocks = [_model(one).block for one in pattern]
    sizes = (("in_size", in_size), ("out_size", out_size), ("width", width), ("depth", depth))
    for what, size in sizes:
        if size is not None and size < 1:
            raise ValueError(f"make({name!r}): {what} must be at least 1, got {size}")
    depth = len(pattern) if depth is None else depth
    if depth < len(pattern):
        raise ValueError(
            f"make({name!r}): depth={depth} leaves some of the {len(pattern)} names out: give a depth of "
            "at least that, or none"
        )
    if width is not None and parameters is not None:
        raise ValueError(f"make({name!r}): give a width or a number of parameters, not both")

    def build(width: int) -> Serial:
        in_key, out_key, *keys = jax.random.split(key, depth + 2)
        layers: list[AbstractLayer] = [
            blocks[index % len(blocks)](width, block_key) for index, block_key in enumerate(keys)
        ]
        if in_size != width:
            layers.insert(0, Pointwise(Linear(in_size, width, key=in_key), in_size, width))
        if out_size != width:
            layers.append(Pointwise(Linear(width, out_size, key=out_key), width, out_size))
        return Serial(*layers)

    if parameters is not None:
        width = _width_for(build, parameters, f"make({name!r})")
    return build(WIDTH if width is None else width)


def count_parameters(layer: PyTree) -> int:
    """How many learned numbers a layer has; a complex one counts twice.

    Example:
        >>> import jax, memoalg as ma
        >>> ma.nn.count_parameters(ma.nn.Linear(3, 2, key=jax.random.key(0)))
        8
    """
    leaves = jax.tree.leaves(eqx.filter(layer, _is_inexact))
    return sum(leaf.size * (2 if leaf.dtype.kind == "c" else 1) for leaf in leaves)


def _is_inexact(leaf: object) -> bool:
    described = isinstance(leaf, jax.ShapeDtypeStruct) and leaf.dtype.kind not in "iub"
    return described or eqx.is_inexact_array(leaf)


def _width_for(build: Callable[[int], Serial], wanted: int, what: str) -> int:
    """The width whose stack is nearest to the number of parameters that is wanted."""

    def count(width: int) -> int:
        # Shapes alone: nothing is initialised.
        return count_parameters(eqx.filter_eval_shape(build, width))

    low, high = 1, 2
    if wanted < count(low):
        raise ValueError(f"{what}: even a width of 1 has {count(low)} parameters, not {wanted}")
    while count(high) < wanted:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) < wanted else (low, middle)

    def error(width: int) -> int:
        return abs(count(width) - wanted)

    # Heads and ranks make the count rise unevenly: look around, first where widths divide into heads.
    around = range(max(8, low - low // 4 - low % 8), high + high // 4 + 8)
    even = min((width for width in around if width % 8 == 0), key=error)
    return (
        even if error(even) <= 0.03 * wanted else min(range(max(1, low - 3), high + 4), key=error)
    )


def _model(name: str) -> Model:
    if name not in MODELS:
        near = difflib.get_close_matches(name, MODELS, n=3, cutoff=0.3) or list(MODELS)
        raise ValueError(
            f"unknown model {name!r}; nearest: {', '.join(near)} (all: {', '.join(MODELS)})"
        )
    return MODELS[name]
