"""How gymnax's code is imported and traced."""

import contextlib
import importlib.metadata
from collections.abc import Iterator
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree


def import_gymnax() -> Any:
    """gymnax, or one line that says what to install."""
    try:
        import gymnax
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"gymnax environments need gymnax and six (missing: {error.name}); "
            f'pip install "memoalg[gymnax]"'
        ) from None
    version = importlib.metadata.version("gymnax")
    if int(version.split(".")[0]) < 1:
        raise ImportError(
            f'gymnax {version} has no six-value step; pip install "memoalg[gymnax]" (1.0.1 on)'
        )
    return gymnax


@contextlib.contextmanager
def gymnax_rules() -> Iterator[None]:
    """Trace gymnax's code under the rules that it was written for, whatever the user's are."""
    with (
        jax.enable_x64(False),
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
    ):
        yield


def narrow(leaf: Any) -> Array:
    """A strongly typed array of at most 32 bits."""
    array = jnp.asarray(leaf)
    if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        return array
    narrow = {"float64": "float32", "int64": "int32", "uint64": "uint32"}
    dtype = np.dtype(narrow.get(array.dtype.name, array.dtype))
    # convert_element_type drops the weak type even where the dtype is already right.
    return jax.lax.convert_element_type(array, dtype)


def is_traced(tree: PyTree) -> bool:
    """Whether any leaf is a tracer."""
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(tree))
