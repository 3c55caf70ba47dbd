"""The picture of the car between the hills."""

import math

import numpy as np
from jaxtyping import UInt8

from .._canvas import BLACK, BLUE, GREEN, GREY, ORANGE, Canvas


def draw_car(position: float, velocity: float, time: int) -> UInt8[np.ndarray, "150 240 3"]:
    """The hills, the flag at the goal, the car, and an arrow for its velocity."""
    canvas = Canvas(240, 150)
    canvas.line([_place(x) for x in np.linspace(-1.2, 0.6, 91)], GREY, 3)
    x, y = _place(0.5)
    canvas.line([(x, y), (x, y - 28)], BLACK, 2)
    canvas.rectangle((x, y - 28, x + 12, y - 18), GREEN)
    x, y = _place(position)
    canvas.circle((x, y - 8), 8, ORANGE)
    end = x + 700 * velocity
    canvas.line([(x, y - 22), (end, y - 22)], BLUE, 3)
    canvas.text((6, 6), f"step {time}", fill=GREY, anchor="lt")
    return canvas.image()


def _place(position: float) -> tuple[float, float]:
    """The hill's point in pixels."""
    return 8 + 224 * (position + 1.2) / 1.8, 135 - 45 * (1 + math.sin(3 * position))
