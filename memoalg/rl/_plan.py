"""What a call of `fit` asked for, checked."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Array, Key

from ._describe import describe
from ._layout import Layout
from ._population import Population
from ._seeds import seed_keys


@dataclass(frozen=True)
class Plan:
    """The arguments of `fit`, checked, in updates instead of steps.

    Attributes:
        population: what is trained.
        layout: where its members run.
        key: of the whole run, typed.
        total: updates in the end.
        chunk: updates per compiled call.
        evaluation_period: updates between evaluations; None evaluates only in the end.
        episodes: per evaluation and member.
        stop_at: mean greedy evaluation return at which the run ends early.
        checkpoint_seconds: least time between two checkpoints.
        keep: newest checkpoints that are kept.
    """

    population: Population
    layout: Layout
    key: Key[Array, ""]
    total: int
    chunk: int
    evaluation_period: int | None
    episodes: int
    stop_at: float | None
    checkpoint_seconds: float
    keep: int

    @property
    def frames(self) -> int:
        """Environment steps of one member in one update."""
        return self.population.algo.frames_per_update

    @property
    def members(self) -> int:
        """How many agents are trained."""
        return self.population.size

    def evaluation_due(self, update: int) -> bool:
        """Whether the members are evaluated after an update, the last one aside."""
        period = self.evaluation_period
        return period is not None and update % period == 0

    def config(self) -> dict[str, Any]:
        """The description of the run, plain JSON: what must be the same to go on with it."""
        population = self.population
        sweep = {"sweep": describe(population.sweep)} if population.sweep else {}
        return {
            "seeds": population.seeds,
            **sweep,
            "key": describe(seed_keys(self.key, population.seeds)),
            "algorithm": describe(population.algo),
        }

    def __str__(self) -> str:
        seeds = self.population.seeds
        text = "1 seed" if seeds == 1 else f"{seeds} seeds"
        points = len(self.population.points)
        text = text if points == 1 else f"{points} points × {text} = {self.members} members"
        return f"{self.total * self.frames:,} steps = {self.total:,} updates of {self.frames:,}, {text}"
