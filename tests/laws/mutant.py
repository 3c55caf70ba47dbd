"""What a planted mistake is, and which law sees it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import memoalg as ma


@dataclass(frozen=True)
class Mutant:
    """A realistic mistake.

    Attributes:
        build: what the kit is given: a monoid, or a tuple of arguments.
        what: one line that says what is wrong.
        kit: the function of `memoalg.laws` that is to see it.
        right: the same without the mistake, where no other test shows that it passes.
    """

    build: Callable[[], Any]
    what: str
    kit: str = "check"
    right: Callable[[], Any] | None = None


def law_that_sees(subject: Any, kit: str) -> str | None:
    """The law that fails, or None where the kit is content."""
    try:
        if kit == "assert_matches_recurrence":
            layer, step, initial_state = subject
            ma.laws.assert_matches_recurrence(layer, step, initial_state=initial_state)
        else:
            arguments = subject if isinstance(subject, tuple) else (subject,)
            getattr(ma.laws, kit)(*arguments)
    except ma.laws.LawError as error:
        return str(error).split(" fails for")[0]
    except AssertionError as error:
        if "differs from the recurrence" not in str(error):
            raise
        return "recurrence"
    return None
