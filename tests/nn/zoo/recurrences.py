"""References of the recurrences models."""

from .case import Case

CASES: dict[str, Case] = {}
