"""The house rules that no linter knows: classes, sizes, docstrings, imports, documentation."""

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import equinox as eqx
import pytest

import memoalg

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "memoalg"
FILES = sorted(PACKAGE.rglob("*.py"))
FLOORS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
EXTRAS = ["gymnax", "popgym", "gymnasium", "matplotlib", "tyro", "rich", "hypothesis", "PIL"]

# The concrete methods that a subclass may override, by the class that defines them.
HOOKS = {
    "AbstractMonoid": {
        *("element", "initial_state", "act", "embed", "project"),
        *("expand", "advance", "read", "canon"),
    },
    "AbstractMemoroid": {"query", "initial_state"},
    "AbstractPrograms": {"batched"},
    "AbstractEnvironment": {"restart", "report", "describe", "oracle", "render"},
    "AbstractWrapper": {
        *("check", "inner_state", "inner_params", "default_params"),
        *("observation_space", "action_space", "report", "describe", "oracle", "render"),
    },
}


def modules() -> list[str]:
    found = pkgutil.walk_packages([str(PACKAGE)], "memoalg.")
    return ["memoalg", *(module.name for module in found if not module.name.endswith("__main__"))]


@cache
def classes() -> list[type]:
    """Every `eqx.Module` that the package defines."""
    found = set()
    for module in map(importlib.import_module, modules()):
        for _, cls in inspect.getmembers(module, inspect.isclass):
            if issubclass(cls, eqx.Module) and cls.__module__.startswith("memoalg"):
                found.add(cls)
    return sorted(found, key=lambda cls: f"{cls.__module__}.{cls.__qualname__}")


def overridden(cls: type) -> list[str]:
    """Concrete methods of a base that `cls` defines again, hooks aside."""
    wrong = []
    for base in cls.__mro__[1:]:
        if not base.__module__.startswith("memoalg"):
            continue
        for name, value in vars(base).items():
            concrete = callable(value) or isinstance(value, property | staticmethod | classmethod)
            if (
                concrete
                and name in vars(cls)
                and not name.startswith("__")
                and not getattr(value, "__isabstractmethod__", False)
                and name not in HOOKS.get(base.__name__, ())
            ):
                wrong.append(f"{base.__name__}.{name}")
    return wrong


def test_classes_are_abstract_or_final():
    wrong = []
    for cls in classes():
        for base in cls.__bases__:
            if base in classes() and not base.__name__.startswith("Abstract"):
                wrong.append(f"{cls.__name__} derives from the concrete {base.__name__}")
        if cls.__name__.startswith("Abstract") and not inspect.isabstract(cls):
            wrong.append(f"{cls.__name__} has no abstract method")
        if inspect.isabstract(cls) and not cls.__name__.startswith("Abstract"):
            wrong.append(f"{cls.__name__} is abstract but not called so")
        wrong += [f"{cls.__name__} overrides {method}" for method in overridden(cls)]
    assert len(classes()) > 20
    assert not wrong


def test_the_class_rule_sees_an_override():
    class AbstractThing(eqx.Module):
        def concrete(self):
            return 1

    class Thing(AbstractThing):
        def concrete(self):
            return 2

    AbstractThing.__module__ = "memoalg.planted"
    assert overridden(Thing) == ["AbstractThing.concrete"]


def test_no_super_chains():
    allowed = {"__init_subclass__"}
    wrong = []
    for path in FILES:
        for function in ast.walk(ast.parse(path.read_text())):
            if isinstance(function, ast.FunctionDef) and function.name not in allowed:
                names = {n.id for n in ast.walk(function) if isinstance(n, ast.Name)}
                wrong += [f"{path.name}: {function.name}"] if "super" in names else []
    assert not wrong


def function_lengths(path: Path) -> list[tuple[str, int]]:
    """Names and lengths in lines, without docstrings."""
    lengths = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            docstring = _lines(node.body[0]) if ast.get_docstring(node) else 0
            lengths.append((node.name, _lines(node) - docstring))
    return lengths


def _lines(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def test_files_and_functions_are_short():
    lines = sorted(path.read_text().count("\n") for path in FILES)
    functions = sorted(length for path in FILES for _, length in function_lengths(path))
    assert lines[-1] <= 700
    assert lines[len(lines) // 2] < 200
    assert functions[-1] <= 60
    assert functions[len(functions) // 2] < 10


def test_no_postponed_annotations():
    # They would switch jaxtyping's checks off.
    pattern = re.compile(r"^from __future__ import annotations", re.MULTILINE)
    guilty = [path.name for path in FILES if pattern.search(path.read_text())]
    assert not guilty


def public_names(module: str) -> list[str]:
    """What a floor's `__init__.py` re-exports: `from ._x import Y as Y`."""
    source = importlib.import_module(module).__file__
    assert source is not None
    imports = (n for n in ast.parse(Path(source).read_text()).body if isinstance(n, ast.ImportFrom))
    return [a.asname for n in imports for a in n.names if a.asname and not a.asname.startswith("_")]


def undocumented(module: str) -> list[str]:
    missing = []
    for name in public_names(module):
        value = getattr(importlib.import_module(module), name)
        if not (inspect.isclass(value) or inspect.isroutine(value)):
            continue
        text = value.__doc__ or ""
        # A dataclass without a docstring gets its signature for one.
        if not text.strip() or text.startswith(f"{name}("):
            missing.append(name)
        if inspect.isclass(value):
            members = [
                (n, v)
                for n, v in vars(value).items()
                if not n.startswith("_") and (inspect.isroutine(v) or isinstance(v, property))
            ]
            inherited = {
                n
                for base in value.__mro__[1:]
                for n in (*vars(base), *vars(base).get("__annotations__", ()))
            }
            missing += [
                f"{name}.{n}" for n, v in members if not inspect.getdoc(v) and n not in inherited
            ]
    return missing


@pytest.mark.parametrize("floor", FLOORS)
def test_public_names_have_docstrings(floor):
    assert undocumented(f"memoalg.{floor}") == []


@pytest.mark.parametrize("floor", FLOORS)
def test_public_names_have_an_entry_in_the_docs(floor):
    # A floor has one page, or several: rl.md, rl-networks.md and so on.
    api = ROOT / "docs" / "api"
    pages = [api / f"{floor}.md", *api.glob(f"{floor}-*.md")]
    folder = {"envs": "environments", "nn": "models"}.get(floor)
    pages += [] if folder is None else (ROOT / "docs" / folder).glob("*.md")
    text = "\n".join(path.read_text() for path in pages)
    paths = re.findall(r"^::: (\S+)$", text, re.MULTILINE)
    entries = [path.rsplit(".", 1)[-1] for path in paths]
    assert sorted(set(public_names(f"memoalg.{floor}")) - set(entries)) == []
    assert [path for path in paths if paths.count(path) > 1] == []


def run_python(code: str) -> str:
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("statement", "forbidden"),
    [
        (
            "import memoalg",
            [*EXTRAS, "optax", *(f"memoalg.{floor}" for floor in ("rl", "envs", "tasks", "cli"))],
        ),
        ("import memoalg.envs", [*EXTRAS, "optax"]),
        ("import memoalg.rl", EXTRAS),
        ("import memoalg.tasks", EXTRAS),
        ("import memoalg.cli", EXTRAS),
    ],
)
def test_importing_loads_no_extra(statement, forbidden):
    code = f"import sys; {statement}; print(*[m for m in {forbidden} if m in sys.modules])"
    assert run_python(code).split() == []


def test_importing_configures_nothing():
    code = (
        "import jax; before = dict(jax.config.values); import memoalg, memoalg.rl, memoalg.cli;"
        "print(before == dict(jax.config.values), jax._src.xla_bridge.backends_are_initialized())"
    )
    assert run_python(code).split() == ["True", "False"]


def test_sub_packages_are_there_on_first_use():
    assert run_python("import memoalg as ma; print(ma.envs.make, ma.rl.PPO)")


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        getattr(memoalg, "no_such_name")  # noqa: B009


def test_the_type_marker_is_shipped():
    assert (PACKAGE / "py.typed").is_file()
