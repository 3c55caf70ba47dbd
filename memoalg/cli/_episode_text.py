"""An episode in a terminal: two pixels per character, and a line about what happens."""

import sys
import time
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8

from ._episode import Frame
from ._episode_picture import caption

_WIDTH = 64  # characters


def show_episode(frames: Sequence[Frame], per_second: int) -> None:
    """Plays the frames on a terminal; elsewhere writes a line for each."""
    for frame in frames:
        line = _line(frame)
        if sys.stdout.isatty():
            # Home, and clear what the last frame left.
            print(f"\x1b[H\x1b[2J{blocks(frame.picture, _WIDTH)}\n{line}", flush=True)
            time.sleep(1 / per_second)
        else:
            print(line)


def _line(frame: Frame) -> str:
    return caption(frame) if frame.thought is None else f"{caption(frame)}  {frame.thought}"


def blocks(picture: UInt8[np.ndarray, "height width 3"], width: int) -> str:
    """A picture as lines of half blocks in 24-bit colours.

    Args:
        picture: RGB.
        width: characters in a line, at most one per pixel.

    Returns:
        Lines; a character is two pixels, one above the other.
    """
    size = max(1, -(-picture.shape[1] // width))
    height = picture.shape[0] // (2 * size) * 2 * size
    cut = picture[:height, : picture.shape[1] // size * size]
    # The mean of each square, so that thin lines do not vanish.
    small = cut.reshape(height // size, size, -1, size, 3).mean(axis=(1, 3)).astype(int)
    return "\n".join(
        "".join(map(_block, upper, lower)) + "\x1b[0m"
        for upper, lower in zip(small[::2], small[1::2], strict=True)
    )


def _block(upper: np.ndarray, lower: np.ndarray) -> str:
    front, back = (";".join(map(str, colour)) for colour in (upper, lower))
    return f"\x1b[38;2;{front}m\x1b[48;2;{back}m▀"
