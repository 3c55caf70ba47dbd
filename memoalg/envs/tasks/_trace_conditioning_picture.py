"""The picture of trace conditioning."""

import numpy as np
from jaxtyping import Int, UInt8

from .._canvas import BLUE, GREY, ORANGE, PALE, SKY, VERMILION, Canvas

SHOWN = 20


def draw_stimuli(
    signals: Int[np.ndarray, " signals"], clock: int, interval: int
) -> UInt8[np.ndarray, "160 240 3"]:
    """Lamps for the CS, the US and up to 20 distractors; the time from the CS to the US as a bar."""
    canvas = Canvas(240, 160)
    for x, name, on, colour in ((60, "CS", signals[0], BLUE), (180, "US", signals[1], VERMILION)):
        canvas.circle((x, 42), 20, GREY)
        canvas.circle((x, 42), 18, colour if on else PALE)
        canvas.text((x, 10), name, 14)
    for i, on in enumerate(signals[2 : 2 + SHOWN]):
        x, y = 22 + 22 * (i % 10), 84 + 20 * (i // 10)
        canvas.circle((x, y), 8, GREY)
        canvas.circle((x, y), 7, ORANGE if on else PALE)
    canvas.bar((20, 124, 220, 134), max(clock, 0) / interval, SKY)
    waits = (
        f"{-clock} steps before the CS"
        if clock < 0
        else f"{clock} of {interval} steps since the CS"
    )
    canvas.text((120, 148), waits)
    return canvas.image()
