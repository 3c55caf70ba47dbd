"""Functions as values: equal where they do the same, so that what holds them can be compared."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax


def same(x: Any) -> Any:
    """The identity function."""
    return x


@dataclasses.dataclass(frozen=True)
class Compose:
    """`functions[0]`, then the next, …; never nested and without identities, see [`compose`][]."""

    functions: tuple[Callable, ...]

    @property
    def __name__(self) -> str:
        return " then ".join(name_of(function) for function in self.functions)

    def __call__(self, x: Any) -> Any:
        for function in self.functions:
            x = function(x)
        return x


def compose(*functions: Callable) -> Callable:
    """One function after the other, in the order written."""
    flat: list[Callable] = []
    for function in functions:
        if isinstance(function, Compose):
            flat += function.functions
        elif function is not same:
            flat.append(function)
    if not flat:
        return same
    return flat[0] if len(flat) == 1 else Compose(tuple(flat))


@dataclasses.dataclass(frozen=True)
class Componentwise:
    """A function on each component of a tuple."""

    functions: tuple[Callable, ...]

    def __call__(self, x: tuple) -> tuple:
        return tuple(function(part) for function, part in zip(self.functions, x, strict=True))


def componentwise(*functions: Callable) -> Callable:
    """[`Componentwise`][], or the identity where every function is."""
    return same if all(f is same for f in functions) else Componentwise(functions)


@dataclasses.dataclass(frozen=True)
class Mapped:
    """A function on each of several stacked values."""

    function: Callable

    def __call__(self, x: Any) -> Any:
        return jax.vmap(self.function)(x)


def name_of(function: Callable) -> str:
    """A function's name, or its text where it has none."""
    return getattr(function, "__name__", None) or repr(function)
