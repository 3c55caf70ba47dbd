"""The public law kit: check that a monoid is one. Nothing in the library imports it.

`memoalg.laws.strategies` is imported on first use: it needs hypothesis.
"""

import importlib
from types import ModuleType

from ._check import check as check
from ._check import check_action as check_action
from ._check import check_homomorphism as check_homomorphism
from ._check_layer import check_layer as check_layer
from ._draw import Source as Source
from ._draw import draw as draw
from ._recurrence import assert_matches_recurrence as assert_matches_recurrence
from ._report import LawError as LawError
from ._report import Report as Report
from ._site import laws_of as laws_of

from . import _draw_ground as _draw_ground  # isort: skip
from . import _draw_matrix as _draw_matrix  # isort: skip
from . import _draw_combinators as _draw_combinators  # isort: skip


def __getattr__(name: str) -> ModuleType:
    """`memoalg.laws.strategies`, which needs hypothesis."""
    if name == "strategies":
        return importlib.import_module("._strategies", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
