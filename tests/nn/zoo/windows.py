"""References of the windows models."""

from .case import Case

CASES: dict[str, Case] = {}
