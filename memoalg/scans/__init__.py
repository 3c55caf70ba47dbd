"""Scans: one semantics, several executions."""

from ._associative import Associative as Associative
from ._auto import Auto as Auto
from ._chunk import Memory as Memory
from ._chunk import Outer as Outer
from ._chunk_exponent import LogGates as LogGates
from ._chunked import Chunked as Chunked
from ._explain import Choice as Choice
from ._explain import Explanation as Explanation
from ._explain import explain as explain
from ._method import AbstractMethod as AbstractMethod
from ._newton import Newton as Newton
from ._newton import NewtonInfo as NewtonInfo
from ._outer_form import AbstractOuterForm as AbstractOuterForm
from ._outer_form import outer_form as outer_form
from ._planner import Plan as Plan
from ._planner import plan as plan
from ._scan import exclusive_scan as exclusive_scan
from ._scan import fold as fold
from ._scan import scan as scan
from ._sequential import Sequential as Sequential
from ._trajectory import trajectory as trajectory
