"""Checkpoints: one file per state, written atomically, recognised when damaged."""

import hashlib
import json
import os
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import jax
import numpy as np
from jaxtyping import PyTree

from ._describe import differences

MAGIC = b"memoalg checkpoint\n"
FORMAT_VERSION = 1
_DIGEST_BYTES = 32
_PATTERN = re.compile(r"checkpoint-(\d+)\.ckpt")
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
    """

    state: Any
    update: int
    config: Any
    path: Path


def save_checkpoint(
    folder: str | os.PathLike[str], state: PyTree, *, update: int, config: Any = None, keep: int = 2
) -> Path:
    """Writes a state to `folder/checkpoint-<update>.ckpt` and keeps the newest `keep` files.

    The bytes go to a temporary file in the same folder, are forced to the disk and only then take
    the final name. Whatever interrupts this, the checkpoints written before stay as they were.

    Args:
        folder: where the checkpoints of one run lie; made if absent.
        state: a pytree of arrays and typed PRNG keys.
        update: number of updates that led to the state.
        config: plain JSON that `load_checkpoint` compares.
        keep: how many checkpoints to keep, at least 1.

    Returns:
        The path of the new file.

    Raises:
        OSError: the file could not be written (a full disk); nothing was lost.

    >>> import tempfile, jax.numpy as jnp
    >>> folder = tempfile.mkdtemp()
    >>> save_checkpoint(folder, {"x": jnp.zeros(3)}, update=7).name
    'checkpoint-00000007.ckpt'
    >>> load_checkpoint(folder, {"x": jnp.zeros(3)}).update
    7
    """
    if keep < 1:
        raise ValueError(f"keep must be at least 1, got {keep}: the last checkpoint is never lost")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"checkpoint-{update:08d}.ckpt"
    leaves = _leaves_on_host(state)
    header = {
        "format_version": FORMAT_VERSION,
        "update": update,
        "config": config,
        "leaves": [record for record, _ in leaves],
    }
    temporary = folder / f".{path.name}.{os.getpid()}.tmp"
    try:
        with open(temporary, "wb") as file:
            _write(file, header, [array for _, array in leaves])
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(folder)
    for old in checkpoint_paths(folder)[:-keep]:
        old.unlink(missing_ok=True)
    return path


def load_checkpoint(
    path: str | os.PathLike[str], like: PyTree, *, config: Any = None
) -> Checkpoint:
    """Reads a checkpoint file, or the newest good one of a folder.

    A damaged file is passed over with one warning, the one written before it is used, and the
    damaged one is renamed to `*.damaged`, so that it is not counted among those that are kept.

    Args:
        path: a checkpoint file, or the folder that holds a run's checkpoints.
        like: a state of the same structure; `jax.ShapeDtypeStruct` leaves (from `jax.eval_shape`)
            are enough.
        config: the description of the run that is to be continued; None skips the comparison.

    Returns:
        The state on the default device, with its counters and configuration.

    Raises:
        FileNotFoundError: there is no checkpoint.
        DamagedCheckpointError: no checkpoint there is whole.
        CheckpointError: it belongs to another configuration or another format; the message names
            what differs.

    >>> import tempfile, jax, jax.numpy as jnp
    >>> folder = tempfile.mkdtemp()
    >>> _ = save_checkpoint(folder, {"key": jax.random.key(3)}, update=1)
    >>> load_checkpoint(folder, {"key": jax.random.key(0)}).state["key"]
    Array((), dtype=key<fry>) overlaying:
    [0 3]
    """
    path = Path(path)
    if path.is_file():
        return _restore(path, *_read(path), like, config)
    candidates = checkpoint_paths(path)
    if not candidates:
        raise FileNotFoundError(f"there is no checkpoint in {path}")
    damaged: list[Path] = []
    for candidate in reversed(candidates):
        try:
            header, payload = _read(candidate)
        except DamagedCheckpointError:
            damaged.append(candidate)
            continue
        checkpoint = _restore(candidate, header, payload, like, config)
        _set_aside(damaged, candidate)
        return checkpoint
    raise DamagedCheckpointError(f"none of the {len(candidates)} checkpoints in {path} is whole")


def _set_aside(damaged: list[Path], used: Path) -> None:
    if not damaged:
        return
    for path in damaged:
        path.rename(path.with_suffix(".damaged"))
    names = ", ".join(path.name for path in damaged)
    warnings.warn(
        f"damaged checkpoint in {used.parent}: {names}; {used.name}, written before, is used",
        stacklevel=3,
    )


def checkpoint_paths(folder: str | os.PathLike[str]) -> list[Path]:
    """Lists a folder's checkpoint files, oldest first.

    >>> checkpoint_paths("no/such/folder")
    []
    """
    found = [(_PATTERN.fullmatch(p.name), p) for p in sorted(Path(folder).glob("*.ckpt"))]
    return [p for _, p in sorted((int(match[1]), p) for match, p in found if match)]


def clean_up(folder: str | os.PathLike[str]) -> None:
    """Removes what an interrupted write left behind (`.checkpoint-….tmp`)."""
    for leftover in Path(folder).glob(".checkpoint-*.tmp"):
        leftover.unlink(missing_ok=True)


# Writing


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


def _write(file: BinaryIO, header: dict[str, Any], arrays: list[np.ndarray]) -> None:
    digest = hashlib.sha256()
    head = json.dumps(header, allow_nan=False).encode()
    for part in (MAGIC, len(head).to_bytes(8, "little"), head, *map(np.ndarray.tobytes, arrays)):
        digest.update(part)
        file.write(part)
    file.write(digest.digest())
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    # The new name itself must reach the disk; some systems cannot open a folder for that.
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# Reading


def _read(path: Path) -> tuple[dict[str, Any], bytes]:
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


def _restore(
    path: Path, header: dict[str, Any], payload: bytes, like: PyTree, config: Any
) -> Checkpoint:
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
    return Checkpoint(state, header["update"], header["config"], path)


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
