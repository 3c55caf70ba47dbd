"""`memoalg explain`."""

import dataclasses
import sys
from collections.abc import Sequence

import jax
import rich
from tyro.conf import Positional

import memoalg as ma

from ._errors import UsageError, told_as_usage
from ._parse import parse


@dataclasses.dataclass(frozen=True)
class Explain:
    """Print the algebra of a memory model: tree, sizes, and how it would be executed.

    Attributes:
        model: Name of the model; `memoalg models` lists them.
        length: Time steps to plan for.
        width: Size of input, output and state.
        depth: Layers.
    """

    model: Positional[str]
    length: int = 1024
    width: int = 128
    depth: int = 1


def run(argv: Sequence[str]) -> None:
    """Prints what `memoalg.explain` says of every monoid in the model."""
    options = parse(Explain, argv, "explain")
    if options.length < 0:
        raise UsageError(f"explain: --length is a number of steps, got {options.length}")
    width = options.width
    with told_as_usage():
        model = ma.nn.make(
            options.model,
            in_size=width,
            out_size=width,
            width=width,
            depth=options.depth,
            key=jax.random.key(0),
        )
    found = [x for x in jax.tree.leaves(model, is_leaf=_is_memoroid) if _is_memoroid(x)]
    if not found:
        print(f"{options.model} has no monoid: it runs step by step, or has no memory at all")
    for layer in found:
        print(type(layer).__name__)
        _show(ma.explain(layer.monoid, length=options.length, show=False))


def _is_memoroid(node: object) -> bool:
    return isinstance(node, ma.nn.AbstractMemoroid)


def _show(explanation: ma.Explanation) -> None:
    # To a file or a pipe goes the plain text, unwrapped.
    if sys.stdout.isatty():
        rich.print(explanation)
    else:
        print(explanation)
