"""The picture of a labyrinth."""

from typing import Any

import numpy as np
from jaxtyping import UInt8

from .._canvas import BLACK, GREEN, ORANGE, PURPLE, SKY, VERMILION, WHITE, Canvas

SIZE = 200  # px


def draw_labyrinth(state: Any) -> UInt8[np.ndarray, "200 200 3"]:
    """The maze from above: walls black, visited cells blue, start green, exit red, agent orange.

    The frame is what the agent sees of it.
    """
    free, explored = _cells(state.free), _cells(state.explored)
    side = free.shape[0]
    pixels = SIZE // side
    margin = (SIZE - pixels * side) // 2
    colours = np.where(free, np.where(explored, SKY, WHITE), BLACK)
    colours[tuple(np.asarray(state.start))] = GREEN
    if state.goal[0] >= 0:
        colours[tuple(np.asarray(state.goal))] = VERMILION
    canvas = Canvas(SIZE, SIZE)
    for y, x in np.ndindex(side, side):
        left, top = margin + pixels * x, margin + pixels * y
        canvas.rectangle((left, top, left + pixels - 1, top + pixels - 1), str(colours[y, x]))
    top, left = (margin + pixels * max(int(place) - 1, 0) for place in state.position)
    bottom, right = (margin + pixels * min(int(place) + 2, side) for place in state.position)
    frame = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    canvas.line(frame, PURPLE)
    y, x = (margin + pixels * (int(place) + 0.5) for place in state.position)
    canvas.circle((x, y), 0.35 * pixels, BLACK)
    canvas.circle((x, y), 0.35 * pixels - 1, ORANGE)
    return canvas.image()


def _cells(rows: Any) -> np.ndarray:
    """Bits of a grid as an array of bools."""
    rows = np.asarray(rows)
    return (rows[:, None] >> np.arange(rows.shape[0]) & 1).astype(bool)
