"""Rows on the disk."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from memoalg.rl._metrics import (
    History,
    RowFile,
    keep_rows,
    member_returns,
    metric_rows,
    plain,
    read_rows,
    stack_rows,
)

SEEDS = [{"seed": 0}, {"seed": 1}]


def chunk(updates, seeds):
    shape = (updates, seeds)
    count = np.arange(updates * seeds).reshape(shape) % 3
    return {
        "update": np.zeros(shape, np.int32),
        "episodes": count,
        "return_sum": count * np.float32(0.1),
        "length_sum": count * 5,
        "policy_loss": np.full(shape, np.nan, np.float32),
    }


def test_rows_of_a_chunk():
    rows = metric_rows(chunk(4, 2), first_update=10, count=3, frames_per_update=32, labels=SEEDS)
    assert [(r["update"], r["seed"], r["steps"]) for r in rows] == [
        (11, 0, 352),
        (11, 1, 352),
        (12, 0, 384),
        (12, 1, 384),
        (13, 0, 416),
        (13, 1, 416),
    ]
    assert [r["episodes"] for r in rows] == [0, 1, 2, 0, 1, 2]
    assert [r["return"] for r in rows] == [None, 0.1, 0.1, None, 0.1, 0.1]
    assert [r["length"] for r in rows] == [None, 5.0, 5.0, None, 5.0, 5.0]
    assert {r["policy_loss"] for r in rows} == {None}
    json.dumps(rows, allow_nan=False)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(0.1), 0.1),
        (np.float32("inf"), None),
        (np.float64(1 / 3), 1 / 3),
        (np.int32(-2), -2),
        (np.bool_(True), True),
        (np.asarray(jnp.bfloat16(1.5)), 1.5),
    ],
    ids=str,
)
def test_plain(value, expected):
    assert plain(value) == expected
    assert type(plain(value)) is type(expected)


def test_single_precision_survives_the_text():
    values = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    assert all(np.float32(plain(v)) == v for v in values)


def test_a_line_that_was_cut_off_is_left_out(tmp_path):
    path = tmp_path / "rows.jsonl"
    sink = RowFile(path)
    sink.append([{"a": 1}, {"a": 2}])
    sink.sync()
    sink.close()
    path.write_bytes(path.read_bytes() + b'{"a": 3')
    assert read_rows(path) == [{"a": 1}, {"a": 2}]
    keep_rows(path, read_rows(path)[:1])
    assert path.read_text() == '{"a": 1}\n'
    # What is appended afterwards stands on its own line.
    sink = RowFile(path)
    sink.append([{"a": 4}])
    sink.close()
    assert read_rows(path) == [{"a": 1}, {"a": 4}]


def test_what_follows_a_broken_line_is_not_trusted(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n{"a"\n{"a": 3}\n')
    assert read_rows(path) == [{"a": 1}]


def test_stacking():
    rows = metric_rows(chunk(3, 2), 0, 3, 32, SEEDS)
    np.testing.assert_array_equal(stack_rows(rows, "episodes", 2), [[0, 2, 1], [1, 0, 2]])
    assert np.isnan(stack_rows(rows, "policy_loss", 2)).all()


def test_a_history_is_the_stacked_rows():
    rows = metric_rows(chunk(4, 2), 0, 4, 32, SEEDS)
    history = History(2)
    history.append([])
    history.append(rows[:6])
    history.append(rows[6:])
    arrays = history.arrays()
    assert list(arrays) == list(rows[0])
    for name, values in arrays.items():
        np.testing.assert_array_equal(values, stack_rows(rows, name, 2))
    assert History(2).arrays() == {}


def test_returns_of_the_members():
    """None is no return, and a member without any is left out."""
    values = [1.0, None, 2.0, None, None, None]
    assert member_returns([{"return": v} for v in values], 2) == [1.5]
    assert member_returns([{"return": v} for v in values], 3) == [1.0, 2.0]
