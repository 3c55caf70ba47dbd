"""The picture of the tasks with a pendulum."""

import math

import numpy as np
from jaxtyping import UInt8

from .._canvas import BLACK, BLUE, GREY, ORANGE, PALE, Canvas
from ._pendulum import MAX_SPEED, PendulumState

MIDDLE, ROD = 90.0, 66.0


def draw_pendulum(state: PendulumState) -> UInt8[np.ndarray, "200 180 3"]:
    """The rod, where it should point, and its angular velocity as a bar from the middle."""
    canvas = Canvas(180, 200)
    angle, speed = float(state.angle), float(state.angular_velocity)
    canvas.circle((MIDDLE, MIDDLE), ROD + 4, PALE)
    canvas.line([(MIDDLE, MIDDLE), _tip(0.0, ROD)], GREY, 1)
    canvas.line([(MIDDLE, MIDDLE), _tip(angle, ROD)], ORANGE, 10)
    canvas.circle(_tip(angle, ROD), 7, ORANGE)
    canvas.circle((MIDDLE, MIDDLE), 5, BLACK)
    end = MIDDLE + 80 * speed / MAX_SPEED
    canvas.rectangle((10, 182, 170, 190), PALE)
    canvas.rectangle((min(MIDDLE, end), 182, max(MIDDLE, end), 190), BLUE)
    canvas.text((MIDDLE, 174), "angular velocity", size=10, fill=GREY)
    canvas.text((4, 4), f"step {int(state.time)}", fill=GREY, anchor="lt")
    return canvas.image()


def _tip(angle: float, radius: float) -> tuple[float, float]:
    """Positive angles lean to the left, as in gymnasium's picture."""
    return MIDDLE - radius * math.sin(angle), MIDDLE - radius * math.cos(angle)
