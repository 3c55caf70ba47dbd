"""Which monoids remember the last few things that were written, and how."""

import functools
from collections.abc import Callable
from typing import NamedTuple

from jaxtyping import Array, Int, PyTree

from ..algebra import AbstractMonoid, Recent, Window


def _itself(generator: PyTree) -> PyTree:
    return generator


class WindowForm(NamedTuple):
    """A monoid whose state is `(buffer, count)`: the last things written, the newest last.

    What [`memoalg.Gather`][] needs to know of a monoid. The leaves of the buffer have a leading axis of
    `size` slots, of which the last `count` are filled; a step moves them up by one and puts
    `slot(generator)` into the last. The monoid's own initial state has count 0 and slots that are all
    alike. A class of one's own registers its form:
    `ma.scans.window_form.register(MyMonoid, lambda monoid: ma.scans.WindowForm(monoid.k))`.

    Attributes:
        size: the number of slots.
        slot: what a generator puts into the last one: by default itself.
        read: what consecutive steps read, `(rows, counts, queries) -> reads`, where that is cheaper
            together than window by window. Rows are what was put into slots, the k - 1 before the first
            of these steps included; of each step's window, the k rows that end with its own, the last
            `count` are filled. What is not filled must reach neither reads nor gradients. None where
            each window is read by itself.

    Example:
        >>> import memoalg as ma
        >>> ma.scans.window_form(ma.Recent(3, k=4)).size
        4
    """

    size: int
    slot: Callable[[PyTree], PyTree] = _itself
    read: Callable[[PyTree, Int[Array, " time"], PyTree], PyTree] | None = None


@functools.singledispatch
def window_form(monoid: AbstractMonoid) -> WindowForm | None:
    """How a monoid is a buffer of the last few things, or None.

    Example:
        >>> import memoalg as ma
        >>> print(ma.scans.window_form(ma.Affine(2)))
        None
    """
    return None


@window_form.register
def _(monoid: Recent) -> WindowForm | None:
    return WindowForm(monoid.k)


@window_form.register
def _(monoid: Window) -> WindowForm | None:
    return WindowForm(monoid.size, monoid.monoid.expand)
