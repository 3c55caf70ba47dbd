"""The picture of the tasks with a pole on a cart."""

import math

import numpy as np
from jaxtyping import UInt8

from .._canvas import BLACK, BLUE, GREY, ORANGE, VERMILION, Canvas
from ._cart_pole import MAX_ANGLE, MAX_POSITION, CartPoleState

SCALE = 42.0  # pixels per metre
MIDDLE, TRACK, ROD = 120.0, 125.0, 92.0


def draw_cart_pole(state: CartPoleState) -> UInt8[np.ndarray, "150 240 3"]:
    """The cart between the two ends of its track, the pole, and the angle at which it counts as fallen."""
    canvas = Canvas(240, 150)
    x = MIDDLE + SCALE * float(state.position)
    angle = float(state.angle)
    canvas.line([(0, TRACK), (240, TRACK)], GREY)
    for side in (-1, 1):
        end = MIDDLE + SCALE * side * MAX_POSITION
        canvas.line([(end, TRACK - 12), (end, TRACK + 12)], VERMILION, 3)
        canvas.line([(x, TRACK - 16), _tip(x, side * MAX_ANGLE)], GREY, 1)
    canvas.rectangle((x - 20, TRACK - 16, x + 20, TRACK - 2), BLACK, round=3)
    canvas.line([(x, TRACK - 16), _tip(x, angle)], ORANGE, 6)
    canvas.circle((x, TRACK - 16), 4, BLUE)
    canvas.text((6, 6), f"step {int(state.time)}", fill=GREY, anchor="lt")
    return canvas.image()


def _tip(x: float, angle: float) -> tuple[float, float]:
    """Where the free end of a pole is that stands on the cart at `x`."""
    return x + ROD * math.sin(angle), TRACK - 16 - ROD * math.cos(angle)
