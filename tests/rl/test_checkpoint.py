"""Checkpoints: what goes in comes out, and nothing that happens on the way loses the last one."""

import errno
import os
from functools import partial
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memoalg.rl import (
    CheckpointError,
    DamagedCheckpointError,
    _checkpoint,
    _checkpoint_file,
    load_checkpoint,
    save_checkpoint,
)

from .fake_algorithm import FakeAlgorithm


def same(a, b):
    """Same structure, dtypes and bits, NaN included."""
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert x.dtype == y.dtype
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            x, y = jax.random.key_data(x), jax.random.key_data(y)
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes()
        assert x.shape == y.shape


LEAVES = {
    "float": jnp.array([1.5, jnp.nan, -jnp.inf, -0.0]),
    "bfloat16": jnp.array([1.5, 3.0], jnp.bfloat16),
    "complex": jnp.array([1 + 2j], jnp.complex64),
    "bool": jnp.array([True, False]),
    "scalar": jnp.array(7, jnp.uint32),
    "empty": jnp.zeros((0, 3)),
    "key": jax.random.key(5),
    "keys": jax.random.split(jax.random.key(5), 3),
    "rbg": jax.random.key(5, impl="rbg"),
    "old key": jax.random.key_data(jax.random.key(1)),
}


@pytest.mark.parametrize("name", LEAVES)
def test_every_kind_of_leaf_comes_back(name, tmp_path):
    state = {"leaf": LEAVES[name], "more": (jnp.arange(3),)}
    save_checkpoint(tmp_path, state, update=3, config={"a": 1})
    like = jax.eval_shape(lambda: state)
    found = load_checkpoint(tmp_path, like, config={"a": 1})
    same(found.state, state)
    assert (found.update, found.config) == (3, {"a": 1})


def test_restored_state_may_be_donated(tmp_path):
    state = {"x": jnp.arange(1000.0)}
    path = save_checkpoint(tmp_path, state, update=1)
    found = load_checkpoint(path, state)
    jax.block_until_ready(jax.jit(lambda s: {"x": s["x"] + 1}, donate_argnums=0)(found.state))
    same(load_checkpoint(path, state).state, state)


def test_the_newest_are_kept(tmp_path):
    for update in (9, 10, 11, 100):
        save_checkpoint(tmp_path, {"x": jnp.array(update)}, update=update, keep=2)
    names = [p.name for p in _checkpoint.checkpoint_paths(tmp_path)]
    assert names == ["checkpoint-00000011.ckpt", "checkpoint-00000100.ckpt"]
    assert load_checkpoint(tmp_path, {"x": jnp.array(0)}).update == 100


@pytest.mark.parametrize("keep", [0, -1])
def test_keep_must_leave_one(keep, tmp_path):
    with pytest.raises(ValueError, match="keep must be at least 1"):
        save_checkpoint(tmp_path, {}, update=1, keep=keep)


def cut_off(data):
    return data[:-40]


def emptied(data):
    return b""


def flipped(data):
    return data[:200] + bytes([data[200] ^ 1]) + data[201:]


def last_byte_flipped(data):
    return data[:-1] + bytes([data[-1] ^ 1])


def other_file(data):
    return b"something else" * 20


@pytest.mark.parametrize("damage", [cut_off, emptied, flipped, last_byte_flipped, other_file])
def test_a_damaged_checkpoint_is_passed_over(damage, tmp_path):
    like = {"x": jnp.arange(100)}
    for update in (1, 3):
        save_checkpoint(tmp_path, {"x": jnp.arange(100) + update}, update=update)
    newest = _checkpoint.checkpoint_paths(tmp_path)[-1]
    newest.write_bytes(damage(newest.read_bytes()))
    with pytest.warns(UserWarning, match=r"damaged checkpoint.*00000003.*00000001.*is used"):
        found = load_checkpoint(tmp_path, like)
    assert found.update == 1
    same(found.state, {"x": jnp.arange(100) + 1})
    # Set aside: it is not counted when the newest ones are kept, and there is no second warning.
    save_checkpoint(tmp_path, like, update=2, keep=1)
    assert load_checkpoint(tmp_path, like).update == 2


def test_without_a_whole_checkpoint_nothing_is_touched(tmp_path):
    save_checkpoint(tmp_path, {"x": jnp.zeros(3)}, update=1)
    path = _checkpoint.checkpoint_paths(tmp_path)[0]
    path.write_bytes(b"no")
    for _ in range(2):
        with pytest.raises(DamagedCheckpointError, match="none of the 1 checkpoints"):
            load_checkpoint(tmp_path, {"x": jnp.zeros(3)})
    with pytest.raises(DamagedCheckpointError, match="is damaged"):
        load_checkpoint(path, {"x": jnp.zeros(3)})


def test_no_checkpoint(tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint in"):
        load_checkpoint(tmp_path, {})


class FullDisk:
    """A file that takes `room` bytes and then fails as a full disk does."""

    def __init__(self, file, room):
        self.file, self.room = file, room

    @classmethod
    def open(cls, room, path, mode):
        return cls(Path(path).open(mode), room)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()

    def write(self, data):
        self.room -= len(data)
        if self.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.file.write(data)

    def __getattr__(self, name):
        return getattr(self.file, name)


@pytest.mark.parametrize("update", [1, 2])
@pytest.mark.parametrize("room", [0, 30, 400])
def test_a_full_disk_leaves_the_last_one(room, update, tmp_path, monkeypatch):
    state = {"x": jnp.arange(1000)}
    save_checkpoint(tmp_path, state, update=1, keep=1)
    with monkeypatch.context() as patch:
        full = partial(FullDisk.open, room)
        patch.setattr(_checkpoint, "open", full, raising=False)
        with pytest.raises(OSError, match="No space left"):
            save_checkpoint(tmp_path, state, update=update, keep=1)
    assert os.listdir(tmp_path) == ["checkpoint-00000001.ckpt"]
    same(load_checkpoint(tmp_path, state).state, state)


@pytest.mark.parametrize("stage", ["fsync", "replace"])
def test_an_interruption_leaves_the_last_one(stage, tmp_path, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    state = {"x": jnp.arange(10)}
    save_checkpoint(tmp_path, state, update=1, keep=1)
    with monkeypatch.context() as patch:
        patch.setattr(os, stage, interrupt)
        with pytest.raises(KeyboardInterrupt):
            save_checkpoint(tmp_path, state, update=2, keep=1)
    assert os.listdir(tmp_path) == ["checkpoint-00000001.ckpt"]


def test_what_a_killed_process_leaves_is_cleaned_up(tmp_path):
    save_checkpoint(tmp_path, {"x": jnp.zeros(2)}, update=1)
    (tmp_path / ".checkpoint-00000002.ckpt.123.tmp").write_bytes(b"half")
    assert load_checkpoint(tmp_path, {"x": jnp.zeros(2)}).update == 1
    _checkpoint.clean_up(tmp_path)
    assert os.listdir(tmp_path) == ["checkpoint-00000001.ckpt"]


def test_another_configuration_says_what_differs(tmp_path):
    saved = {"config": {"rate": 0.1, "width": 3}, "seeds": 1}
    path = save_checkpoint(tmp_path, {}, update=1, config=saved)
    asked = {"config": {"rate": 0.2, "width": 3}, "seeds": 2}
    message = r"another configuration: config.rate: saved 0.1, requested 0.2; seeds: saved 1, req"
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(path, {}, config=asked)


@pytest.mark.parametrize(
    ("like", "message"),
    [
        ({"a": jnp.zeros(3), "b": jnp.zeros(2)}, r"b: saved nothing, requested float32\[2\]"),
        ({}, r"a: saved float32\[3\], requested nothing"),
        ({"a": jnp.zeros(4)}, r"a: saved float32\[3\], requested float32\[4\]"),
        ({"a": jnp.zeros(3, int)}, r"a: saved float32\[3\], requested int32\[3\]"),
        ({"a": jax.random.key(0)}, r"a: saved float32\[3\], requested key<fry>\[\]"),
        ({"a": {"c": jnp.zeros(3)}}, r"a: saved float32\[3\], requested nothing; a.c"),
    ],
    ids=["more", "fewer", "shape", "dtype", "key", "nested"],
)
def test_another_state_is_named_by_key_path(like, message, tmp_path):
    save_checkpoint(tmp_path, {"a": jnp.zeros(3)}, update=1)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(tmp_path, like)


def test_many_differences_are_cut_short(tmp_path):
    save_checkpoint(tmp_path, {}, update=1)
    with pytest.raises(CheckpointError, match="and 12 more"):
        load_checkpoint(tmp_path, {str(i): jnp.zeros(1) for i in range(20)})


def test_another_format_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(_checkpoint_file, "FORMAT_VERSION", 99)
    save_checkpoint(tmp_path, {}, update=1)
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="has format version 99, this memoalg reads"):
        load_checkpoint(tmp_path, {})


def test_a_state_of_modules(tmp_path):
    state = eqx.filter_jit(FakeAlgorithm().init)(jax.random.key(2))
    save_checkpoint(tmp_path, state, update=0)
    same(load_checkpoint(tmp_path, jax.eval_shape(lambda: state)).state, state)
