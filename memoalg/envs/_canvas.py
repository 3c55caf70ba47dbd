"""Drawing for `render`: shapes and text on a small RGB image, by Pillow."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8

# Okabe and Ito's palette: told apart with every kind of colour vision.
BLACK, GREY, PALE, WHITE = "#000000", "#7f7f7f", "#e5e5e5", "#ffffff"
ORANGE, SKY, GREEN, YELLOW = "#e69f00", "#56b4e9", "#009e73", "#f0e442"
BLUE, VERMILION, PURPLE = "#0072b2", "#d55e00", "#cc79a7"
SUIT_COLOURS = (BLACK, VERMILION, BLUE, GREEN)
SUIT_NAMES = "SDCH"
RANK_NAMES = ("A", "2", "3", "4", "5", "6", "7", "8", "9", "10", "J", "Q", "K")

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in pixels."""


class Canvas:
    """A white image to draw on; coordinates are pixels from the upper left corner.

    Raises:
        ModuleNotFoundError: Pillow is missing.
    """

    def __init__(self, width: int, height: int):
        try:
            from PIL import Image, ImageDraw, ImageFont
        except ModuleNotFoundError:
            raise ModuleNotFoundError(
                'render needs Pillow; pip install "memoalg[render]"'
            ) from None
        self._image: Any = Image.new("RGB", (width, height), WHITE)
        self._draw: Any = ImageDraw.Draw(self._image)
        self._font = ImageFont.load_default

    def rectangle(self, box: Box, fill: str, outline: str | None = None, round: int = 0) -> None:
        """Fill a box, with rounded corners of radius `round`."""
        self._draw.rounded_rectangle(box, round, fill=fill, outline=outline)

    def circle(self, centre: tuple[float, float], radius: float, fill: str) -> None:
        """Fill a circle."""
        (x, y), r = centre, radius
        self._draw.ellipse((x - r, y - r, x + r, y + r), fill=fill)

    def line(self, points: Sequence[tuple[float, float]], fill: str, width: int = 2) -> None:
        """Join points by straight lines."""
        self._draw.line(list(points), fill=fill, width=width, joint="curve")

    def text(
        self,
        at: tuple[float, float],
        text: str,
        size: int = 12,
        fill: str = BLACK,
        anchor: str = "mm",
    ) -> None:
        """Write text; `anchor` is Pillow's: "mm" centres it, "lt" begins at the upper left."""
        self._draw.text(at, text, fill=fill, anchor=anchor, font=self._font(size))

    def card(self, box: Box, face: str | None, fill: str = BLACK) -> None:
        """A playing card with its face's text, or its back where `face` is None."""
        self.rectangle(box, WHITE if face is not None else SKY, GREY, round=4)
        if face is not None:
            left, top, right, bottom = box
            size = max(8, int((right - left) * (0.6 if len(face) == 1 else 0.4)))
            self.text(((left + right) / 2, (top + bottom) / 2), face, size, fill)

    def suit(self, box: Box, suit: int | None) -> None:
        """A card that shows a suit, 0..3, or its back."""
        face = None if suit is None else SUIT_NAMES[suit]
        self.card(box, face, BLACK if suit is None else SUIT_COLOURS[suit])

    def bar(self, box: Box, fraction: float, fill: str = BLUE) -> None:
        """A horizontal bar that is filled from the left."""
        left, top, right, bottom = box
        self.rectangle(box, PALE)
        fraction = min(max(float(fraction), 0.0), 1.0)
        if fraction > 0:
            self.rectangle((left, top, left + fraction * (right - left), bottom), fill)

    def image(self) -> UInt8[np.ndarray, "height width 3"]:
        """What was drawn."""
        return np.asarray(self._image, np.uint8).copy()
