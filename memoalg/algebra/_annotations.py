"""Check the annotations of a user's monoid while it is traced.

A researcher writes `Float[Array, " n"]` on `combine` and expects to be told when it is not so,
without installing an import hook. The checks run on unbatched tracers (about 0.3 ms per traced call)
and leave nothing behind in compiled code. `MEMOALG_CHECK_ANNOTATIONS=0` in the environment turns
them off.
"""

import functools
import inspect
import os
import typing
import warnings
from collections.abc import Callable

import beartype
import jaxtyping

METHODS = (
    "identity",
    "combine",
    "initial_state",
    "act",
    "embed",
    "project",
    "expand",
    "advance",
    "read",
    "canon",
)


def check_annotations_of(cls: type) -> None:
    """Wrap the annotated monoid methods that `cls` itself defines (called once per class)."""
    if os.environ.get("MEMOALG_CHECK_ANNOTATIONS", "1") == "0":
        return
    for name in METHODS:
        method = cls.__dict__.get(name)
        if inspect.isfunction(method) and method.__annotations__:
            if _resolve(cls, method):
                setattr(cls, name, _checked(method))


def _resolve(cls: type, method: Callable) -> bool:
    """Replace postponed (string) annotations by what they name; warn where that is impossible."""
    annotations = method.__annotations__
    if not any(isinstance(annotation, str) for annotation in annotations.values()):
        return True
    try:
        method.__annotations__ = typing.get_type_hints(method, include_extras=True)
    except (NameError, SyntaxError) as error:
        warnings.warn(
            f"the annotations of {cls.__qualname__}.{method.__name__} cannot be resolved ({error}), "
            "so they are not checked. Remove `from __future__ import annotations`, or define the "
            "names that they use at module level.",
            stacklevel=4,
        )
        return False
    return True


def _checked(method: Callable) -> Callable:
    checked = jaxtyping.jaxtyped(method, typechecker=beartype.beartype)
    functools.update_wrapper(checked, method)
    return checked
