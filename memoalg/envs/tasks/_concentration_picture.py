"""The picture of Concentration."""

import numpy as np
from jaxtyping import Int, UInt8

from .._canvas import (
    BLACK,
    GREY,
    ORANGE,
    PALE,
    RANK_NAMES,
    SKY,
    SUIT_COLOURS,
    SUIT_NAMES,
    VERMILION,
    WHITE,
    Canvas,
)

COLUMNS = 13


def draw_cards(
    faces: Int[np.ndarray, " cards"], up: Int[np.ndarray, " cards"], in_play: int, types: int
) -> UInt8[np.ndarray, "height 240 3"]:
    """Backs are blue; a card that was turned back is pale; the one in play has an orange frame."""
    rows = -(-len(faces) // COLUMNS)
    canvas = Canvas(240, 8 + 26 * rows)
    for place, face in enumerate(faces):
        row, column = divmod(place, COLUMNS)
        left, top = 4 + 18 * column, 4 + 26 * row
        if place == in_play:
            canvas.rectangle((left - 1, top - 1, left + 17, top + 25), ORANGE, round=2)
        open_, turned = up[place] or place == in_play, face < types
        fill = WHITE if open_ else PALE if turned else SKY
        canvas.rectangle((left + 1, top + 1, left + 15, top + 23), fill, GREY, round=2)
        if turned:
            text, colour = _label(int(face), types)
            canvas.text((left + 8, top + 12), text, 11, colour)
    return canvas.image()


def _label(face: int, types: int) -> tuple[str, str]:
    """What is written on a face, and its colour."""
    if types == 2:
        return "BR"[face], (BLACK, VERMILION)[face]
    if types == 4:
        return SUIT_NAMES[face], SUIT_COLOURS[face]
    return RANK_NAMES[face], BLACK
