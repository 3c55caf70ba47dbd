"""The picture of a bandit."""

import numpy as np
from jaxtyping import Float, UInt8

from .._canvas import BLACK, BLUE, GREY, ORANGE, PALE, Canvas

BOTTOM, TOP = 110, 24


def draw_bandit(
    heights: Float[np.ndarray, " arms"], arm: int, payout: float, pulls: int
) -> UInt8[np.ndarray, "160 240 3"]:
    """A bar for every arm, 0 to 1; the one that was pulled is orange."""
    canvas = Canvas(240, 160)
    width = 220 / len(heights)
    for i, height in enumerate(heights):
        left, right = 10 + i * width, 10 + (i + 1) * width - min(4.0, width / 4)
        canvas.rectangle((left, TOP, right, BOTTOM), PALE)
        fill = ORANGE if i == arm else BLUE
        canvas.rectangle((left, BOTTOM - float(height) * (BOTTOM - TOP), right, BOTTOM), fill)
        if len(heights) <= 20:
            canvas.text(((left + right) / 2, BOTTOM + 10), str(i), 10, BLACK)
    canvas.text((120, 10), "mean payout of each arm (hidden)", 12, GREY)
    last = f"arm {arm} paid {payout:.2f}" if arm < len(heights) else "no pull yet"
    canvas.text((120, 146), f"pull {pulls}: {last}")
    return canvas.image()
