"""The picture of the deck that is said backwards."""

import numpy as np
from jaxtyping import Int, UInt8

from .._canvas import GREY, PALE, SUIT_COLOURS, SUIT_NAMES, Canvas

COLUMNS, MOST_ROWS = 26, 6
LEFT, TOP, CELL = 6, 72, 8


def draw_autoencode(
    watching: bool, pile: Int[np.ndarray, " held"], cards: int
) -> UInt8[np.ndarray, "height width 3"]:
    """The newest card (face down while it is asked for), and the pile from its oldest card on.

    Of a high pile only the newest cards are drawn.
    """
    rows = min(-(-cards // COLUMNS), MOST_ROWS)
    canvas = Canvas(2 * LEFT + COLUMNS * CELL, TOP + rows * CELL + 22)
    canvas.suit((8, 6, 48, 62), int(pile[0]) if watching else None)
    canvas.text((60, 20), "watch" if watching else "play backwards", 16, anchor="lm")
    height = f"{len(pile)} of {cards} cards on the pile"
    canvas.text((60, 46), height, 11, GREY, anchor="lm")
    places = min(cards, rows * COLUMNS)
    shown = pile[:places][::-1]
    for i in range(places):
        at = (LEFT + CELL * (i % COLUMNS), TOP + CELL * (i // COLUMNS))
        _cell(canvas, at, int(shown[i]) if i < len(shown) else None)
    for suit, name in enumerate(SUIT_NAMES):
        left, top = 66 + 28 * suit, TOP + rows * CELL + 6
        _cell(canvas, (left, top + 1), suit)
        canvas.text((left + 15, top + 5), name, 12, SUIT_COLOURS[suit])
    return canvas.image()


def _cell(canvas: Canvas, at: tuple[int, int], suit: int | None) -> None:
    """One card of the pile; its height says the suit too, for those who see no colours."""
    left, top = at
    right, bottom = left + CELL - 1, top + CELL - 1
    canvas.rectangle((left + 1, top + 1, right, bottom), PALE)
    if suit is not None:
        canvas.rectangle((left + 1, bottom - 2 * suit, right, bottom), SUIT_COLOURS[suit])
