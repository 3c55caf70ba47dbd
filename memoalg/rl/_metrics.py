"""Rows of a run: one JSON line per update and seed, the same bytes whenever the run is repeated."""

import json
import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

Row = dict[str, Any]

# The host counts with Python's integers, which do not wrap.
_COUNTED_BY_THE_HOST = ("update", "frames")


def metric_rows(
    metrics: PyTree, first_update: int, count: int, frames_per_update: int
) -> list[Row]:
    """Turns the stacked metrics of a chunk into rows, update by update, seed by seed.

    Args:
        metrics: what the updates reported; every leaf on the host, of shape `(updates, seeds)`.
        first_update: number of updates before the chunk.
        count: how many of the leading updates count.
        frames_per_update: environment steps of one seed in one update.

    Returns:
        Rows with `update`, `steps`, `seed`, `return` and `length` (means over the episodes that
        ended, None without any) and then every metric under its own name.
    """
    columns = _columns(metrics)
    seeds = next(iter(columns.values())).shape[1] if columns else 0
    return [
        {
            "update": first_update + i + 1,
            "steps": (first_update + i + 1) * frames_per_update,
            "seed": seed,
            "return": _mean(columns, "return_sum", i, seed),
            "length": _mean(columns, "length_sum", i, seed),
            **{name: plain(column[i, seed]) for name, column in columns.items()},
        }
        for i in range(count)
        for seed in range(seeds)
    ]


def _columns(metrics: PyTree) -> dict[str, np.ndarray]:
    flat = jax.tree_util.tree_flatten_with_path(metrics)[0]
    named = {jax.tree_util.keystr(p, simple=True, separator="."): np.asarray(x) for p, x in flat}
    return {name: x for name, x in named.items() if name not in _COUNTED_BY_THE_HOST}


def _mean(columns: dict[str, np.ndarray], name: str, i: int, seed: int) -> Any:
    if "episodes" not in columns or name not in columns or columns["episodes"][i, seed] == 0:
        return None
    return plain(np.float32(columns[name][i, seed] / columns["episodes"][i, seed]))


def plain(value: Any) -> Any:
    """A numpy scalar as strict JSON: shortest decimal of its own precision, None if not finite.

    >>> plain(np.float32(0.1)), plain(np.float32("nan")), plain(np.int32(3))
    (0.1, None, 3)
    """
    if np.issubdtype(value.dtype, np.floating):
        # float(np.float32(0.1)) is 0.10000000149011612: true, but nobody wrote that.
        return float(str(value)) if math.isfinite(value) else None
    return value.item()


class RowFile:
    """An append-only file of JSON lines.

    Args:
        path: the file; made if absent. Rows that are there already stay.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = open(path, "ab")  # noqa: SIM115  (closed by `close`)

    def append(self, rows: Iterable[Row]) -> None:
        """Adds rows; each is one write of whole lines."""
        text = "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows)
        self._file.write(text.encode())
        self._file.flush()

    def sync(self) -> None:
        """Forces the rows to the disk: called before a checkpoint that counts on them."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def read_rows(path: str | os.PathLike[str]) -> list[Row]:
    """Reads the whole rows of a file of JSON lines; a last line that was cut off is left out.

    Args:
        path: the file; one that does not exist has no rows.

    Returns:
        The rows in order.

    >>> read_rows("no/such/file")
    []
    """
    path = Path(path)
    if not path.exists():
        return []
    rows = []
    for line in path.read_bytes().splitlines(keepends=True):
        row = _parse(line)
        if row is None:
            break
        rows.append(row)
    return rows


def _parse(line: bytes) -> Row | None:
    try:
        return json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None


def keep_rows(path: str | os.PathLike[str], rows: Sequence[Row]) -> None:
    """Replaces a file of JSON lines by fewer rows, atomically."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with open(temporary, "wb") as file:
        file.write("".join(json.dumps(row, allow_nan=False) + "\n" for row in rows).encode())
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def stack_rows(rows: Sequence[Row], name: str, seeds: int) -> np.ndarray:
    """One metric of all rows as an array.

    Args:
        rows: complete updates, in order.
        name: the metric.
        seeds: seeds per update.

    Returns:
        float64 of shape `(seeds, updates)`; None became NaN.

    >>> stack_rows([{"loss": 1.0}, {"loss": None}], "loss", seeds=1)
    array([[ 1., nan]])
    """
    values = [math.nan if row[name] is None else row[name] for row in rows]
    return np.asarray(values, np.float64).reshape(-1, seeds).T
