"""Environments by id, with the returns that a score is measured against."""

import difflib
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Array, Float

from ._anchors import ANCHORS, Anchors
from ._environment import AbstractEnvironment
from ._gymnax import GYMNAX_NAMES, from_gymnax
from ._host_make import from_gymnasium, from_popgym
from .tasks import (
    Acrobot,
    Autoencode,
    Battleship,
    CartPole,
    Concentration,
    CountRecall,
    HigherLower,
    LabyrinthEscape,
    LabyrinthExplore,
    MemoryChain,
    MetaBandit,
    MineSweeper,
    MountainCar,
    MultiarmedBandit,
    NBack,
    NoisyPositionOnlyCartPole,
    NoisyPositionOnlyPendulum,
    Pendulum,
    PositionOnlyCartPole,
    PositionOnlyPendulum,
    RepeatFirst,
    RepeatPrevious,
    RoomMemory,
    TMaze,
    TraceConditioning,
    VelocityOnlyCartPole,
)
from .tasks._levels import LEVELS

Returns = TypeVar("Returns", float, Float[Array, "*batch"], Float[np.ndarray, "*batch"])
"""One return, or an array of them."""


SUITES: dict[str, tuple[type[AbstractEnvironment], ...]] = {
    "popgym": (
        Autoencode,
        Battleship,
        Concentration,
        CountRecall,
        HigherLower,
        LabyrinthEscape,
        LabyrinthExplore,
        MineSweeper,
        MultiarmedBandit,
        NoisyPositionOnlyCartPole,
        NoisyPositionOnlyPendulum,
        PositionOnlyCartPole,
        PositionOnlyPendulum,
        RepeatFirst,
        RepeatPrevious,
        VelocityOnlyCartPole,
    ),
    "memory": (
        Acrobot,
        CartPole,
        MemoryChain,
        MetaBandit,
        MountainCar,
        NBack,
        Pendulum,
        RoomMemory,
        TMaze,
        TraceConditioning,
    ),
}
"""The families of each suite. A family's class lists the arguments of its three levels."""

_FACTORIES: dict[str, Callable[[], AbstractEnvironment[Any, Any]]] = {
    f"{suite}/{family.__name__}{level}": partial(family, *arguments)
    for suite, families in SUITES.items()
    for family in families
    for level, arguments in zip(LEVELS, vars(family)["levels"], strict=True)
}

_ELSEWHERE: dict[str, Callable[[str], Any]] = {
    "gymnax": from_gymnax,
    "gymnasium": from_gymnasium,
    "popgym-host": from_popgym,
}


def names() -> tuple[str, ...]:
    """List the ids of our own tasks and of gymnax's.

    Returns:
        The ids: `"popgym/..."` and `"memory/..."` are part of this package, `"gymnax/..."` need the
        `gymnax` extra. (`make` also takes what runs on the host, which gymnasium lists.)

    Example:
        >>> import memoalg.envs as envs
        >>> "popgym/RepeatPreviousEasy" in envs.names()
        True
    """
    return (*_FACTORIES, *(f"gymnax/{name}" for name in GYMNAX_NAMES))


def make(name: str) -> tuple[Any, Any]:
    """Make an environment by its id; for other arguments call the task's constructor.

    Args:
        name: an id of `names()`, or `"gymnax/<id>"` for one that was registered with gymnax.
            `"gymnasium/<id>"` and `"popgym-host/<name>"` run a single environment on the host: see
            `from_gymnasium` and `from_popgym`, which make many.

    Returns:
        `(env, params)`: the environment, an `AbstractEnvironment` (on the host a
        `HostEnvironment`), and its default parameters.

    Raises:
        ValueError: the id is unknown; the message lists the nearest ones.
        ModuleNotFoundError: the id begins with `gymnax/` and gymnax is not installed; likewise for
            what runs on the host.

    Example:
        >>> import memoalg.envs as envs
        >>> env, params = envs.make("popgym/RepeatFirstEasy")
        >>> env.name, int(params.num_decks)
        ('popgym/RepeatFirstEasy', 1)
    """
    if not isinstance(name, str):
        raise TypeError(f"make(name) takes an environment's id as a string, got {name!r}")
    suite, _, rest = name.partition("/")
    if name in _FACTORIES:
        env = _FACTORIES[name]()
    elif suite in _ELSEWHERE:
        env = _ELSEWHERE[suite](rest)
    else:
        raise ValueError(_unknown(name, names()))
    return env, env.default_params()


def anchors(name: str) -> Anchors:
    """Return the random, memoryless and optimal return of an environment.

    Args:
        name: the id.

    Returns:
        The returns of one episode.

    Raises:
        ValueError: the id is unknown or has no anchors; the message lists the nearest that have.

    Example:
        >>> import memoalg.envs as envs
        >>> envs.anchors("popgym/RepeatPreviousEasy").random
        -0.5
    """
    if not isinstance(name, str):
        raise TypeError(f"anchors(name) takes an environment's id as a string, got {name!r}")
    if name in ANCHORS:
        return ANCHORS[name]
    if name.partition("/")[0] in _ELSEWHERE:
        raise ValueError(f"{name!r} has no anchors; the ids of {' and '.join(SUITES)} have")
    raise ValueError(_unknown(name, tuple(ANCHORS)))


def normalised_score(name: str, episode_return: Returns) -> Returns:
    """Place a return between the random (0) and the optimal (1) one.

    Args:
        name: the environment's id, one with anchors.
        episode_return: the undiscounted return of an episode, or an array of them.

    Returns:
        `(episode_return - random) / (optimal - random)`.

    Raises:
        ValueError: the id is unknown or has no anchors; the message lists the nearest that have.

    Example:
        >>> import memoalg.envs as envs
        >>> envs.normalised_score("popgym/RepeatPreviousEasy", 0.25)
        0.5
    """
    scale = anchors(name)
    return (episode_return - scale.random) / (scale.optimal - scale.random)


def _unknown(name: str, known: tuple[str, ...]) -> str:
    """The message for an id that is not among `known`."""
    # Also compared without its prefix and case: "repeatpreviouseasy" should find its id.
    by_short = {k.split("/")[1].lower(): k for k in known}
    short = difflib.get_close_matches(name.split("/")[-1].lower(), by_short, 5, 0.5)
    if not short:
        return f"unknown environment {name!r}; names() lists all, such as {known[0]!r}"
    near = ", ".join(by_short[s] for s in short)
    return f"unknown environment {name!r}; nearest: {near}. names() lists all"
