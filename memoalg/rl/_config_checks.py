"""Checks that every configuration makes at its construction."""

from collections.abc import Sequence
from typing import Any


def check_size(owner: str, name: str, value: Any, least: int = 1) -> None:
    """Refuses what is not an int of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{owner}: {name} must be an int of at least {least}, not {value!r}.")


def check_range(
    owner: str, name: str, value: Any, low: float = 0.0, high: float = float("inf")
) -> None:
    """Refuses a number outside of `[low, high]`; None and arrays pass."""
    # An array or tracer is a hyper-parameter being swept over: its values are not known here.
    if isinstance(value, (int, float)) and not low <= value <= high:
        raise ValueError(f"{owner}: {name} must lie in [{low:g}, {high:g}], not {value!r}.")


def check_choice(owner: str, name: str, value: Any, choices: Sequence[str]) -> None:
    """Refuses what is not one of a few words."""
    if value not in choices:
        written = " or ".join(repr(choice) for choice in choices)
        raise ValueError(f"{owner}: {name} must be {written}, not {value!r}.")


def check_minibatches(owner: str, num_envs: int, minibatches: int) -> None:
    """Refuses a number of minibatches that does not divide the environments."""
    if num_envs % minibatches:
        fitting = [n for n in range(1, num_envs + 1) if num_envs % n == 0]
        raise ValueError(
            f"{owner}: num_envs={num_envs} cannot be split into "
            f"minibatches={minibatches} of whole environments; "
            f"write minibatches as one of {fitting}, or change num_envs."
        )


def check_burn_in(owner: str, burn_in: int, num_steps: int) -> None:
    """Refuses a burn-in that leaves nothing to learn from."""
    check_size(owner, "burn_in", burn_in, least=0)
    if burn_in >= num_steps:
        raise ValueError(
            f"{owner}: burn_in={burn_in} leaves none of num_steps={num_steps} to learn from; "
            f"write a burn_in below {num_steps}."
        )
