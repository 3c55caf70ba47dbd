"""Constructors of Equinox modules for the API pages: fields become parameters of `__init__`.

griffe reads the code without importing it and knows the constructors of dataclasses, but not that
a subclass of `equinox.Module` is one.
"""

from typing import Any

import griffe


class EquinoxModules(griffe.Extension):
    """Give concrete modules and named tuples without an `__init__` the one that they get."""

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """Called once the package is loaded."""
        for cls in _classes(pkg):
            if _is_module(cls) and not cls.name.startswith("Abstract") and not _own_init(cls):
                cls.set_member("__init__", _constructor(cls))


def _classes(parent: griffe.Module | griffe.Class) -> list[griffe.Class]:
    found = []
    for member in parent.members.values():
        if isinstance(member, griffe.Class):
            found.append(member)
        if isinstance(member, griffe.Module | griffe.Class):
            found += _classes(member)
    return found


def _own_init(cls: griffe.Class) -> bool:
    return any("__init__" in base.members for base in (cls, *cls.mro()))


def _is_module(cls: griffe.Class) -> bool:
    bases = [base for each in (cls, *cls.mro()) for base in each.bases]
    return any(_path(base).endswith(("equinox.Module", "NamedTuple")) for base in bases)


def _path(base: str | griffe.Expr) -> str:
    return base if isinstance(base, str) else base.canonical_path


def _constructor(cls: griffe.Class) -> griffe.Function:
    fields = {}
    for owner in (*reversed(cls.mro()), cls):
        fields.update({m.name: m for m in owner.members.values() if _is_field(m)})
    positional = griffe.ParameterKind.positional_or_keyword
    parameters = [
        griffe.Parameter(
            name, annotation=field.annotation, kind=positional, default=_default(field.value)
        )
        for name, field in fields.items()
    ]
    self = griffe.Parameter("self", kind=positional)
    return griffe.Function(
        "__init__", parameters=griffe.Parameters(self, *parameters), returns="None", parent=cls
    )


def _is_field(member: griffe.Object | griffe.Alias) -> bool:
    return (
        isinstance(member, griffe.Attribute)
        and member.annotation is not None
        and "property" not in member.labels
        and "ClassVar" not in str(member.annotation)
        and "AbstractVar" not in str(member.annotation)
        and "init=False" not in str(member.value).replace(" ", "")
    )


def _default(value: Any) -> Any:
    """`eqx.field(static=True, default=1)` -> `1`."""
    if not isinstance(value, griffe.ExprCall) or not str(value.function).endswith("field"):
        return value
    given = {getattr(a, "name", None): getattr(a, "value", None) for a in value.arguments}
    factory = given.get("default_factory")
    return given.get("default", None if factory is None else f"{factory}()")
