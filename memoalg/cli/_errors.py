"""Mistakes of the user, told in one line; faults of the program keep their traceback."""

import contextlib
from collections.abc import Iterator


class UsageError(Exception):
    """What was asked for is impossible."""

    status = 2


class RunError(Exception):
    """What was asked for was possible, and failed on the way."""

    status = 1


@contextlib.contextmanager
def told_as_usage(*kinds: type[Exception]) -> Iterator[None]:
    """Turns errors about the user's input into a `UsageError`.

    Wrapped around what checks input and nothing else: a ValueError out of the middle of a
    computation is a fault of the program, and its traceback is needed.

    Args:
        kinds: the errors meant; none: those that the library's constructors raise.
    """
    kinds = kinds or (ValueError, TypeError, FileNotFoundError, FileExistsError)
    try:
        yield
    except ModuleNotFoundError as error:
        # Only the library's own messages name the extra to install.
        if "pip install" not in str(error):
            raise
        raise UsageError(str(error)) from error
    except kinds as error:
        raise UsageError(str(error)) from error


def one_line(error: object) -> str:
    """The message of an error without line breaks.

    >>> one_line(ValueError("a\\n   b"))
    'a b'
    """
    return " ".join(str(error).split())
