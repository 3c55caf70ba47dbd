"""The picture of the games that ask for an earlier card."""

import numpy as np
from jaxtyping import Array, Int, UInt8

from .._canvas import GREY, SUIT_COLOURS, Canvas


def draw_recall(
    card: int | None, asked: int | None, title: str, remaining: Int[Array, " suits"]
) -> UInt8[np.ndarray, "160 200 3"]:
    """The card on the table, the one that is asked for (None: a back), and what is left of the deck."""
    canvas = Canvas(200, 160)
    canvas.text((60, 12), "on the table")
    canvas.suit((25, 25, 95, 120), card)
    canvas.text((145, 12), title, fill=GREY)
    canvas.suit((120, 40, 170, 108), asked)
    counts = np.asarray(remaining)
    for suit, count in enumerate(counts):
        box = (10 + 46 * suit, 138, 50 + 46 * suit, 150)
        canvas.bar(box, count / max(counts.max(), 1), SUIT_COLOURS[suit])
    return canvas.image()
