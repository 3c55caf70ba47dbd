"""Settings of supervised training: typed, with units, checked at construction."""

import math

import equinox as eqx

from ._check import check_size


class FitConfig(eqx.Module):
    """Settings of [`memoalg.tasks.fit`][].

    Attributes:
        steps: updates at most.
        batch: sequences per update.
        learning_rate: step size of AdamW after the warm-up.
        warm_up: updates over which the step size rises linearly from near 0.
        weight_decay: of AdamW, on every parameter, decays and biases included; times the step size per
            update.
        max_grad_norm: gradients are scaled down to this global norm.
        examples: how many sequences there are; every update draws its batch from them, with
            replacement, or takes them all where `batch` is no less. 0: every update draws new ones.
        goal: training ends early once the mean score of a chunk is at least this, in [0, 1]; None
            goes on to the end.
        chunk: updates per compiled call, after which losses are looked at.

    Raises:
        ValueError: a number is out of range.
        TypeError: a number is of another kind.

    Example:
        >>> import memoalg as ma
        >>> ma.tasks.FitConfig(steps=500, examples=8).learning_rate
        0.003
    """

    steps: int = 1000
    batch: int = 32
    learning_rate: float = 3e-3
    warm_up: int = 20
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    examples: int = 0
    goal: float | None = None
    chunk: int = 50

    def __check_init__(self) -> None:
        for name in ("steps", "batch", "chunk"):
            check_size(getattr(self, name), f"FitConfig: {name}", 1)
        for name in ("warm_up", "examples"):
            check_size(getattr(self, name), f"FitConfig: {name}", 0)
        for name in ("learning_rate", "weight_decay", "max_grad_norm"):
            _check_range(name, getattr(self, name), math.inf)
        if self.goal is not None:
            _check_range("goal", self.goal, 1.0)


def _check_range(name: str, value: object, high: float) -> None:
    what = f"FitConfig: {name} must be a number in [0, {high:g}]"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{what}, got {value!r}")
    if not 0.0 <= value <= high:
        raise ValueError(f"{what}, got {value!r}")
