"""The picture of the n-back task."""

import numpy as np
from jaxtyping import Int, UInt8

from .._canvas import BLACK, GREY, ORANGE, PALE, SKY, Canvas

COLUMNS = 9


def draw_n_back(
    shown: Int[np.ndarray, " window"], time: int, n: int
) -> UInt8[np.ndarray, "120 240 3"]:
    """The last symbols, the present one at the right; the two that are compared are coloured."""
    canvas = Canvas(240, 120)
    # Where the window is too long for the row, its oldest symbol stays at the left, after a gap.
    ages = list(range(n + 1)) if n < COLUMNS else [*range(COLUMNS - 2), None, n]
    for column, age in enumerate(ages):
        x = 222 - 26 * column
        if age is None:
            canvas.text((x, 55), "...", 16, GREY)
            continue
        fill = SKY if age == 0 else ORANGE if age == n else PALE
        canvas.rectangle((x - 12, 38, x + 12, 72), fill, GREY if age <= time else None, round=4)
        if age <= time:
            canvas.text((x, 55), _letter(int(shown[age])), 16, BLACK)
    canvas.text((120, 18), f"same as {n} step{'s' if n > 1 else ''} ago?")
    answer = "no question yet" if time < n else "yes" if shown[0] == shown[-1] else "no"
    canvas.text((120, 98), answer, 14)
    return canvas.image()


def _letter(symbol: int) -> str:
    return chr(ord("A") + symbol) if symbol < 26 else str(symbol)
