"""Environments on the host by name: gymnasium's and POPGym's originals."""

import difflib
import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from ._host import HostEnvironment

NO_ARGUMENTS: Mapping[str, Any] = MappingProxyType({})


def from_gymnasium(
    source: str | Callable[[], Any],
    num_envs: int = 1,
    arguments: Mapping[str, Any] = NO_ARGUMENTS,
) -> HostEnvironment:
    """Run gymnasium environments on the host, many in one call.

    Spaces: Discrete (with any start; ours count from 0), MultiDiscrete and MultiBinary of any shape
    (vectors of indices), Box, Tuple, Dict. Floats and rewards have the default float dtype.

    Args:
        source: an id that `gymnasium.make` knows, or a function without arguments that makes an
            environment (with gymnasium's wrappers around it, say).
        num_envs: how many.
        arguments: keyword arguments of `gymnasium.make`.

    Returns:
        The environments. Use it in a `with` statement, or call its `close`.

    Raises:
        ModuleNotFoundError: gymnasium is missing.
        TypeError: a space is none of these.
        ValueError: `num_envs` is out of range, or there are arguments for a function.
        gymnasium.error.Error: gymnasium does not know the id, or refuses the arguments.

    Example:
        >>> import jax, memoalg.envs as envs
        >>> with envs.from_gymnasium("CartPole-v1", num_envs=3) as env:
        ...     obs, state = env.reset(jax.random.key(0))
        ...     action = jax.numpy.zeros(3, int)
        ...     obs, state, *_ = jax.jit(env.step)(jax.random.key(1), state, action)
        >>> obs.shape
        (3, 4)
    """
    gymnasium = _import_gymnasium()
    if not isinstance(source, str) and not callable(source):
        raise TypeError(
            f"from_gymnasium takes an id or a function that makes an environment, got {source!r}; "
            f"write lambda: gymnasium.make(...)"
        )
    if not isinstance(source, str):
        if arguments:
            raise ValueError(
                f"from_gymnasium takes arguments for an id only; write them into the function "
                f"{source!r}, got arguments={dict(arguments)}"
            )
        return HostEnvironment(source, num_envs)
    source = source.removeprefix("gymnasium/")
    # gymnasium's checker would look at the first steps of every environment again.
    make = functools.partial(gymnasium.make, source, disable_env_checker=True, **arguments)
    return HostEnvironment(make, num_envs, f"gymnasium/{source}")


def from_popgym(
    name: str, num_envs: int = 1, arguments: Mapping[str, Any] = NO_ARGUMENTS
) -> HostEnvironment:
    """Run one of POPGym's original environments on the host; ours are a hundred times as fast.

    Args:
        name: the class's name, `RepeatPreviousEasy`.
        num_envs: how many.
        arguments: keyword arguments of its constructor.

    Returns:
        The environments, as of `from_gymnasium`.

    Raises:
        ModuleNotFoundError: popgym is missing (or mazelib, for a labyrinth).
        ValueError: the name is unknown; the message lists the nearest ones.
    """
    registry = _import_gymnasium().registry
    try:
        import popgym.envs  # noqa: F401  # registers its environments with gymnasium
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"popgym-host environments need popgym (missing: {error.name}); "
            f'pip install "memoalg[popgym]"'
        ) from None
    # Their ids do not agree on capitals: popgym-VelocityOnlyCartpoleEasy-v0.
    ids = {
        key.removeprefix("popgym-").removesuffix("-v0").lower(): key
        for key in registry
        if key.startswith("popgym-")
    }
    if name.lower() not in ids:
        raise _unknown_popgym(name, ids)
    make = functools.partial(
        _import_gymnasium().make, ids[name.lower()], disable_env_checker=True, **arguments
    )
    return HostEnvironment(make, num_envs, f"popgym-host/{name}")


def _unknown_popgym(name: str, ids: Mapping[str, str]) -> Exception:
    if name.startswith("Labyrinth") and not any(key.startswith("labyrinth") for key in ids):
        return ModuleNotFoundError(
            f'popgym-host/{name} needs mazelib; pip install "memoalg[labyrinth]"'
        )
    near = difflib.get_close_matches(name.lower(), ids, 5, 0.4) or list(ids)
    known = ", ".join(ids[key].removeprefix("popgym-").removesuffix("-v0") for key in near)
    return ValueError(f"unknown environment popgym-host/{name}; nearest: {known}")


def _import_gymnasium() -> Any:
    """gymnasium, or one line that says what to install."""
    try:
        import gymnasium
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            'environments on the host need gymnasium; pip install "memoalg[popgym]"'
        ) from None
    return gymnasium
