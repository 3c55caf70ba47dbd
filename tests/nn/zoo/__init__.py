"""Every model with the step-by-step formula of its paper. A new model is one line in its family's file."""

from . import cells, delta, elementwise, groups, outer, recurrences, windows
from .case import Case

CASES: dict[str, Case] = {
    **elementwise.CASES,
    **recurrences.CASES,
    **outer.CASES,
    **delta.CASES,
    **groups.CASES,
    **windows.CASES,
    **cells.CASES,
}
