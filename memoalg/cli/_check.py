"""`memoalg check`."""

import dataclasses
from collections.abc import Sequence

from tyro.conf import Positional

import memoalg as ma

from ._errors import RunError, told_as_usage
from ._parse import parse
from ._subject import find_subject


@dataclasses.dataclass(frozen=True)
class Check:
    """Check the laws of a monoid, or the protocol of a layer, and print what was checked.

    Attributes:
        target: `package.module:Name` or `path/to/file.py:Name`; a class or function,
            which is called, or an instance.
        args: Arguments of the constructor, as Python literals; a layer's `key` is given to it.
        deep: More cases and more lengths.
        seed: Of what is drawn.
    """

    target: Positional[str]
    args: tuple[str, ...] = ()
    deep: bool = False
    seed: int = 0


def run(argv: Sequence[str]) -> None:
    """Prints the laws that hold; the first that fails is an error."""
    options = parse(Check, argv, "check")
    with told_as_usage():
        subject = find_subject("check", options.target, options.args)
    try:
        if isinstance(subject, ma.AbstractSemigroup):
            report = ma.laws.check(subject, deep=options.deep, seed=options.seed)
        else:
            report = ma.laws.check_layer(subject, seed=options.seed)
    except ma.laws.LawError as error:
        # The whole message, laid out in lines; the status says that it failed.
        print(error)
        raise RunError(f"check: {options.target} breaks a law") from error
    print(report)
