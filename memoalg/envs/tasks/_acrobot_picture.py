"""The picture of the two links."""

import math

import numpy as np
from jaxtyping import Float, UInt8

from .._canvas import BLACK, BLUE, GREEN, GREY, ORANGE, Canvas

MIDDLE, LINK = 90.0, 40.0


def draw_acrobot(angles: Float[np.ndarray, " 2"], time: int) -> UInt8[np.ndarray, "180 180 3"]:
    """The links and the line that the free end must cross."""
    canvas = Canvas(180, 180)
    canvas.line([(4, MIDDLE - LINK), (176, MIDDLE - LINK)], GREEN, 3)
    first, second = float(angles[0]), float(angles[0] + angles[1])
    elbow = (MIDDLE + LINK * math.sin(first), MIDDLE + LINK * math.cos(first))
    end = (elbow[0] + LINK * math.sin(second), elbow[1] + LINK * math.cos(second))
    canvas.line([(MIDDLE, MIDDLE), elbow], BLUE, 8)
    canvas.line([elbow, end], ORANGE, 8)
    for joint in ((MIDDLE, MIDDLE), elbow):
        canvas.circle(joint, 5, BLACK)
    canvas.text((6, 6), f"step {time}", fill=GREY, anchor="lt")
    return canvas.image()
