"""References of the delta models."""

from .case import Case

CASES: dict[str, Case] = {}
