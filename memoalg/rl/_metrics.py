"""Rows of a run: one JSON line per update and member, the same bytes whenever it is repeated."""

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

Row = dict[str, Any]

# The host counts with Python's integers, which do not wrap.
_COUNTED_BY_THE_HOST = ("update", "frames")


def metric_rows(
    metrics: PyTree,
    first_update: int,
    count: int,
    frames_per_update: int,
    labels: Sequence[Mapping[str, Any]],
) -> list[Row]:
    """Turns the stacked metrics of a chunk into rows, update by update, member by member.

    Args:
        metrics: what the updates reported; every leaf on the host, of shape `(updates, members)`.
        first_update: number of updates before the chunk.
        count: how many of the leading updates count.
        frames_per_update: environment steps of one member in one update.
        labels: what marks the rows of each member, such as `{"seed": 0}`.

    Returns:
        Rows with `update`, `steps`, the member's label, `return` and `length` (means over the
        episodes that ended, None without any) and then every metric under its own name.
    """
    columns = _columns(metrics)
    return [
        {
            "update": first_update + i + 1,
            "steps": (first_update + i + 1) * frames_per_update,
            **label,
            "return": _mean(columns, "return_sum", i, member),
            "length": _mean(columns, "length_sum", i, member),
            **{name: plain(column[i, member]) for name, column in columns.items()},
        }
        for i in range(count)
        for member, label in enumerate(labels)
    ]


def _columns(metrics: PyTree) -> dict[str, np.ndarray]:
    flat = jax.tree_util.tree_flatten_with_path(metrics)[0]
    named = {jax.tree_util.keystr(p, simple=True, separator="."): np.asarray(x) for p, x in flat}
    return {name: x for name, x in named.items() if name not in _COUNTED_BY_THE_HOST}


def _mean(columns: dict[str, np.ndarray], name: str, i: int, member: int) -> Any:
    if "episodes" not in columns or name not in columns or columns["episodes"][i, member] == 0:
        return None
    return plain(np.float32(columns[name][i, member] / columns["episodes"][i, member]))


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


def stack_rows(rows: Sequence[Row], name: str, members: int) -> np.ndarray:
    """One metric of all rows as an array.

    Args:
        rows: complete updates, in order.
        name: the metric.
        members: rows of one update: seeds, times the points of a sweep.

    Returns:
        float64 of shape `(members, updates)`; None became NaN.

    >>> stack_rows([{"loss": 1.0}, {"loss": None}], "loss", members=1)
    array([[ 1., nan]])
    """
    values = [math.nan if row[name] is None else row[name] for row in rows]
    return np.asarray(values, np.float64).reshape(-1, members).T


class History:
    """All rows of a run as arrays: a long run of many members would not fit in memory as rows.

    Args:
        members: rows of one update.
    """

    def __init__(self, members: int) -> None:
        self._members = members
        self._parts: dict[str, list[np.ndarray]] = {}

    def append(self, rows: Sequence[Row]) -> None:
        """Adds rows of complete updates."""
        for name in rows[0] if rows else ():
            self._parts.setdefault(name, []).append(stack_rows(rows, name, self._members))

    def arrays(self) -> dict[str, np.ndarray]:
        """Every metric, float64 of shape `(members, updates)`."""
        return {name: np.concatenate(parts, axis=1) for name, parts in self._parts.items()}


def member_returns(rows: Sequence[Row], members: int) -> list[float]:
    """The mean return of each member some of whose episodes ended in these rows.

    Args:
        rows: complete updates.
        members: rows of one update.

    >>> member_returns([{"return": 1.0}, {"return": None}, {"return": 3.0}, {"return": None}], 2)
    [2.0]
    """
    known = [[row["return"] for row in rows[i::members]] for i in range(members)]
    kept = [[value for value in own if value is not None] for own in known]
    return [float(np.mean(own)) for own in kept if own]
