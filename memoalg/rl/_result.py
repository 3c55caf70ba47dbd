"""What `fit` returns."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ._curves import summary_interval
from ._state import Evaluation


@dataclass(frozen=True, repr=False)
class FitResult:
    """What `fit` returns; printing it gives a summary.

    Attributes:
        state: the last training state; with several seeds `agent`, `rollout` and `key` are stacked.
        evaluation: the final greedy evaluation, numpy arrays `(seeds, episodes)`.
        metrics: every metric of the whole run, float64 arrays `(seeds, updates)`; NaN where an
            update had nothing to say. Resumed parts are included.
        steps: environment steps of each seed.
        steps_per_second: of all seeds together, without compilation and evaluation.
        compile_seconds: for tracing and compiling the update.
        folder: the run folder, None if there is none.
    """

    state: Any
    evaluation: Evaluation
    metrics: dict[str, np.ndarray]
    steps: int
    steps_per_second: float
    compile_seconds: float
    folder: Path | None

    def complete_returns(self) -> list[np.ndarray]:
        """Returns of the complete evaluation episodes of each seed."""
        return complete_values(self.evaluation, "returns")

    def __repr__(self) -> str:
        returns = self.complete_returns()
        lines = [
            f"{self.steps:,} steps, {self.steps_per_second:,.0f} steps/s, "
            f"compiled in {self.compile_seconds:.1f} s"
        ]
        for seed, values in enumerate(returns):
            lines.append(f"seed {seed}: {interval_text([values])} ({len(values)} greedy episodes)")
        if len(returns) > 1:
            lines.append(f"all {len(returns)} seeds: {interval_text(returns)}")
        if self.folder is not None:
            lines.append(f"run folder: {self.folder}")
        return "\n".join(lines)


def complete_values(evaluation: Evaluation, name: str) -> list[np.ndarray]:
    """One field of an evaluation, of the complete episodes of each seed."""
    values = np.asarray(getattr(evaluation, name))
    return [v[c] for v, c in zip(values, np.asarray(evaluation.complete), strict=True)]


def interval_text(returns: Sequence[np.ndarray]) -> str:
    """Mean return of all seeds with its interval, as text."""
    mean, low, high = summary_interval([list(map(float, r)) for r in returns])
    return f"evaluation return {mean:.3f} (95 % interval {low:.3f} to {high:.3f})"
