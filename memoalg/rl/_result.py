"""What `fit` returns."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ._evaluations import best_member, complete_values, interval_text
from ._members import take_member
from ._population import Population, label_text, values_text
from ._state import Evaluation


@dataclass(frozen=True)
class Member:
    """One of the agents that were trained side by side.

    Attributes:
        index: its number, from 0.
        seed: its seed, from 0.
        values: its swept hyper-parameters, by name.
        state: its training state, as if it had been trained alone.
    """

    index: int
    seed: int
    values: dict[str, float]
    state: Any


@dataclass(frozen=True, repr=False)
class FitResult:
    """What `fit` returns; printing it gives a summary.

    Attributes:
        state: the last training state; with several members `agent`, `rollout` and `key` are
            stacked.
        evaluation: the final greedy evaluation, numpy arrays `(members, episodes)`.
        metrics: every metric of the whole run, float64 arrays `(members, updates)`; NaN where an
            update had nothing to say. Resumed parts are included.
        steps: environment steps of each member.
        steps_per_second: of all members together, without compilation and evaluation.
        compile_seconds: for tracing and compiling the programs.
        folder: the run folder, None if there is none.
        population: what was trained.
    """

    state: Any
    evaluation: Evaluation
    metrics: dict[str, np.ndarray]
    steps: int
    steps_per_second: float
    compile_seconds: float
    folder: Path | None
    population: Population

    @property
    def best(self) -> int:
        """The member with the highest mean return in the final greedy evaluation."""
        return best_member(self.evaluation)

    def member(self, index: int) -> Member:
        """One member, with a state of its own that `algo.update` takes.

        Args:
            index: from 0; `result.best` is one.

        Raises:
            IndexError: there is no such member.
        """
        population = self.population
        if not 0 <= index < population.size:
            raise IndexError(
                f"member {index} of {population.size}: write 0 to {population.size - 1}"
            )
        return Member(
            index=index,
            seed=population.seed(index),
            values=population.values(index),
            state=take_member(self.state, population.size, index),
        )

    def complete_returns(self) -> list[np.ndarray]:
        """Returns of the complete evaluation episodes of each member."""
        return complete_values(self.evaluation, "returns")

    def __repr__(self) -> str:
        returns, population = self.complete_returns(), self.population
        lines = [
            f"{self.steps:,} steps, {self.steps_per_second:,.0f} steps/s, "
            f"compiled in {self.compile_seconds:.1f} s"
        ]
        if not population.sweep:
            for seed, values in enumerate(returns):
                text = f"{interval_text([values])} ({len(values)} greedy episodes)"
                lines.append(f"seed {seed}: {text}")
        for i, point in enumerate(population.points if population.sweep else ()):
            own = returns[i * population.seeds : (i + 1) * population.seeds]
            lines.append(f"{values_text(point)}: {interval_text(own)}")
        if len(returns) > 1:
            what = "members" if population.sweep else "seeds"
            lines.append(f"all {len(returns)} {what}: {interval_text(returns)}")
        if population.sweep:
            lines.append(f"best: {label_text(population.labels()[self.best])}")
        if self.folder is not None:
            lines.append(f"run folder: {self.folder}")
        return "\n".join(lines)
