"""What a process of a study does: one cell, which is given on the standard input."""

import pickle
import sys

import jax

from ._progress import NoProgress
from ._study_cell import run_cell
from ._study_workers import INTERRUPTED


def main() -> int:
    """Works on the cell; its folder says how that went.

    Returns:
        The exit status.
    """
    try:
        cell, study, path, x64 = pickle.load(sys.stdin.buffer)
        jax.config.update("jax_enable_x64", x64)
        run_cell(cell, study, path, NoProgress())
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
