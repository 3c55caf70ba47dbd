"""From `module:Name` on the command line to a monoid or a layer."""

import ast
import importlib
import importlib.util
import inspect
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import jax

import memoalg as ma


def find_subject(
    command: str, target: str, arguments: Sequence[str]
) -> ma.AbstractSemigroup | ma.nn.AbstractLayer:
    """What a name stands for, made with arguments where it is a class or a function.

    Args:
        command: such as `"check"`, which begins what mistakes are told.
        target: `package.module:Name` or `path/to/file.py:Name`.
        arguments: of the constructor, as Python literals; a layer's `key` is given to it.

    Raises:
        ValueError: there is no such name.
        TypeError: the arguments do not fit, or what they make is neither a monoid nor a layer.
        FileNotFoundError: there is no such file.
    """
    made = _construct(command, _find(command, target), [_literal(x) for x in arguments])
    if isinstance(made, ma.AbstractSemigroup | ma.nn.AbstractLayer):
        return made
    raise TypeError(f"{target} is neither a monoid nor a layer but {type(made).__name__}")


def _find(command: str, target: str) -> Any:
    where, colon, name = target.rpartition(":")
    if not colon or not where or not name:
        raise ValueError(f"{command}: write module:Name or file.py:Name, got {target!r}")
    module = _load(command, Path(where)) if where.endswith(".py") else _import(command, where)
    try:
        return getattr(module, name)
    except AttributeError:
        raise ValueError(f"{command}: {where} has no {name!r}") from None


def _import(command: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not name.startswith(error.name):
            raise  # a module that the user's one imports
        raise ValueError(
            f"{command}: there is no module {name!r}; for a file write its path"
        ) from None


def _load(command: str, path: Path) -> ModuleType:
    if not path.is_file():
        raise FileNotFoundError(f"{command}: there is no file {path}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Classes look their module up by its name.
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text


def _construct(command: str, found: Any, arguments: list[Any]) -> Any:
    if isinstance(found, ma.AbstractSemigroup | ma.nn.AbstractLayer) or not isinstance(
        found, type | types.FunctionType
    ):
        return found
    wanted = inspect.signature(found).parameters
    more = {"key": jax.random.key(0)} if "key" in wanted else {}
    try:
        return found(*arguments, **more)
    except TypeError as error:
        raise TypeError(
            f"{command}: {found.__name__}{inspect.signature(found)} cannot be made of "
            f"{arguments}: {error}; give its arguments after --args"
        ) from error
