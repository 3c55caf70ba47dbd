"""Laws of one site speak of the same scans: each is traced once."""

import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax

Results = dict[tuple, tuple[Any, Any]]
_results: contextvars.ContextVar[Results | None] = contextvars.ContextVar("results", default=None)


@contextlib.contextmanager
def sharing() -> Iterator[None]:
    """Within this block, functions marked `shared` run once for the same arguments."""
    token = _results.set({})
    try:
        yield
    finally:
        _results.reset(token)


def shared(function: Callable) -> Callable:
    """Mark `function(monoid, tree, *static)`: its result is reused for the *same* arrays in the tree."""

    @functools.wraps(function)
    def reusing(monoid: Any, tree: Any, *static: Any) -> Any:
        results = _results.get()
        if results is None:
            return function(monoid, tree, *static)
        leaves, treedef = jax.tree.flatten(tree)
        key = (function, monoid, treedef, *map(id, leaves), *static)
        if key not in results:
            # The leaves are kept alive, so that no other array gets their ids.
            results[key] = (leaves, function(monoid, tree, *static))
        return results[key][1]

    return reusing
