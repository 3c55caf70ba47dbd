"""The picture of the game that asks for counts."""

import numpy as np
from jaxtyping import Int, UInt8

from .._canvas import (
    BLACK,
    BLUE,
    GREY,
    ORANGE,
    PALE,
    RANK_NAMES,
    SUIT_COLOURS,
    SUIT_NAMES,
    VERMILION,
    Canvas,
)

NAMES = {2: ("black", "red"), 4: tuple(SUIT_NAMES), 13: RANK_NAMES}
COLOURS = {2: (BLACK, VERMILION), 4: SUIT_COLOURS, 13: (BLACK,) * 13}
WIDTH, BASE, TALLEST = 220, 150, 56


def draw_counts(
    value: int, query: int, counts: Int[np.ndarray, " types"], most: int
) -> UInt8[np.ndarray, "172 220 3"]:
    """The card that is shown, the type that is asked for, and a column for each type's count."""
    types = len(counts)
    names, colours = NAMES[types], COLOURS[types]
    canvas = Canvas(WIDTH, 172)
    canvas.text((50, 10), "shown")
    canvas.card((20, 20, 80, 76), "")
    canvas.text((50, 48), names[value], 30 if types > 2 else 18, colours[value])
    canvas.text((155, 10), "how many?", fill=GREY)
    canvas.text((155, 40), names[query], 30 if types > 2 else 18, colours[query])
    canvas.text((155, 68), f"{counts[query]} so far", 12, GREY)
    step = WIDTH / types
    for i, count in enumerate(counts):
        left, right = i * step + 2, (i + 1) * step - 2
        canvas.rectangle((left, BASE - TALLEST, right, BASE), PALE)
        top = BASE - TALLEST * min(max(count / most, 0.0), 1.0)
        canvas.rectangle((left, top, right, BASE), ORANGE if i == query else BLUE)
        canvas.text(((left + right) / 2, BASE + 11), names[i], 12 if types > 4 else 14, colours[i])
    return canvas.image()
