"""The picture of the bandit's arms."""

import numpy as np
from jaxtyping import Float, UInt8

from .._canvas import BLUE, GREY, ORANGE, PALE, WHITE, Canvas

WIDTH, HEIGHT, BASE, TALLEST = 220, 160, 140, 100


def draw_bandit(
    chances: Float[np.ndarray, " arms"], pulled: int | None, paid: bool, time: int
) -> UInt8[np.ndarray, "160 220 3"]:
    """A column for each arm's chance; a disc under the arm that was pulled, full where it paid."""
    canvas = Canvas(WIDTH, HEIGHT)
    canvas.text((6, 16), f"pull {time}", 14, GREY, anchor="lm")
    outcome = "" if pulled is None else "paid" if paid else "nothing"
    canvas.text((WIDTH - 6, 16), outcome, 14, BLUE if paid else GREY, anchor="rm")
    step = (WIDTH - 8) / len(chances)
    gap = 1 if step >= 4 else 0
    for arm, chance in enumerate(chances):
        left, right = 4 + arm * step + gap, 4 + (arm + 1) * step - gap
        canvas.rectangle((left, BASE - TALLEST, right, BASE), PALE)
        colour = ORANGE if arm == pulled else BLUE
        canvas.rectangle((left, BASE - TALLEST * float(chance), right, BASE), colour)
    if pulled is not None:
        centre = (4 + (pulled + 0.5) * step, BASE + 10)
        canvas.circle(centre, 7, ORANGE)
        if not paid:
            canvas.circle(centre, 4, WHITE)
    return canvas.image()
