"""The public law kit: check that a monoid is one. Nothing in the library imports it."""

from ._check import LawError as LawError
from ._check import check as check
from ._laws import laws_of as laws_of
from ._draw import Source as Source
from ._draw import draw as draw
