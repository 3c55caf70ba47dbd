"""`memoalg check`."""

import ast
import dataclasses
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
from tyro.conf import Positional

import memoalg as ma

from ._errors import RunError, UsageError, told_as_usage
from ._parse import parse


@dataclasses.dataclass(frozen=True)
class Check:
    """Check the laws of a monoid, or the protocol of a layer, and print what was checked.

    Attributes:
        target: `package.module:Name` or `path/to/file.py:Name`; a class or function,
            which is called, or an instance.
        args: Arguments of the constructor, as Python literals; a layer's `key` is given to it.
        deep: More cases and more lengths.
        seed: Of what is drawn.
    """

    target: Positional[str]
    args: tuple[str, ...] = ()
    deep: bool = False
    seed: int = 0


def run(argv: Sequence[str]) -> None:
    """Prints the laws that hold; the first that fails is an error."""
    options = parse(Check, argv, "check")
    with told_as_usage():
        subject = _construct(_find(options.target), [_literal(arg) for arg in options.args])
    try:
        if isinstance(subject, ma.AbstractSemigroup):
            report = ma.laws.check(subject, deep=options.deep, seed=options.seed)
        elif isinstance(subject, ma.nn.AbstractLayer):
            report = ma.laws.check_layer(subject, seed=options.seed)
        else:
            raise UsageError(
                f"{options.target} is neither a monoid nor a layer but {type(subject).__name__}"
            )
    except ma.laws.LawError as error:
        # The whole message, laid out in lines; the status says that it failed.
        print(error)
        raise RunError(f"check: {options.target} breaks a law") from error
    print(report)


def _find(target: str) -> Any:
    where, colon, name = target.rpartition(":")
    if not colon or not where or not name:
        raise ValueError(f"check: write module:Name or file.py:Name, got {target!r}")
    module = _load(Path(where)) if where.endswith(".py") else _import(where)
    try:
        return getattr(module, name)
    except AttributeError:
        raise ValueError(f"check: {where} has no {name!r}") from None


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not name.startswith(error.name):
            raise  # a module that the user's one imports
        raise ValueError(f"check: there is no module {name!r}; for a file write its path") from None


def _load(path: Path) -> ModuleType:
    if not path.is_file():
        raise FileNotFoundError(f"check: there is no file {path}")
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


def _construct(found: Any, arguments: list[Any]) -> Any:
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
            f"check: {found.__name__}{inspect.signature(found)} cannot be made of "
            f"{arguments}: {error}; give its arguments after --args"
        ) from error
