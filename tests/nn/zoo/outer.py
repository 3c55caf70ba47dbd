"""References of the outer models."""

from .case import Case

CASES: dict[str, Case] = {}
