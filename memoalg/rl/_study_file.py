"""A study from a TOML file."""

import dataclasses
import itertools
import os
import tomllib
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from beartype import BeartypeConf
from beartype.door import is_bearable

from ._experiment import ALGORITHMS, algorithm_class, make_config, nearest
from ._study import Study, StudyError

_SWEEP = "sweep"
_CONF = BeartypeConf(is_pep484_tower=True)  # an int is a float, as for a type checker


def read_study(path: str | os.PathLike[str]) -> Study:
    """Reads a study.

    ```toml
    environments = ["popgym/RepeatPreviousEasy", "popgym/RepeatFirstEasy"]
    memories = ["lru", "gru"]
    algorithms = ["ppo"]            # this is the default
    steps = 200_000                 # and whatever else `Study` has
    seeds = 3

    [ppo]                           # hyper-parameters of PPOConfig
    num_envs = 32

    [sweep.ppo]                     # every combination of these lists
    learning_rate = [3e-4, 1e-3]
    ```

    Args:
        path: the file.

    Returns:
        The study; whether its environments and memories exist is for `study` to see.

    Raises:
        FileNotFoundError: there is no such file.
        StudyError: it is no TOML, or a name or a type in it is wrong; the message says where.
    """
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StudyError(f"{path}: {error}") from error
    except FileNotFoundError as error:
        raise FileNotFoundError(f"there is no study file {path}") from error
    try:
        return _study(content, str(path))
    except (ValueError, TypeError) as error:
        text = str(error)
        raise StudyError(text if text.startswith(str(path)) else f"{path}: {text}") from error


def _study(content: Mapping[str, Any], where: str) -> Study:
    fields = {f.name: f for f in dataclasses.fields(Study) if f.name != "configs"}
    tables = (*ALGORITHMS, _SWEEP)
    for name in content:
        if name not in (*fields, "algorithms", *tables):
            known = [*fields, "algorithms", *tables]
            raise StudyError(f"{where}: unknown {name!r}; {nearest(name, known)}")
    for name in ("environments", "memories"):
        if name not in content:
            raise StudyError(f'{where} has no {name}; write {name} = ["..."]')
    given = {name: _lists_as_tuples(value) for name, value in content.items() if name in fields}
    _check_types(given, Study, where)
    return Study(**given, configs=_configs(content, where))


def _configs(content: Mapping[str, Any], where: str) -> tuple[Any, ...]:
    algorithms = content.get("algorithms", ["ppo"])
    if not is_bearable(algorithms, list[str]) or not algorithms:
        raise StudyError(f'{where}: algorithms must be a list of names; write algorithms = ["ppo"]')
    sweeps = content.get(_SWEEP, {})
    _check_tables(content, sweeps, algorithms, where)
    configs = []
    for name in algorithms:
        fixed = content.get(name, {})
        sweep = sweeps.get(name, {})
        for field, values in sweep.items():
            if not isinstance(values, list) or not values:
                raise StudyError(
                    f"{where}: [sweep.{name}] {field} must be a list; write {field} = [{values!r}]"
                )
        for combination in itertools.product(*sweep.values()):
            chosen = {**fixed, **dict(zip(sweep, combination, strict=True))}
            config = make_config(name, chosen, f"{where} [{name}]")
            _check_types(chosen, type(config), f"{where} [{name}]")
            configs.append(config)
    return tuple(configs)


def _check_tables(
    content: Mapping[str, Any], sweeps: Any, algorithms: list[str], where: str
) -> None:
    for name in algorithms:
        algorithm_class(name, where)
    if not isinstance(sweeps, dict):
        raise StudyError(f"{where}: sweep is a table per algorithm; write [sweep.{algorithms[0]}]")
    for title, tables in (("", content), ("sweep.", sweeps)):
        for name, table in tables.items():
            if title and name not in ALGORITHMS:
                raise StudyError(f"{where}: unknown [sweep.{name}]; {nearest(name, ALGORITHMS)}")
            if name in ALGORITHMS and not isinstance(table, dict):
                raise StudyError(f"{where}: {title}{name} is a table; write [{title}{name}]")
            if name in ALGORITHMS and name not in algorithms:
                raise StudyError(
                    f"{where}: [{title}{name}] is not used; add {name!r} to algorithms, or leave "
                    "the table out"
                )


def _check_types(values: Mapping[str, Any], kind: type, where: str) -> None:
    hints = typing.get_type_hints(kind)
    for name, value in values.items():
        hint = hints[name]
        wrong_bool = isinstance(value, bool) and hint in (int, float)
        if wrong_bool or not is_bearable(value, hint, conf=_CONF):
            written = getattr(hint, "__name__", str(hint)) if isinstance(hint, type) else str(hint)
            raise StudyError(f"{where}: {name} must be {written}, got {value!r}")


def _lists_as_tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
