"""Which command is which module, and how mistakes are told."""

import difflib
import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.util import find_spec

from ._errors import RunError, UsageError, one_line

# A command's module is imported when it is called: `memoalg --help` needs no jax.
COMMANDS = {
    "train": "train an agent with a memory, or continue a run",
    "study": "train a grid of memories, environments and algorithms, or continue it",
    "eval": "play complete episodes with a trained agent, or watch one",
    "plot": "draw learning curves, performance profiles or aggregates of runs",
    "explain": "print what the library knows about a model's monoid",
    "check": "check the laws of a monoid, or of a layer, of your own",
    "bench": "count or time what a memory does on a GPU",
    "envs": "list the environments",
    "models": "list the memory models",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        argv: the arguments; None takes those of the process.

    Returns:
        The exit status: 0; 1 where a run failed; 2 where it was asked for something impossible; 130
        after Ctrl-C.

    >>> main(["--help"])
    usage: memoalg COMMAND ...
    0
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            return _dispatch(arguments)
        except (UsageError, RunError) as error:
            print(f"memoalg: {one_line(error)}", file=sys.stderr)
            return error.status
        except SystemExit as error:
            # tyro's way out after `--help`.
            return error.code if isinstance(error.code, int) else 0
        except KeyboardInterrupt as error:
            print(f"memoalg: {one_line(error) or 'stopped'}", file=sys.stderr)
            return 130


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage())
        return 0
    name, *rest = arguments
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, 1, 0.5)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(COMMANDS)}"
        raise UsageError(f"unknown command {name!r}; {hint}")
    if find_spec("tyro") is None:
        raise UsageError('the command line needs tyro: pip install "memoalg[cli]"')
    command = importlib.import_module(f"memoalg.cli._{name}")
    command.run(rest)
    return 0


def _usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, text in COMMANDS.items()]
    return "\n".join(
        ["usage: memoalg COMMAND ...", "", *lines, "", "memoalg COMMAND --help lists its options"]
    )


def _show_warning(message: Warning | str, *where: object, **more: object) -> None:
    """A warning in one line, without the source line that raised it."""
    print(f"memoalg: warning: {one_line(message)}", file=sys.stderr)
