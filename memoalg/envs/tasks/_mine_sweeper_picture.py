"""The picture of MineSweeper."""

import numpy as np
from jaxtyping import Int, UInt8

from .._canvas import BLACK, BLUE, GREY, PALE, SKY, WHITE, Canvas

MINE, VIEWED = 1, 2


def draw_mines(board: Int[np.ndarray, "size size"]) -> UInt8[np.ndarray, "200 200 3"]:
    """Clicked cells are white with their count, others are covered; mines are black discs."""
    canvas = Canvas(200, 200)
    size = board.shape[0]
    step = 196 / size
    counts = _counts(board == MINE)
    for row in range(size):
        for column in range(size):
            left, top = 2 + step * column, 2 + step * row
            viewed = board[row, column] == VIEWED
            fill = WHITE if viewed else SKY
            canvas.rectangle((left + 1, top + 1, left + step - 1, top + step - 1), fill, GREY)
            middle = (left + step / 2, top + step / 2)
            if board[row, column] == MINE:
                canvas.circle(middle, step * 0.28, BLACK)
            if viewed:
                count = counts[row, column]
                canvas.text(middle, str(count), int(step * 0.55), BLUE if count else PALE)
    return canvas.image()


def _counts(mines: np.ndarray) -> np.ndarray:
    size = mines.shape[0]
    padded = np.pad(mines.astype(int), 1)
    shifts = [(i, j) for i in range(3) for j in range(3)]
    return sum((padded[i : i + size, j : j + size] for i, j in shifts), np.zeros_like(mines, int))
