"""What to say where something else came in place of an environment."""

from typing import Any

from ._environment import AbstractEnvironment
from ._host import HostEnvironment


def require_environment(what: str, value: Any) -> None:
    """Raise a TypeError that says how to make an environment of what came."""
    if not isinstance(value, AbstractEnvironment):
        raise TypeError(f"{what} takes an environment, got {_kind(value)}; {_advice(value)}")


def _kind(value: Any) -> str:
    if isinstance(value, str | type):
        return repr(value) if isinstance(value, str) else f"the class {value.__name__}"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def _advice(value: Any) -> str:
    if isinstance(value, tuple):
        return "make(...) returns the pair (env, params): take the first of the two"
    if isinstance(value, str):
        return f"write make({value!r})[0]"
    if isinstance(value, type):
        return f"make one: {value.__name__}()"
    if isinstance(value, HostEnvironment):
        return (
            "one that runs on the host takes neither wrappers nor a training loop of ours: use "
            "gymnasium's wrappers inside from_gymnasium, and a loop of your own"
        )
    if type(value).__module__.startswith("gymnax"):
        return "write from_gymnax(id) for one of gymnax's"
    return "see AbstractEnvironment for what one has"
