"""`memoalg study`."""

import dataclasses
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from tyro.conf import Positional

from memoalg import rl
from memoalg.rl._study import StudyError
from memoalg.rl._study_file import read_study
from memoalg.rl._study_run import study
from memoalg.rl._study_table import StudyResult

from ._errors import RunError, told_as_usage
from ._parse import parse


@dataclasses.dataclass(frozen=True)
class StudyOptions:
    """Train every memory on every environment by every algorithm of a study file, or continue.

    Called again, the study goes on where it stopped: finished cells are skipped, begun ones
    continued.

    Attributes:
        file: A study file (TOML); `examples/study.toml` is one.
        out: Folder of the study; by default the file's name in `studies/`.
        jobs: Cells worked on at once; by default 1 on a CPU, and otherwise one per device.
        retry: Try cells again that failed before.
        quiet: Show no progress.
    """

    file: Positional[Path]
    out: Path | None = None
    jobs: int | None = None
    retry: bool = False
    quiet: bool = False


def run(argv: Sequence[str]) -> None:
    """Runs the study; progress goes to the standard error stream, the summary to the output."""
    options = parse(StudyOptions, argv, "study")
    folder = options.out or Path("studies") / options.file.stem
    result = _run(options, folder)
    print(result)
    if result.failures:
        count = len(result.failures)
        raise RunError(f"{count} cells failed; memoalg study --retry tries them again")


def _run(options: StudyOptions, folder: Path) -> StudyResult:
    try:
        with told_as_usage(StudyError, FileNotFoundError, rl.FitArgumentError):
            return study(
                read_study(options.file),
                folder,
                jobs=options.jobs,
                retry=options.retry,
                progress=rl.NoProgress() if options.quiet else None,
            )
    except OSError as error:
        raise RunError(str(error)) from error
    except KeyboardInterrupt:
        again = shlex.join(["memoalg", "study", str(options.file), "--out", str(folder)])
        print(f"to go on: {again}", file=sys.stderr)
        raise
