"""The picture of the room, the corridor and the fork."""

import numpy as np
from jaxtyping import UInt8

from .._canvas import BLACK, BLUE, GREEN, GREY, ORANGE, PALE, VERMILION, YELLOW, Canvas

CELL, LEFT, MIDDLE = 16, 12, 70
LONGEST = 7  # a longer corridor is drawn as this many cells, to scale


def draw_room(
    row: int, column: int, objects: tuple[bool, bool], size: int, view: int
) -> UInt8[np.ndarray, "150 240 3"]:
    """The map with the agent (orange), what it sees (yellow), keys (blue) and balls (red)."""
    canvas = Canvas(240, 150)
    cue, north = objects
    cells = min(size, LONGEST)
    canvas.rectangle((0, 20, 240, 120), GREY)
    seen = [
        (r, c)
        for r in range(row - view // 2, row + view // 2 + 1)
        for c in range(column - view // 2, column + view // 2 + 1)
    ]
    floor = [(r, c) for r in (-1, 0, 1) for c in (0, 1, 2, 3 + size)]
    near = {_place(c, size, cells) for _, c in seen}
    for r, x in [(r, _place(c, size, cells)) for r, c in floor] + [
        (0, LEFT + CELL * (3 + i)) for i in range(cells)
    ]:
        lit = abs(r - row) <= view // 2 and any(abs(x - place) < CELL / 2 for place in near)
        _square(canvas, r, x, YELLOW if lit else PALE)
    fork = _place(3 + size, size, cells)
    for r, x, is_key in ((-1, LEFT, cue), (-1, fork, north), (1, fork, not north)):
        _draw_object(canvas, r, x, is_key)
    x = _place(column, size, cells)
    canvas.circle((x + CELL / 2, MIDDLE + CELL * row), 6, BLACK)
    canvas.circle((x + CELL / 2, MIDDLE + CELL * row), 5, ORANGE)
    goal = -1 if cue == north else 1
    y = MIDDLE + CELL * goal
    canvas.line([(fork + CELL + 3, y - 7), (fork + CELL + 3, y + 7)], GREEN, 4)
    canvas.text((120, 136), f"corridor of {size}, column {column}")
    return canvas.image()


def _place(column: int, size: int, cells: int) -> float:
    """A column's left edge in pixels; the corridor is shrunk to `cells` cells."""
    if column < 3:
        return LEFT + CELL * column
    if column >= 3 + size:
        return LEFT + CELL * (column - size + cells)
    return LEFT + CELL * (3 + int((column - 3) * cells / size))


def _square(canvas: Canvas, row: int, x: float, fill: str) -> None:
    y = MIDDLE + CELL * row
    canvas.rectangle((x, y - CELL / 2, x + CELL - 1, y + CELL / 2 - 1), fill)


def _draw_object(canvas: Canvas, row: int, x: float, is_key: bool) -> None:
    y = MIDDLE + CELL * row
    if is_key:
        canvas.circle((x + 5, y), 4, BLUE)
        canvas.line([(x + 5, y), (x + 14, y), (x + 14, y + 4)], BLUE, 3)
    else:
        canvas.circle((x + CELL / 2, y), 6, VERMILION)
