"""References of the groups models."""

from .case import Case

CASES: dict[str, Case] = {}
