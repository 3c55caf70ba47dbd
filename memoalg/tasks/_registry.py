"""Every task by name."""

import difflib
from collections.abc import Callable

from ._adding import Adding
from ._associative_recall import AssociativeRecall
from ._copy import Copy
from ._delayed_match import DelayedMatch
from ._modular_counting import ModularCounting
from ._parity import Parity
from ._selective_copy import SelectiveCopy
from ._task import AbstractTask

TASKS: dict[str, Callable[[], AbstractTask]] = {
    "copy": Copy,
    "selective_copy": SelectiveCopy,
    "associative_recall": AssociativeRecall,
    "parity": Parity,
    "modular_counting": ModularCounting,
    "adding": Adding,
    "delayed_match": DelayedMatch,
}


def names() -> list[str]:
    """The names of the tasks.

    Example:
        >>> import memoalg as ma
        >>> "copy" in ma.tasks.names()
        True
    """
    return list(TASKS)


def make(name: str) -> AbstractTask:
    """A task by its name, with its defaults; for other sizes call the class.

    Arguments:
        name: see [`memoalg.tasks.names`][].

    Returns:
        The task.

    Raises:
        ValueError: for an unknown name; the nearest ones are listed.

    Example:
        >>> import memoalg as ma
        >>> ma.tasks.make("copy")
        Copy()
    """
    if name not in TASKS:
        near = difflib.get_close_matches(name, TASKS, n=3, cutoff=0.3) or list(TASKS)
        raise ValueError(
            f"unknown task {name!r}; nearest: {', '.join(near)} (all: {', '.join(TASKS)})"
        )
    return TASKS[name]()
