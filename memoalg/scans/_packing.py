"""Many arrays as one, so that a collective is issued once: bit for bit to copy, as numbers to add."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree, Shaped

from .._typing import DTypeLike, common_dtype

Unpack = Callable[[Array], PyTree]
"""Takes a packed array with any further axes in front back to its tree, with these axes in front."""


def pack_bits(tree: PyTree) -> tuple[Shaped[Array, " words"], Unpack]:
    """A tree of arrays as one array of unsigned integers, and the way back.

    A word is as wide as the narrowest number, so that bfloat16 is not widened; a bool takes a word.
    """
    leaves, treedef = jax.tree.flatten(tree)
    word = _word(leaves)
    parts = [_to_words(leaf, word).reshape(-1) for leaf in leaves]

    def unpack(packed: Array) -> PyTree:
        pairs = zip(_split(packed, parts), leaves, strict=True)
        return jax.tree.unflatten(treedef, [_of_words(piece, leaf) for piece, leaf in pairs])

    return jnp.concatenate(parts), unpack


def pack_numbers(tree: PyTree, lead: int) -> tuple[Shaped[Array, "*lead numbers"], Unpack]:
    """A tree of inexact arrays as one real array that keeps `lead` leading axes, and the way back.

    In float32 at least, because it is going to be summed.
    """
    leaves, treedef = jax.tree.flatten(tree)
    dtype: DTypeLike = jnp.float32
    for leaf in leaves:
        dtype = common_dtype(dtype, _real_dtype(leaf.dtype))
    parts = [_to_real(leaf).astype(dtype).reshape(*leaf.shape[:lead], -1) for leaf in leaves]

    def unpack(packed: Array) -> PyTree:
        pairs = zip(_split(packed, parts), leaves, strict=True)
        restored = [_of_real(piece, leaf.shape[lead:], leaf.dtype) for piece, leaf in pairs]
        return jax.tree.unflatten(treedef, restored)

    return jnp.concatenate(parts, axis=lead), unpack


def _split(packed: Array, parts: list[Array]) -> list[Array]:
    ends = np.cumsum([part.shape[-1] for part in parts])[:-1].tolist()
    return jnp.split(packed, ends, axis=-1)


def _is_complex(dtype: np.dtype) -> bool:
    return bool(jnp.issubdtype(dtype, jnp.complexfloating))


def _real_dtype(dtype: np.dtype) -> np.dtype:
    """The dtype of the two parts of a complex number; other dtypes are their own."""
    return np.dtype(f"float{dtype.itemsize * 4}") if _is_complex(dtype) else dtype


def _to_real(leaf: Array) -> Array:
    """A complex array as its real parts followed by its imaginary parts, on a new last axis."""
    return jnp.stack([leaf.real, leaf.imag], axis=-1) if _is_complex(leaf.dtype) else leaf


def _of_real(flat: Array, shape: tuple[int, ...], dtype: np.dtype) -> Array:
    numbers = flat.astype(_real_dtype(dtype))
    lead = flat.shape[:-1]
    if not _is_complex(dtype):
        return numbers.reshape(*lead, *shape)
    pairs = numbers.reshape(*lead, *shape, 2)
    return jax.lax.complex(pairs[..., 0], pairs[..., 1])


def _word(leaves: list[Array]) -> np.dtype:
    sizes = [_real_dtype(leaf.dtype).itemsize for leaf in leaves if leaf.dtype != jnp.bool_]
    return np.dtype(f"uint{8 * min(sizes, default=1)}")


def _to_words(leaf: Array, word: np.dtype) -> Array:
    if leaf.dtype == jnp.bool_:
        return leaf.astype(word)
    return jax.lax.bitcast_convert_type(_to_real(leaf), word)


def _of_words(words: Array, like: Array) -> Array:
    if like.dtype == jnp.bool_:
        return (words != 0).reshape(*words.shape[:-1], *like.shape)
    real = _real_dtype(like.dtype)
    ratio = real.itemsize // words.dtype.itemsize
    grouped = words.reshape(*words.shape[:-1], -1, ratio) if ratio > 1 else words
    return _of_real(jax.lax.bitcast_convert_type(grouped, real), like.shape, like.dtype)
