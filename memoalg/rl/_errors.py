"""What `fit` refuses, and what stops it."""

from collections.abc import Mapping
from typing import Any


class FitArgumentError(ValueError):
    """An argument of `fit` is out of range, or does not fit what is in the run folder."""


class NonFiniteLossError(ArithmeticError):
    """A loss or gradient norm became NaN or infinite; the message names the update.

    Attributes:
        state: the last good state. `algo.update(state)` repeats the failure.
        update: number of the update that failed, from 1.
    """

    def __init__(self, message: str, state: Any, update: int) -> None:
        self.state = state
        self.update = update
        Exception.__init__(self, message)


def check_sizes(sizes: Mapping[str, int]) -> None:
    """Refuses a size that is not an int of at least 1."""
    for name, value in sizes.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise FitArgumentError(f"{name} must be an int of at least 1, got {value!r}")
