"""An episode as a GIF, or as a sheet of frames."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ._episode import Frame
from ._errors import UsageError
from ._thought import Thought

_CAPTION = 16  # pixels below a frame
_PANEL = 96  # pixels beside it, where an agent plays
_BLUE, _ORANGE, _GREY = "#56b4e9", "#e69f00", "#7f7f7f"


def check_out(command: str, out: Path) -> None:
    """Refuses a file that cannot be written as a picture.

    Raises:
        UsageError: the ending is another, or there is no such folder.
    """
    if out.suffix not in (".gif", ".png"):
        raise UsageError(f"{command}: --out ends with .gif or .png, got {out}")
    if not out.parent.is_dir():
        raise UsageError(f"{command}: --out {out}: there is no folder {out.parent}")


def write_episode(frames: Sequence[Frame], out: Path, per_second: int, columns: int) -> None:
    """Writes frames.

    Args:
        frames: of one episode.
        out: `.gif`, or `.png` for a sheet.
        per_second: frames per second of a GIF, at most 100.
        columns: frames in a row of a sheet.
    """
    with_panel = any(frame.thought is not None for frame in frames)
    pictures = [_captioned(frame, with_panel) for frame in frames]
    if out.suffix == ".gif":
        rest, duration = pictures[1:], 1000 // per_second
        pictures[0].save(out, save_all=True, append_images=rest, duration=duration, loop=0)
    else:
        _sheet(pictures, columns).save(out)


def caption(frame: Frame) -> str:
    """Step, action, reward, and the return so far."""
    if not frame.step:
        return "t=0"
    return f"t={frame.step} a={frame.told} r={frame.reward:.3g} sum={frame.total:.3g}"


def _captioned(frame: Frame, with_panel: bool) -> Any:
    """The picture with a line below it, and a panel beside it."""
    from PIL import Image, ImageDraw

    height, width, _ = frame.picture.shape
    extra = _PANEL if with_panel else 0
    whole = Image.new("RGB", (width + extra, height + _CAPTION), "white")
    whole.paste(Image.fromarray(frame.picture), (0, 0))
    draw = ImageDraw.Draw(whole)
    draw.text((2, height + 2), caption(frame), fill="black")
    if frame.thought is not None:
        _panel(draw, frame.thought, width + 4, height)
    return whole


def _panel(draw: Any, thought: Thought, left: int, height: int) -> None:
    """The state's value, and a bar per action: from 0 for probabilities, else from the least."""
    draw.text((left, 2), f"V={thought.value:.2f}", fill="black")
    draw.text((left, 14), thought.what, fill=_GREY)
    numbers = np.array(thought.numbers)
    low, high = (0.0, 1.0) if thought.what == "probability" else (numbers.min(), numbers.max())
    room = _PANEL - 12
    step = min(16.0, (height - 30) / len(numbers))
    for i, share in enumerate((numbers - low) / max(high - low, 1e-9)):
        top = 30 + i * step
        color = _ORANGE if i == thought.chosen else _BLUE
        draw.rectangle((left, top, left + 1 + room * share, top + max(step - 3, 1)), fill=color)
        if step >= 12:
            draw.text((left + 2, top), f"{i}: {numbers[i]:.2f}", fill="black")


def _sheet(pictures: list[Any], columns: int) -> Any:
    """The pictures in rows, at most 5 of them: evenly spaced, first and last among them."""
    from PIL import Image

    most = 5 * columns
    if len(pictures) > most:
        chosen = np.linspace(0, len(pictures) - 1, most).round().astype(int)
        pictures = [pictures[i] for i in chosen]
    width, height = (side + 4 for side in pictures[0].size)
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * width, rows * height), "white")
    for i, picture in enumerate(pictures):
        sheet.paste(picture, (i % columns * width, i // columns * height))
    return sheet
