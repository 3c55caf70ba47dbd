"""Checkpoints of a run: written atomically, the newest and the best kept, damaged ones set aside."""

import os
import re
import warnings
from pathlib import Path
from typing import Any

from jaxtyping import PyTree

from ._checkpoint_file import Checkpoint as Checkpoint
from ._checkpoint_file import CheckpointError as CheckpointError
from ._checkpoint_file import DamagedCheckpointError as DamagedCheckpointError
from ._checkpoint_file import encode, read_file, read_score, restore

_PATTERN = re.compile(r"checkpoint-(\d+)\.ckpt")


def save_checkpoint(
    folder: str | os.PathLike[str],
    state: PyTree,
    *,
    update: int,
    config: Any = None,
    keep: int = 2,
    score: float | None = None,
) -> Path:
    """Writes a state to `folder/checkpoint-<update>.ckpt` and keeps the newest `keep` files.

    The file with the highest score stays besides, however old it is.

    The bytes go to a temporary file in the same folder, are forced to the disk and only then take
    the final name. Whatever interrupts this, the checkpoints written before stay as they were.

    Args:
        folder: where the checkpoints of one run lie; made if absent.
        state: a pytree of arrays and typed PRNG keys.
        update: number of updates that led to the state.
        config: plain JSON that `load_checkpoint` compares.
        keep: how many of the newest checkpoints to keep, at least 1.
        score: how good the state is, if that is known: its mean evaluation return.

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
    parts = encode(state, update=update, config=config, score=score)
    temporary = folder / f".{path.name}.{os.getpid()}.tmp"
    try:
        with open(temporary, "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(folder)
    best = best_checkpoint(folder)
    for old in checkpoint_paths(folder)[:-keep]:
        if best is None or old != best[0]:
            old.unlink(missing_ok=True)
    return path


def best_checkpoint(folder: str | os.PathLike[str]) -> tuple[Path, float] | None:
    """The checkpoint with the highest score in a folder, the newest of equals; None if none has one.

    Args:
        folder: where the checkpoints of one run lie.

    Returns:
        Its path and its score.

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> for update, score in [(1, 0.5), (2, 0.9), (3, 0.1), (4, None)]:
    ...     _ = save_checkpoint(folder, {}, update=update, score=score, keep=1)
    >>> path, score = best_checkpoint(folder)
    >>> path.name, score, len(checkpoint_paths(folder))
    ('checkpoint-00000002.ckpt', 0.9, 2)
    """
    scores = [(read_score(path), path) for path in checkpoint_paths(folder)]
    known = [(score, path) for score, path in scores if score is not None]
    if not known:
        return None
    score, path = max(known)
    return path, score


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
        return restore(path, *read_file(path), like, config)
    candidates = checkpoint_paths(path)
    if not candidates:
        raise FileNotFoundError(f"there is no checkpoint in {path}")
    damaged: list[Path] = []
    for candidate in reversed(candidates):
        try:
            header, payload = read_file(candidate)
        except DamagedCheckpointError:
            damaged.append(candidate)
            continue
        checkpoint = restore(candidate, header, payload, like, config)
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
