"""Which method to use where: a pure function with its reason."""

from typing import NamedTuple

from ..algebra import AbstractMonoid
from ._associative import Associative
from ._method import AbstractMethod
from ._sequential import Sequential

SHORT = 64
"""Below so many steps a tree launches more kernels than it saves (counted, not timed)."""


class Plan(NamedTuple):
    """A method and why it was chosen.

    Example:
        >>> import memoalg as ma
        >>> ma.plan(ma.Affine(8), length=1024, platform="cpu").method
        Sequential()
    """

    method: AbstractMethod
    reason: str


def plan(monoid: AbstractMonoid, *, length: int, platform: str) -> Plan:
    """Choose a method for a monoid, a length and a platform.

    | platform | length | method |
    |---|---|---|
    | `"cpu"` | any | `Sequential`: one loop, least memory |
    | others | below 64 | `Sequential`: a tree would launch more kernels than it saves |
    | others | 64 and more | `Associative`: O(log T) launches instead of O(T) |

    Arguments:
        monoid: the algebra.
        length: the number of steps.
        platform: as JAX names it: `"cpu"`, `"cuda"`, `"rocm"`, `"tpu"`.

    Returns:
        The [`memoalg.Plan`][].

    Example:
        >>> import memoalg as ma
        >>> print(ma.plan(ma.Add(), length=1024, platform="cuda").method)
        Associative()
    """
    del monoid  # Rows by class of monoid come with their methods.
    if platform == "cpu":
        return Plan(Sequential(), "on a CPU one loop is fastest and stores only the states")
    if length < SHORT:
        return Plan(Sequential(), f"below {SHORT} steps a tree launches more kernels than it saves")
    return Plan(Associative(), "on an accelerator a tree has O(log T) launches, a loop O(T)")
