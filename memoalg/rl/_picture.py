"""A matplotlib figure without global state, written in one piece."""

import os
from pathlib import Path
from typing import Any


def new_figure(width: float = 7.0, height: float = 4.2) -> Any:
    """An empty figure of this size in inches.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'pictures need matplotlib: pip install "memoalg[plot]"', name="matplotlib"
        ) from error
    # A Figure of its own, not pyplot: no global state, no window.
    return Figure(figsize=(width, height), layout="constrained")


def write_figure(figure: Any, path: Path) -> Path:
    """Writes a figure, atomically; the ending says the format.

    Raises:
        ValueError: matplotlib does not know the ending.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        figure.savefig(temporary, dpi=130)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
