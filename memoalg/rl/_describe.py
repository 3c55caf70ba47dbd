"""What a run was made of, as plain JSON, and the difference between two such descriptions."""

import dataclasses
import hashlib
import inspect
import math
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

# Longer arrays are named by their digest: a configuration is read by people.
_MAX_LISTED = 64


def describe(value: object) -> Any:
    """Turns a configuration (nested dataclasses, Modules, tuples, arrays) into plain JSON.

    Functions and objects that are no dataclass are named by their module and qualified name, never
    by `repr`, which may hold an address and would differ in the next process.

    Args:
        value: any Python value.

    Returns:
        Nested dicts, lists, strings, numbers, booleans and None, equal for equal configurations.

    >>> import dataclasses
    >>> @dataclasses.dataclass(frozen=True)
    ... class Config:
    ...     rate: float = 0.5
    ...     sizes: tuple[int, ...] = (1, 2)
    >>> describe(Config())
    {'class': 'Config', 'rate': 0.5, 'sizes': [1, 2]}
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        # NaN is no JSON and is not equal to itself.
        return value if math.isfinite(value) else repr(value)
    if isinstance(value, np.dtype):
        return value.name
    if isinstance(value, jax.Array | np.ndarray | np.generic):
        return _describe_array(value)
    if isinstance(value, Mapping):
        return {str(k): describe(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [describe(v) for v in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _describe_dataclass(value)
    return _name(value)


def _describe_dataclass(value: Any) -> dict[str, Any]:
    names = [f.name for f in dataclasses.fields(value)]
    given = [name for name in inspect.signature(type(value)).parameters if name != "key"]
    # A field that the constructor derived from its arguments says nothing new.
    names = given if set(given) <= set(names) else names
    return {"class": type(value).__name__, **{n: describe(getattr(value, n)) for n in names}}


def _describe_array(value: jax.Array | np.ndarray | np.generic) -> Any:
    if isinstance(value, jax.Array) and jax.numpy.issubdtype(value.dtype, jax.dtypes.prng_key):
        value = jax.random.key_data(value)
    array = np.asarray(value)
    if array.size > _MAX_LISTED:
        digest = hashlib.sha256(array.tobytes()).hexdigest()[:16]
        return {"dtype": array.dtype.name, "shape": list(array.shape), "sha256": digest}
    return describe(array.tolist())


def _name(value: object) -> str:
    kind = value if isinstance(value, type) or callable(value) else type(value)
    name = getattr(kind, "__qualname__", type(kind).__qualname__)
    return f"{kind.__module__}.{name}"


def differences(saved: Any, requested: Any, path: str = "") -> list[str]:
    """Lists where two descriptions differ, one line per field, outermost fields first.

    Args:
        saved: what `describe` gave for the run on disk.
        requested: what `describe` gives now.
        path: where both stand, for the text.

    Returns:
        Lines such as `"config.learning_rate: saved 0.001, requested 0.0003"`; empty where equal.

    >>> differences({"config": {"rate": 1}}, {"config": {"rate": 2}})
    ['config.rate: saved 1, requested 2']
    """
    if isinstance(saved, dict) and isinstance(requested, dict):
        names = [*saved, *(name for name in requested if name not in saved)]
        return [
            line
            for name in names
            for line in differences(
                saved.get(name, _ABSENT),
                requested.get(name, _ABSENT),
                f"{path}.{name}" if path else str(name),
            )
        ]
    if isinstance(saved, list) and isinstance(requested, list) and len(saved) == len(requested):
        pairs = enumerate(zip(saved, requested, strict=True))
        return [line for i, (s, r) in pairs for line in differences(s, r, f"{path}[{i}]")]
    if saved == requested and type(saved) is type(requested):
        return []
    return [f"{path}: saved {_show(saved)}, requested {_show(requested)}"]


class _Absent:
    """Stands for a field that one of the two descriptions does not have."""


_ABSENT = _Absent()


def _show(value: Any) -> str:
    if isinstance(value, _Absent):
        return "nothing"
    if isinstance(value, dict):
        return str(value.get("class", "a group of fields"))
    return repr(value)
