"""Run a program of laws; find, shrink and report the first failure."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import numpy as np

from ._draft import Draft
from ._judge import Verdict, judge, out_of_range
from ._law import parameters
from ._program import Program
from ._reset import BITWISE

NEUTRAL = ("left_identity", "right_identity", "action_identity", "acting_identity")
"""Laws in which something meets nothing, so that no intermediate number is larger than the result."""


class Failure(NamedTuple):
    """A law that fails, and one case for which it does."""

    site: int
    law: str
    case: int
    values: dict
    sides: tuple[Any, Any]
    leaf: str


class Runner:
    """A program with the drafts it starts from.

    Arguments:
        program: the laws.
        drafts: one for each of its sites.
        tolerance: the user's; None for the rule of `judge`.
    """

    def __init__(self, program: Program, drafts: list[Draft], tolerance: float | None):
        self.program, self.drafts, self.tolerance = program, drafts, tolerance

    def failures(self) -> Iterable[Failure]:
        """Every law that fails, each with the case that is listed first."""
        results = self.program.run(self.drafts)
        for index, site in enumerate(self.program.sites):
            for law in site.laws:
                found = self.verdict(index, law, *results[index])
                if found.failing.any():
                    yield self.failure(index, law, int(np.argmax(found.failing)), *results[index])

    def failure(self, index: int, law: str, case: int, values: dict, sides: dict) -> Failure:
        verdict = self.verdict(index, law, values, sides)
        one = jax.tree.map(lambda leaf: leaf[case], (values, sides[law]))
        return Failure(index, law, case, one[0], one[1], verdict.leaf[case] or "itself")

    def verdict(self, index: int, law: str, values: dict, sides: dict) -> Verdict:
        """Which cases of a law fail: in its own dtype and, where that leaves a doubt, in double."""
        site = self.program.sites[index]
        inputs = [values[name] for name in parameters(site.laws[law])]
        bitwise = law in BITWISE
        verdict = judge(sides[law], inputs, None, self.tolerance, bitwise)
        if bitwise or self.tolerance is not None or not verdict.failing.any():
            return verdict
        oracle = self.program.oracle
        wide = None if oracle is None else oracle.run(index, values)
        if wide is None:
            return judge(sides[law], inputs, None, None, alone=True)
        found = judge(sides[law], inputs, wide[law], None)
        if law not in NEUTRAL:
            return found
        # Nothing large met here: what has left the dtype's range was thrown away.
        return Verdict(found.failing | out_of_range(sides[law]), verdict.leaf)

    def rerun(self, index: int, law: str, draft: Draft) -> tuple[dict, dict, Verdict]:
        """One site on other drafts: its values, sides and the law's verdict."""
        drafts = list(self.drafts)
        drafts[index] = draft
        values, sides = self.program.run(drafts)[index]
        return values, sides, self.verdict(index, law, values, sides)
