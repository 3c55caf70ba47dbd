"""Environments by id, with the returns that a score is measured against."""

import dataclasses
import difflib
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Array, Float

from ._environment import AbstractEnvironment
from ._gymnax import GYMNAX_NAMES, from_gymnax
from .tasks import PositionOnlyCartPole, RepeatFirst, RepeatPrevious

Returns = TypeVar("Returns", float, Float[Array, "*batch"], Float[np.ndarray, "*batch"])
"""One return, or an array of them."""


@dataclasses.dataclass(frozen=True)
class Anchors:
    """Returns of one episode that mark the scale of a task.

    Args:
        random: the mean of a uniformly random policy.
        optimal: the most that is possible.
        memoryless: the mean of the best policy that sees the last observation only; None: unknown.
    """

    random: float
    optimal: float
    memoryless: float | None = None


@dataclasses.dataclass(frozen=True)
class _Entry:
    factory: Callable[[], AbstractEnvironment[Any, Any]]
    anchors: Anchors


# Card games: exact, D = 52 decks. The best memoryless policy in RepeatPrevious names a suit that is
# not on the table, right with probability (D/4) / (D-1); in RepeatFirst it names the suit on the
# table: right at the first step, then with probability (D/4 - 1) / (D-1).
# CartPole's random returns: means of 131,072 episodes, standard errors 0.0002, 0.0001, 0.0001.
_ENTRIES: dict[str, _Entry] = {
    "popgym/RepeatFirstEasy": _Entry(partial(RepeatFirst, 1), Anchors(-0.5, 1.0, -0.499423)),
    "popgym/RepeatFirstMedium": _Entry(partial(RepeatFirst, 8), Anchors(-0.5, 1.0, -0.499991)),
    "popgym/RepeatFirstHard": _Entry(partial(RepeatFirst, 16), Anchors(-0.5, 1.0, -0.499998)),
    "popgym/RepeatPreviousEasy": _Entry(
        partial(RepeatPrevious, 1, 4), Anchors(-0.5, 1.0, 26 / 51 - 1)
    ),
    "popgym/RepeatPreviousMedium": _Entry(
        partial(RepeatPrevious, 2, 32), Anchors(-0.5, 1.0, 52 / 103 - 1)
    ),
    "popgym/RepeatPreviousHard": _Entry(
        partial(RepeatPrevious, 3, 64), Anchors(-0.5, 1.0, 78 / 155 - 1)
    ),
    "popgym/PositionOnlyCartPoleEasy": _Entry(
        partial(PositionOnlyCartPole, 200), Anchors(0.1113, 1.0)
    ),
    "popgym/PositionOnlyCartPoleMedium": _Entry(
        partial(PositionOnlyCartPole, 400), Anchors(0.0556, 1.0)
    ),
    "popgym/PositionOnlyCartPoleHard": _Entry(
        partial(PositionOnlyCartPole, 600), Anchors(0.0371, 1.0)
    ),
}


def names() -> tuple[str, ...]:
    """List every id that `make` knows.

    Returns:
        The ids: `"popgym/..."` are part of this package, `"gymnax/..."` need the `gymnax` extra.

    Example:
        >>> import memoalg.envs as envs
        >>> "popgym/RepeatPreviousEasy" in envs.names()
        True
    """
    return (*_ENTRIES, *(f"gymnax/{name}" for name in GYMNAX_NAMES))


def make(name: str) -> tuple[AbstractEnvironment[Any, Any], Any]:
    """Make an environment by its id; for other arguments call the task's constructor.

    Args:
        name: an id of `names()`, or `"gymnax/<id>"` for one that was registered with gymnax.

    Returns:
        `(env, params)`: the environment and its default parameters.

    Raises:
        ValueError: the id is unknown; the message lists the nearest ones.
        ModuleNotFoundError: the id begins with `gymnax/` and gymnax is not installed.

    Example:
        >>> import memoalg.envs as envs
        >>> env, params = envs.make("popgym/RepeatFirstEasy")
        >>> env.name, int(params.num_decks)
        ('popgym/RepeatFirstEasy', 1)
    """
    if not isinstance(name, str):
        raise TypeError(f"make(name) takes an environment's id as a string, got {name!r}")
    if name in _ENTRIES:
        env = _ENTRIES[name].factory()
    elif name.startswith("gymnax/"):
        env = from_gymnax(name.removeprefix("gymnax/"))
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
    if name not in _ENTRIES:
        raise ValueError(_unknown(name, tuple(_ENTRIES)))
    return _ENTRIES[name].anchors


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
    near = [by_short[s] for s in short] or list(known)
    return f"unknown environment {name!r}; nearest: {', '.join(near)}. names() lists all"
