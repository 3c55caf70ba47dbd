"""Pictures of the tasks along a line: a sign at its start, a question at its end."""

import numpy as np
from jaxtyping import Int, UInt8

from .._canvas import BLACK, BLUE, GREEN, GREY, ORANGE, PALE, SKY, VERMILION, WHITE, Canvas

LEFT, RIGHT = 30, 210


def draw_chain(
    context: Int[np.ndarray, " bits"], query: int, time: int, length: int
) -> UInt8[np.ndarray, "140 240 3"]:
    """The bits over the line's start (the one that is asked for is framed), the clock along it."""
    canvas = Canvas(240, 140)
    shown = context[:8]
    for i, bit in enumerate(shown):
        box = (16 + 26 * i, 34, 38 + 26 * i, 56)
        canvas.rectangle(box, BLUE if bit else ORANGE, BLACK if i == query else None, round=4)
        canvas.text((27 + 26 * i, 45), "+" if bit else "-", 16, WHITE if bit else BLACK)
    canvas.text((16, 16), "shown once, at the start", fill=GREY, anchor="lm")
    canvas.rectangle((LEFT, 88, RIGHT, 96), PALE, round=4)
    x = LEFT + (RIGHT - LEFT) * min(time, length) / length
    canvas.rectangle((LEFT, 88, max(x, LEFT + 8), 96), SKY, round=4)
    canvas.circle((x, 92), 8, BLACK)
    canvas.text((RIGHT + 14, 92), "?", 18, VERMILION)
    canvas.text((120, 122), f"observation {min(time, length - 1) + 1} of {length}")
    return canvas.image()


def draw_t_maze(position: int, length: int, north: bool) -> UInt8[np.ndarray, "140 240 3"]:
    """The corridor with its junction at the right; the goal is green, the other end grey."""
    canvas = Canvas(240, 140)
    canvas.rectangle((LEFT - 12, 58, RIGHT + 12, 82), PALE)
    canvas.rectangle((RIGHT - 12, 20, RIGHT + 12, 120), PALE)
    for goal, box in (
        (north, (RIGHT - 12, 20, RIGHT + 12, 44)),
        (not north, (RIGHT - 12, 96, RIGHT + 12, 120)),
    ):
        canvas.rectangle(box, GREEN if goal else GREY)
        canvas.text((RIGHT, (box[1] + box[3]) / 2), "+" if goal else "-", 16, WHITE)
    tip, base = (34, 50) if north else (106, 90)
    canvas.line([(LEFT, base), (LEFT, tip)], BLUE, 3)
    head = 7 if north else -7
    canvas.line([(LEFT - 7, tip + head), (LEFT, tip), (LEFT + 7, tip + head)], BLUE, 3)
    canvas.circle((LEFT + (RIGHT - LEFT) * position / length, 70), 8, ORANGE)
    canvas.text((110, 126), f"cell {position} of {length}")
    return canvas.image()
