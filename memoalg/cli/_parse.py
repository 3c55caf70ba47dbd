"""Options from a dataclass, by tyro; a wrong one becomes one line."""

import contextlib
import io
from collections.abc import Callable, Sequence
from typing import TypeVar, cast

import tyro

from ._errors import UsageError

Options = TypeVar("Options")


def parse(
    options: Callable[..., Options],
    argv: Sequence[str],
    command: str,
    default: Options | None = None,
) -> Options:
    """Reads command-line options into a dataclass.

    Args:
        options: the dataclass, or a generic one with its parameter; its fields' types, defaults
            and documentation make the options.
        argv: the arguments.
        command: such as `"train"`, for the help.
        default: what holds for options that are not given; None takes the dataclass's defaults.

    Returns:
        The options.

    Raises:
        UsageError: an option is unknown or its value cannot be read.
        SystemExit: with status 0, after `--help`.
    """
    told = io.StringIO()
    try:
        with contextlib.redirect_stderr(told):
            read = tyro.cli(
                cast(type[Options], options),
                args=list(argv),
                prog=f"memoalg {command}",
                default=default,
                config=(tyro.conf.OmitArgPrefixes,),
            )
            return cast(Options, read)
    except SystemExit as error:
        if not error.code:
            raise
        reason = condense(told.getvalue())
        raise UsageError(f"{command}: {reason} (memoalg {command} --help lists all)") from None


def condense(box: str) -> str:
    """What a boxed message of tyro says, in one line.

    Args:
        box: its text: a title, the reason, then sections below rules.

    Returns:
        The reason, and the options that are near to a misspelt one.

    >>> condense("╭─ Unrecognized ──╮\\n│ No such: --foo  │\\n╰─────────────────╯")
    'No such: --foo'
    """
    sections: list[list[str]] = [[]]
    for line in box.splitlines():
        text = line.strip("│╭╮╰╯ ")
        # In a box of lines the title is part of the first rule, in one of ASCII it stands above it.
        if text.startswith("─") or (text and not text.strip("-")):
            sections.append([])
        elif text:
            sections[-1].append(text)
    if len(sections) > 1:
        sections = [section for section in sections[1:] if section]
    if not sections:
        return " ".join(box.split())
    reason = " ".join(sections[0])
    near = [
        line.split()[0].rstrip(",")
        for section in sections[1:]
        if section[0].startswith("Perhaps")
        for line in section
        if line.startswith("--")
    ]
    return f"{reason}; nearest: {', '.join(near)}" if near else reason
