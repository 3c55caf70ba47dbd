"""`memoalg models`: what there is, and what each costs."""

import dataclasses
from collections.abc import Sequence
from typing import Annotated

import equinox as eqx
import jax
from tyro.conf import Positional, arg

import memoalg as ma

from ._errors import UsageError
from ._parse import parse
from ._table import table

HEADER = (
    "name", "family", "numbers", "state B", "flops/step", "B/step",
    "flops/seq", "B/seq", "depth", "tracks", "block",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Models:
    """List the memory models that `--memory` knows, with what one block of each costs.

    Costs are counted in the traced program of one sequence, not measured: see `ma.nn.cost`.

    Attributes:
        part: List the models, or families, whose name contains this text; nothing lists all.
        width: Channels of the block, which are its inputs and outputs too.
        length: Steps of the sequence.
    """

    part: Positional[Annotated[str, arg(metavar="PART")]] = ""
    width: int = 128
    length: int = 1024


def run(argv: Sequence[str]) -> None:
    """Prints the table."""
    options = parse(Models, argv, "models")
    for what, size in (("width", options.width), ("length", options.length)):
        if size < 1:
            raise UsageError(f"models: --{what} must be at least 1, got {size}")
    part = options.part.lower()
    shown = [n for n, model in ma.nn.MODELS.items() if part in n or part in model.family]
    if not shown:
        raise UsageError(f"models: no name contains {options.part!r}; memoalg models lists all")
    print(table(HEADER, [_row(name, options.width, options.length) for name in shown]))


def _row(name: str, width: int, length: int) -> list[str]:
    """What `HEADER` says of one model."""
    model = ma.nn.MODELS[name]
    block = eqx.filter_eval_shape(lambda key: model.block(width, key), jax.random.key(0))
    found = ma.nn.cost(block, length)
    counts = (
        found.parameters, found.state_bytes, found.step_flops, found.step_bytes,
        found.flops, found.bytes, found.depth,
    )  # fmt: skip
    tracks, what = model.tracks.name.lower(), ma.nn.describe_model(name)
    return [name, model.family, *map(_short, counts), tracks, what]


def _short(number: int) -> str:
    """Three digits: 82300 is 82.3k."""
    if number < 1000:
        return str(number)
    power = min(4, (len(str(number)) - 1) // 3)
    return f"{number / 1000**power:.3g}{' kMGT'[power]}"
