"""The picture of Battleship."""

import numpy as np
from jaxtyping import Int, UInt8

from .._canvas import BLACK, GREY, PALE, SKY, VERMILION, WHITE, Canvas


def draw_battle(
    ships: Int[np.ndarray, "size size"], guesses: Int[np.ndarray, "size size"]
) -> UInt8[np.ndarray, "200 200 3"]:
    """Blue water, grey ships; a shot is a white ring of water, or a red cell with a cross."""
    canvas = Canvas(200, 200)
    size = ships.shape[0]
    step = 196 / size
    for row in range(size):
        for column in range(size):
            left, top = 2 + step * column, 2 + step * row
            box = (left + 1, top + 1, left + step - 1, top + step - 1)
            ship, shot = ships[row, column], guesses[row, column]
            fill = VERMILION if ship and shot else GREY if ship else PALE if shot else SKY
            canvas.rectangle(box, fill)
            middle = (left + step / 2, top + step / 2)
            if ship and shot:
                canvas.text(middle, "x", int(step * 0.8), BLACK)
            elif shot:
                canvas.circle(middle, step * 0.2, WHITE)
    return canvas.image()
