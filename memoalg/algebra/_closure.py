"""The construction check: do a monoid's methods agree in structure, shape and dtype?"""

from collections.abc import Callable
from typing import Any

import jax
import jax.tree_util as jtu
from jaxtyping import PyTree

from .._tree import first_difference, key_path, leaf_text
from ._errors import AlgebraTypeError


def shapes_of(owner: object, method: Callable, *arguments: Any) -> PyTree:
    """Abstractly evaluate `owner.method(*arguments)`; report what fails under the owner's name."""
    call = f"{type(owner).__qualname__}.{method.__name__}"
    try:
        return jax.eval_shape(method, *arguments)
    except AlgebraTypeError:
        raise
    except Exception as error:
        raise AlgebraTypeError(
            f"{call}() failed on the types of the algebra "
            f"(arguments {_texts(arguments)}): {type(error).__name__}: {error}"
        ) from error


def require_strong_types(owner: object, method: str, tree: PyTree) -> None:
    """Refuse Python scalars and weakly typed leaves: under a scan they change their dtype."""
    leaves, _ = jtu.tree_flatten_with_path(tree)
    for path, leaf in leaves:
        if leaf.weak_type:
            dtype = leaf.dtype.name
            raise AlgebraTypeError(
                f"{type(owner).__qualname__}.{method}(): leaf {key_path(path)} is a Python scalar or "
                f"weakly typed ({leaf_text(leaf)}). Give it a dtype: write for example "
                f"jnp.zeros({leaf.shape}, jnp.{dtype}) or jnp.asarray(value, jnp.{dtype})."
            )


def require_same(owner: object, method: str, expected: PyTree, actual: PyTree, source: str) -> None:
    """Refuse a result whose structure, shape or dtype differs from what the algebra says."""
    difference = first_difference(expected, actual)
    if difference is not None:
        raise AlgebraTypeError(
            f"{type(owner).__qualname__}.{method} must return what {source} has, but differs in "
            f"{difference}. Cast or reshape inside {method} (for example `.astype(left.dtype)`), or "
            f"change {source}."
        )
    require_strong_types(owner, method, actual)


def _texts(arguments: tuple) -> str:
    return ", ".join(str(jax.tree.map(leaf_text, argument)) for argument in arguments) or "none"
