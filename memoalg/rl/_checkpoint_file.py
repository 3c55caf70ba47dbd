"""The file format of a checkpoint: magic word, header (JSON), arrays, digest of all before it."""

import hashlib
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from ._describe import differences

MAGIC = b"memoalg checkpoint\n"
FORMAT_VERSION = 1
_DIGEST_BYTES = 32
_MAX_DIFFERENCES = 8


class CheckpointError(ValueError):
    """A checkpoint that cannot be used for what was asked; the message says why."""


class DamagedCheckpointError(CheckpointError):
    """A checkpoint file whose bytes are not those that were written."""


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint file holds.

    Attributes:
        state: the training state, as it was handed to `save_checkpoint`.
        update: number of updates that led to it.
        config: the description of the run (plain JSON).
        path: the file it was read from.
        score: the mean evaluation return of the state, where it was evaluated.
    """

    state: Any
    update: int
    config: Any
    path: Path
    score: float | None = None


# Writing


def encode(state: PyTree, *, update: int, config: Any, score: float | None) -> Iterator[bytes]:
    """The bytes of a checkpoint file, part by part; the state is on the host when this returns.

    Args:
        state: a pytree of arrays and typed PRNG keys.
        update: number of updates that led to it.
        config: the description of the run, plain JSON.
        score: its mean evaluation return, if it was evaluated.
    """
    leaves = _leaves_on_host(state)
    header = {
        "format_version": FORMAT_VERSION,
        "update": update,
        "config": config,
        "score": score,
        "leaves": [record for record, _ in leaves],
    }
    head = json.dumps(header, allow_nan=False).encode()
    return _with_digest([MAGIC, len(head).to_bytes(8, "little"), head], [a for _, a in leaves])


def _with_digest(parts: Sequence[bytes], arrays: Sequence[np.ndarray]) -> Iterator[bytes]:
    digest = hashlib.sha256()
    for part in itertools.chain(parts, map(np.ndarray.tobytes, arrays)):
        digest.update(part)
        yield part
    yield digest.digest()


def _leaves_on_host(state: PyTree) -> list[tuple[dict[str, Any], np.ndarray]]:
    paths_and_leaves = jax.tree_util.tree_flatten_with_path(state)[0]
    raw = [jax.random.key_data(leaf) if _is_key(leaf) else leaf for _, leaf in paths_and_leaves]
    records = [_record(path, leaf) for path, leaf in paths_and_leaves]
    return list(zip(records, map(np.asarray, jax.device_get(raw)), strict=True))


def _record(path: tuple[Any, ...], leaf: Any) -> dict[str, Any]:
    record = {
        "path": jax.tree_util.keystr(path, simple=True, separator="."),
        "dtype": str(leaf.dtype),
        "shape": list(leaf.shape),
    }
    if _is_key(leaf) and isinstance(leaf, jax.Array):
        # What equinox and numpy cannot store: a typed key is its words and the generator's name.
        record["key_implementation"] = str(jax.random.key_impl(leaf))
    return record


def _is_key(leaf: Any) -> bool:
    return jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key)


# Reading


def read_file(path: Path) -> tuple[dict[str, Any], bytes]:
    """The header and the bytes of the arrays of a whole file."""
    data = path.read_bytes()
    body, digest = data[:-_DIGEST_BYTES], data[-_DIGEST_BYTES:]
    if not body.startswith(MAGIC) or hashlib.sha256(body).digest() != digest:
        raise DamagedCheckpointError(f"the checkpoint {path} is damaged")
    start = len(MAGIC) + 8
    length = int.from_bytes(body[len(MAGIC) : start], "little")
    header = json.loads(body[start : start + length])
    if header["format_version"] != FORMAT_VERSION:
        raise CheckpointError(
            f"the checkpoint {path} has format version {header['format_version']}, "
            f"this memoalg reads version {FORMAT_VERSION}"
        )
    return header, body[start + length :]


def restore(
    path: Path, header: dict[str, Any], payload: bytes, like: PyTree, config: Any
) -> Checkpoint:
    """The checkpoint, once it fits what is asked for (see `load_checkpoint`)."""
    if config is not None:
        _refuse(path, "another configuration", differences(header["config"], config))
    flat, treedef = jax.tree_util.tree_flatten_with_path(like)
    requested = [_record(key_path, leaf) for key_path, leaf in flat]
    _refuse(path, "another state", _leaf_differences(header["leaves"], requested))
    leaves, offset = [], 0
    for record in header["leaves"]:
        leaf, offset = _read_leaf(record, payload, offset)
        leaves.append(leaf)
    state = jax.tree_util.tree_unflatten(treedef, leaves)
    return Checkpoint(state, header["update"], header["config"], path, header.get("score"))


def _read_leaf(record: dict[str, Any], payload: bytes, offset: int) -> tuple[Any, int]:
    implementation = record.get("key_implementation")
    shape = tuple(record["shape"])
    if implementation is None:
        dtype, wrap = jax.numpy.dtype(record["dtype"]), _as_it_is
    else:
        words = jax.eval_shape(jax.random.key_data, jax.random.key(0, impl=implementation))
        dtype, shape, wrap = words.dtype, shape + words.shape, _KeyWrapper(implementation)
    count = int(np.prod(shape, dtype=np.int64))
    raw = np.frombuffer(payload, dtype, count, offset).reshape(shape)
    # `frombuffer` is a read-only view; the copy lets the device own (and donate) its memory.
    return wrap(jax.device_put(raw.copy())), offset + raw.nbytes


def _as_it_is(leaf: jax.Array) -> jax.Array:
    return leaf


@dataclass(frozen=True)
class _KeyWrapper:
    implementation: str

    def __call__(self, words: jax.Array) -> jax.Array:
        return jax.random.wrap_key_data(words, impl=self.implementation)


def _leaf_differences(saved: list[dict[str, Any]], requested: list[dict[str, Any]]) -> list[str]:
    before = {r["path"]: _signature(r) for r in saved}
    now = {r["path"]: _signature(r) for r in requested}
    if before == now and [*before] != [*now]:
        return ["the leaves come in another order"]
    return [
        f"{path}: saved {before.get(path, 'nothing')}, requested {now.get(path, 'nothing')}"
        for path in {**before, **now}
        if before.get(path) != now.get(path)
    ]


def _signature(record: dict[str, Any]) -> str:
    return f"{record['dtype']}[{','.join(map(str, record['shape']))}]"


def _refuse(path: Path, what: str, lines: list[str]) -> None:
    if not lines:
        return
    more = len(lines) - _MAX_DIFFERENCES
    shown = lines[:_MAX_DIFFERENCES] + ([f"and {more} more"] if more > 0 else [])
    raise CheckpointError(f"the checkpoint {path} belongs to {what}: {'; '.join(shown)}")


def read_score(path: Path) -> float | None:
    """From the header alone: a state may be large."""
    try:
        with open(path, "rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                return None
            length = int.from_bytes(file.read(8), "little")
            return json.loads(file.read(length)).get("score")
    except (OSError, ValueError, OverflowError, MemoryError):
        return None  # a damaged file, which loading will name
