"""The picture of the guess for the next card."""

import numpy as np
from jaxtyping import Int, UInt8

from .._canvas import BLUE, GREY, ORANGE, PALE, RANK_NAMES, Canvas

WIDTH, HEIGHT, BASE, TALLEST = 221, 172, 150, 50
STEP = WIDTH // len(RANK_NAMES)


def draw_higher_lower(
    card: int, remaining: Int[np.ndarray, " ranks"], most: int
) -> UInt8[np.ndarray, "172 221 3"]:
    """The card on the table, how many cards are lower and higher, and a column for each rank."""
    canvas = Canvas(WIDTH, HEIGHT)
    canvas.card((84, 8, 136, 82), RANK_NAMES[card])
    for x, what, count, colour in (
        (42, "lower", remaining[:card].sum(), ORANGE),
        (178, "higher", remaining[card + 1 :].sum(), BLUE),
    ):
        canvas.text((x, 28), what, 14, colour)
        canvas.text((x, 54), str(int(count)), 22, colour)
    for rank, count in enumerate(remaining):
        left, right = rank * STEP + 2, (rank + 1) * STEP - 2
        canvas.rectangle((left, BASE - TALLEST, right, BASE), PALE)
        if count > 0:
            colour = ORANGE if rank < card else GREY if rank == card else BLUE
            canvas.rectangle((left, BASE - TALLEST * count / most, right, BASE), colour)
        canvas.text(((left + right) / 2, BASE + 11), RANK_NAMES[rank], 11)
    return canvas.image()
