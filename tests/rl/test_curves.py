"""The learning curve as a picture."""

import numpy as np
import pytest

from memoalg.rl import plot_runs
from memoalg.rl._curves import smoothed_returns
from memoalg.rl._metrics import metric_rows

from .run_folders import write_run
from .test_metrics import chunk


def test_long_runs_are_averaged_by_episodes_and_not_by_updates():
    rows = metric_rows(chunk(1000, 1), 0, 1000, 10, [{"seed": 0}])
    steps, returns = smoothed_returns(rows, 1)
    assert len(steps) == 200
    assert steps[-1] == 10_000
    np.testing.assert_allclose(returns, 0.1, rtol=1e-6)


def test_no_run_no_picture(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no run folder: it has no config\.json"):
        plot_runs([tmp_path])


def test_every_point_of_a_sweep_has_a_curve_of_its_own(tmp_path):
    run = write_run(tmp_path / "run", {"seeds": 2, "sweep": {"rate": [0.1, 0.2]}}, [1, 2, 3, 4])
    text = plot_runs([run], tmp_path / "curves.svg").read_text()
    assert all(f"run rate={rate}" in text for rate in (0.1, 0.2))
    assert text.count("2 seeds") == 2  # a run is named once, evaluations are its points
